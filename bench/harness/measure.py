"""Runs one command and measures it: wall time, CPU seconds, peak memory.

CPU seconds are user + system of the command and of every process that it started and waited for,
plus what the given PostgreSQL server spent meanwhile (its backends read the files for some tools,
its archiver runs archive_command). Peak memory is the largest sum over the command's processes of
their resident sets, seen every 20 ms, or the largest high-water mark of one of them, whichever is
more; the server's memory does not count.

Each run also says how busy the cores were with something else meanwhile: the machine's CPU time less
ours. On S3 that is the gateway's work; elsewhere more than a few percent means that the run is worth
little. What a tool leaves behind as a daemon (pgBackRest's asynchronous archiver) counts there too.
"""

import dataclasses
import os
import pathlib
import resource
import statistics
import subprocess
import tempfile
import threading
import time

from harness.server import BenchError, environment, identity

TICK = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.02


@dataclasses.dataclass
class Run:
    """What one run of one case cost, and what it left (filled in by the case)."""
    wall: float = 0.0
    cpu: float = 0.0
    peak: int = 0
    others: float = 0.0  # share of all cores that was used, but not by this
    stored: int | None = None
    objects: int | None = None
    requests: int | None = None
    read: int | None = None
    changed: int | None = None
    asked: int = 0  # bytes that the command's processes asked the kernel for: files, pipes
    server_asked: int = 0
    output: str = ""


def medians(runs):
    """One Run with the median of each number. Sizes too: they hardly differ."""
    result = Run()
    for field in ("wall", "cpu", "others", "peak", "stored", "objects", "requests", "read",
                  "changed"):
        values = [getattr(run, field) for run in runs if getattr(run, field) is not None]
        value = statistics.median(values) if values else None
        setattr(result, field, value if field in ("wall", "cpu", "others") or value is None else int(value))
    return result


def _stat(pid):
    """Parent and CPU ticks (own and of waited-for children) of a process; None when it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    words = text.rsplit(")", 1)[1].split()
    return int(words[1]), sum(int(word) for word in words[11:15])


def family(root):
    """The process and all its living descendants, with their ticks."""
    known = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            found = _stat(int(name))
            if found:
                known[int(name)] = found
    members, grown = {root}, True
    while grown:
        more = {pid for pid, (parent, _) in known.items() if parent in members} - members
        members |= more
        grown = bool(more)
    return {pid: known[pid][1] for pid in members if pid in known}


def _asked(*paths):
    total = 0
    for path in paths:
        try:
            text = pathlib.Path(path).read_text(encoding="utf-8")
            total += int(text.split("rchar: ", 1)[1].split()[0])
        except OSError:
            pass
    return total


def children_asked():
    """rchar of all children that were waited for: what our process has more than its living threads."""
    return _asked("/proc/self/io") - _asked(*pathlib.Path("/proc/self/task").glob("*/io"))


def family_asked(root):
    return _asked(*[f"/proc/{pid}/io" for pid in family(root)]) if root else 0


def machine_cpu():
    """CPU seconds that the whole machine has worked since it was started."""
    with open("/proc/stat", encoding="utf-8") as lines:
        user, nice, system, _, _, irq, softirq, steal = (int(word) for word in lines.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICK


def family_cpu(root):
    """CPU seconds of a living process tree since it began."""
    return sum(family(root).values()) / TICK if root else 0.0


def _memory(pid):
    """Resident bytes now, and at the highest, of one process."""
    now = most = 0
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("VmRSS:"):
                    now = int(line.split()[1]) << 10
                elif line.startswith("VmHWM:"):
                    most = int(line.split()[1]) << 10
    except OSError:
        pass
    return now, most


class _MemoryWatch:
    """Samples a process tree until it is stopped."""

    def __init__(self, root):
        self.root, self.peak = root, 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self):
        members, rounds = {self.root}, 0
        while not self._done.wait(SAMPLE_SECONDS):
            if rounds % 5 == 0:  # walking all of /proc costs more than looking at the members
                members = set(family(self.root)) or {self.root}
            rounds += 1
            seen = [_memory(pid) for pid in members]
            self.peak = max([self.peak, sum(now for now, _ in seen)] + [most for _, most in seen])

    def stop(self):
        self._done.set()
        self._thread.join()


def run(command, server=None, extra=None, cwd="/", allowed=(0,)):
    """Runs a command (a list, or a string for bash) as the server's user; raises when it fails."""
    if isinstance(command, str):
        command = ["bash", "-o", "pipefail", "-c", command]
    command = [str(word) for word in command]
    postmaster = server.pid() if server else None
    with tempfile.TemporaryFile("w+") as out:
        server_before = family_cpu(postmaster)
        children_before = resource.getrusage(resource.RUSAGE_CHILDREN)
        server_asked, asked = family_asked(postmaster), children_asked()
        machine_before = machine_cpu()
        begin = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd,
                                   env=environment(**(extra or {})), **identity())
        watch = _MemoryWatch(process.pid)
        code = process.wait()
        wall = time.monotonic() - begin
        machine_after = machine_cpu()
        asked = children_asked() - asked
        watch.stop()
        server_asked = family_asked(postmaster) - server_asked
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        server_after = family_cpu(postmaster)
        out.seek(0)
        output = out.read()
    if code not in allowed:
        raise BenchError(f"{' '.join(command)[:300]} ended with {code}: {output.strip()[-1500:]}")
    cpu = (children.ru_utime - children_before.ru_utime) + (children.ru_stime - children_before.ru_stime)
    cpu += server_after - server_before
    others = max(machine_after - machine_before - cpu, 0.0) / (wall * os.cpu_count())
    return Run(wall=wall, cpu=cpu, peak=watch.peak, others=others, asked=asked,
               server_asked=server_asked, output=output)


def folder_content(folder):
    """Bytes and number of the files below a folder."""
    total = count = 0
    for path, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(path, name))
            total += status.st_size
            count += 1
    return total, count
