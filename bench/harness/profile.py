"""Where the time of a backup, full or incremental, or a restore goes: `perf record` where it works,
else samples of what each thread is doing in the kernel, from /proc.
"""

import collections
import pathlib
import shutil
import subprocess
import time

from harness import tools
from harness.incremental import ready_to_profile
from harness.server import BenchError, environment, identity, make_folder

TOP_LINES = 40
SAMPLE_SECONDS = 0.01


def profile(bench, step):
    if step == "incremental":
        holdfast = ready_to_profile(bench)
        command = holdfast.command("backup", "--type", "incr")
        return report_of(holdfast, command)
    holdfast = bench.tool(tools.Holdfast)
    holdfast.backup()  # warm, and something to restore
    if step == "backup":
        holdfast.fresh_repository()
        command = holdfast.backup_command()
    else:
        make_folder(holdfast.target)
        command = holdfast.restore_command()
    return report_of(holdfast, command)


def report_of(holdfast, command):
    command = [str(word) for word in command]
    return with_perf(holdfast.folder, command) or with_samples(command)


def with_perf(folder, command):
    """perf's report, or None where perf does not work."""
    if not shutil.which("perf"):
        return None
    record = folder / "perf.data"
    for event in ("cycles", "cpu-clock"):  # a virtual machine may have no counters
        probe = subprocess.run(["perf", "record", "-e", event, "-o", record, "true"], check=False, cwd="/",
                               stdin=subprocess.DEVNULL, capture_output=True)
        if probe.returncode == 0:
            break
    else:
        return None
    # As root, perf itself stays root: the kernel's symbols are for root only.
    user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"] if identity() else []
    subprocess.run(["perf", "record", "-q", "-e", event, "-F", "1999", "-g", "-o", record, "--", *user, *command],
                   check=True, cwd="/", env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    report = subprocess.run(["perf", "report", "-i", record, "--no-children", "-g", "none", "--percent-limit", "0.5",
                             "--stdio", "--sort", "dso,symbol"], check=False, cwd="/", text=True, capture_output=True)
    lines = [line for line in report.stdout.splitlines() if line.strip() and not line.startswith("#")]
    return f"perf, {event}, share of CPU time\n" + "\n".join(lines[:TOP_LINES])


def with_samples(command):
    """States and kernel functions of the threads, counted; no symbols of the program."""
    process = subprocess.Popen(command, cwd="/", env=environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, **identity())
    counts = collections.Counter()
    while process.poll() is None:
        for task in pathlib.Path(f"/proc/{process.pid}/task").glob("*"):
            try:
                name = (task / "comm").read_text(encoding="utf-8").strip()
                state = (task / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
                place = (task / "wchan").read_text(encoding="utf-8") if state != "R" else "running"
                counts[f"{name} {state} {place}"] += 1
            except OSError:
                continue
        time.sleep(SAMPLE_SECONDS)
    if process.returncode != 0:
        raise BenchError(f"{command[0]} ended with {process.returncode}")
    total = sum(counts.values())
    lines = [f"{100 * count / total:6.2f} %  {what}" for what, count in counts.most_common(TOP_LINES)]
    return "no perf here; samples of all threads (state, where in the kernel)\n" + "\n".join(lines)
