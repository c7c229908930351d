"""Runs GoogleTest programs and counts what they report.

A program that crashes, runs over its time, reports nothing, leaves processes behind, or says something
else with its exit code than with its report counts as failed, whatever its report says.
"""

import json
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .outcome import Outcome, failed
from .sandbox import stop_leftovers

LINES_SHOWN_MAX = 200
AS_ROOT = "as_root"  # the suite of what only root can do; all others run as the tests' user
# Sanitizers write what they find to files of this name in TMPDIR: what the program's background
# processes and PostgreSQL's archive_command say goes nowhere else.
SANITIZER_LOG = "sanitizer-report"
REPORTS_SHOWN_MAX = 5


@dataclass
class Run:
    program: Path          # as built
    preset: str
    filter: str = "*"
    seconds_max: int = 300
    environment: dict = field(default_factory=dict)
    prefix: list = field(default_factory=list)  # a command that runs the program
    label: str = ""        # what the results are called when not by the program's name
    may_be_empty: bool = False  # with -k, not every program has a matching test
    shards: int = 1        # the program's tests are dealt out to so many runs; this is
    shard: int = 0         # one of them, from 0

    @property
    def name(self):
        return self.label or self.program.name

    @property
    def as_root(self):
        return self.program.name == AS_ROOT


def tail(text):
    lines = text.splitlines()
    left_out = len(lines) - LINES_SHOWN_MAX
    return "\n".join(([f"[{left_out} lines left out]"] if left_out > 0 else [])
                     + lines[-LINES_SHOWN_MAX:])


def read_report(path, name):
    """The outcome told by gtest's JSON report; raises when it is absent or not a report."""
    outcome = Outcome()
    for suite in json.loads(path.read_text(encoding="utf-8"))["testsuites"]:
        for test in suite["testsuite"]:
            full = f"{name}:{suite['name']}.{test['name']}"
            if test.get("failures"):
                outcome.failed.append((full, test["failures"][0]["failure"]))
            elif test["result"] == "SKIPPED" or test["status"] == "NOTRUN":
                outcome.skipped.append((full, "disabled" if test["status"] == "NOTRUN" else "skipped"))
            else:
                outcome.passed += 1
    return outcome


def judge(run, code, report, output):
    try:
        outcome = read_report(report, run.name)
    except (OSError, ValueError, KeyError) as error:
        how = f"ended by signal {-code}" if code < 0 else f"exit {code}"
        return failed(run.name, f"{how} without a report ({error})\n{tail(output)}")
    if not outcome.passed and not outcome.failed and not outcome.skipped:
        return outcome if run.may_be_empty else failed(run.name, f"no test matches {run.filter}")
    if (code != 0) != bool(outcome.failed):
        outcome.add(failed(run.name, f"exit {code} although {len(outcome.failed)} tests failed\n"
                                     + tail(output)))
    if outcome.failed:
        name, detail = outcome.failed[-1]
        outcome.failed[-1] = (name, f"{detail}\n--- output of {run.name} ---\n{tail(output)}")
    return outcome


def sanitizer_findings(run, folder):
    """One failure for each process in which a sanitizer found something; all but the first few by name only."""
    outcome = Outcome()
    for number, path in enumerate(sorted(folder.glob(f"{SANITIZER_LOG}.*"))):
        said = tail(path.read_text(encoding="utf-8", errors="replace"))
        outcome.add(failed(f"{run.name}:{path.name}",
                           said if number < REPORTS_SHOWN_MAX else "see the others"))
    return outcome


def user_of(sandbox, run, environment):
    """What goes in front of a command so that the right user runs it. Where root is asked for and
    cannot be had, it is the tests' user, and the tests say that they were skipped."""
    if not run.as_root:
        return sandbox.as_user
    if os.getuid() == 0:
        return []
    try:
        done = subprocess.run(["sudo", "-n", "true"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        return []
    return ["sudo", "-n", "env", *(f"{k}={v}" for k, v in environment.items())] if not done.returncode else []


def count_tests(sandbox, run):
    """How many tests the program of `run` has behind its filter; 0 when it does not say."""
    if not run.program.is_file():
        return 0
    command = [*sandbox.as_user, *run.prefix, str(sandbox.take(run.program, run.preset)),
               f"--gtest_filter={run.filter}", "--gtest_list_tests"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, cwd=sandbox.folder, timeout=60,
                              env=sandbox.environment(run.preset, run.environment))
    except subprocess.TimeoutExpired:
        return 0
    return sum(line.startswith("  ") for line in done.stdout.splitlines())


def run_program(sandbox, run):
    """Runs one program in the sandbox as the tests' user."""
    if not run.program.is_file():
        return failed(run.name, f"not built: {run.program}")
    program = sandbox.take(run.program, run.preset)
    environment = sandbox.environment(run.preset, run.environment)
    environment |= {"GTEST_TOTAL_SHARDS": str(run.shards), "GTEST_SHARD_INDEX": str(run.shard)}
    report = Path(environment["TMPDIR"]) / "report.json"
    command = [*user_of(sandbox, run, environment), *run.prefix, str(program),
               f"--gtest_filter={run.filter}",
               f"--gtest_output=json:{report}", "--gtest_brief=1", "--gtest_color=no"]
    # Output goes through a file: a daemon that a test leaves would hold a pipe open for ever.
    log = Path(environment["TMPDIR"]) / "output"
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                                   env=environment, cwd=environment["TMPDIR"],
                                   start_new_session=True)
        timed_out = False
        try:
            code = process.wait(run.seconds_max)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
            timed_out = True
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    left = stop_leftovers(environment["TMPDIR"], wait=code == 0)
    output = log.read_text(encoding="utf-8", errors="replace")
    found = sanitizer_findings(run, Path(environment["TMPDIR"]))
    if timed_out:
        found.add(failed(run.name, f"took over {run.seconds_max} s\n{tail(output)}"))
        return found
    outcome = judge(run, code, report, output)
    outcome.add(found)
    if left and not outcome.failed:
        outcome.add(failed(run.name, "left processes behind:\n  " + "\n  ".join(left)))
    return outcome
