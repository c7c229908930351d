"""What the figures were measured on and with: machine, versions, commit, other load."""

import os
import pathlib
import re
import subprocess
import sys
import time

from harness.server import HERE

# More than this in the one-minute load average before the first run means somebody else is at work.
QUIET_LOAD = 0.5
# More than any step takes: what it writes, and its own memory.
WARM_BYTES = 6 << 30


def _words(*command, cwd=None):
    try:
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=cwd)
        return done.stdout.strip()
    except OSError:
        return ""


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return re.sub(r"\s+", " ", line.split(":", 1)[1]).strip()
    return os.uname().machine


def memory_bytes():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def disk_of(folder):
    device = _words("findmnt", "-n", "-o", "SOURCE,FSTYPE", "--target", folder)
    return re.sub(r"\s+", " ", device)


def commit():
    revision = _words("git", "rev-parse", "--short=12", "HEAD", cwd=HERE)
    changed = _words("git", "status", "--porcelain", "--untracked-files=no", cwd=HERE)
    return revision + ("+changes" if changed else "")


def describe(bench):
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "processor": processor(), "cores": bench.cores,
        "memory_bytes": memory_bytes(), "kernel": os.uname().release, "disk": disk_of(bench.work),
        "load_average": os.getloadavg()[0], "commit": commit(), "versions": versions(bench)}


def versions(bench):
    found = {"holdfast": _words(bench.holdfast, "version").split("\n")[0],
             "postgresql": _words(bench.server.bin / "postgres", "--version"),
             "zstd": _words("zstd", "--version"), "tar": _words("tar", "--version").split("\n")[0]}
    for peer, program in bench.peers.items():
        argument = "version" if peer == "pgbackrest" else "--version"
        found[peer] = _words(program, argument)
    return found


def _free_memory():
    for line in pathlib.Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("MemFree:"):
            return int(line.split()[1]) << 10
    return 0


def warm_memory():
    """Touches free memory and gives it back. A virtual machine's free memory may belong to the host (free page
    reporting), and the next to use it pays for fetching it, several times what copying into it costs."""
    size = min(WARM_BYTES, _free_memory() - (1 << 30))
    if size > 0:
        code = ("import mmap, sys; mmap.mmap(-1, int(sys.argv[1]), "
                "flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)")
        subprocess.run([sys.executable, "-c", code, str(size)], check=True, stdin=subprocess.DEVNULL)


def wait_until_quiet(patience_seconds, say):
    """Whether the machine is quiet, after at most so many seconds of waiting."""
    deadline = time.monotonic() + patience_seconds
    while os.getloadavg()[0] > QUIET_LOAD:
        if time.monotonic() >= deadline:
            return False
        say(f"waiting for a quiet machine, load {os.getloadavg()[0]:.2f}")
        time.sleep(min(15, patience_seconds))
    return True
