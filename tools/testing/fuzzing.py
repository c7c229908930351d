"""Runs the libFuzzer programs of the preset `fuzz`, each for some time, from the seeds of its target."""

import subprocess
from pathlib import Path

from .gtest import tail
from .outcome import failed, passed
from .sandbox import stop_leftovers

SECONDS_MAX_PER_INPUT = 10
MIB_MAX = 2048


def targets(root):
    return sorted(path.stem for path in (root / "tests" / "fuzz" / "targets").glob("*.cpp"))


def program(name):
    return f"fuzz_{name}"


def call(context, command, environment, seconds_max):
    """(exit code, what it printed)"""
    log = Path(environment["TMPDIR"]) / "output"
    with log.open("wb") as sink:
        try:
            code = subprocess.run([*context.sandbox.as_user, *map(str, command)], stdout=sink,
                                  stderr=sink, stdin=subprocess.DEVNULL, env=environment,
                                  cwd=environment["TMPDIR"], timeout=seconds_max).returncode
        except subprocess.TimeoutExpired:
            code = "not at an end"
    stop_leftovers(environment["TMPDIR"], wait=False)
    return code, log.read_text(encoding="utf-8", errors="replace")


def run_one(context, name, seconds):
    folder = context.root / "build" / "fuzz"
    environment = context.sandbox.environment("fuzz", {})
    seeds = Path(environment["TMPDIR"]) / "seeds"
    replay = context.sandbox.take(folder / "tests" / "fuzz_replay", "fuzz")
    code, said = call(context, [replay, "--write-seeds", seeds], environment, seconds)
    if code == 0:
        code, said = call(context, [
            context.sandbox.take(folder / "fuzz" / program(name), "fuzz"),
            f"-max_total_time={seconds}", f"-timeout={SECONDS_MAX_PER_INPUT}",
            f"-rss_limit_mb={MIB_MAX}", "-print_final_stats=1", seeds / name],
            environment, 2 * seconds + 60)
    one = passed() if code == 0 else failed(f"fuzz:{name}", f"exit {code}\n{tail(said)}")
    print(f"  {program(name):<34}{one.totals()}", flush=True)
    return one
