"""The parts of ./test that call the project's other tools and turn what they say into outcomes."""

import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import unittest
from pathlib import Path

from . import planted
from .builds import Programs
from .gtest import tail
from .outcome import Outcome, failed, passed

LINE_COVERAGE_MIN_PERCENT = 80


class ToolFailed(Exception):
    """A tool that the tests need could not do its work."""


def run(command, **options):
    """(exit code, what it printed)"""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    return done.returncode, done.stdout


def shell_scripts(root):
    """Tracked and new files that start like a shell script."""
    code, names = run(["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard"])
    paths = ([root / name for name in names.splitlines()] if code == 0
             else [path for path in root.rglob("*") if "build" not in path.parts])
    found = []
    for path in paths:
        if path.is_file() and not path.suffix == ".md":
            with path.open("rb") as source:
                if re.match(rb"#!.*\b(ba)?sh\b", source.readline(80)):
                    found.append(path)
    return sorted(found)


def check(context):
    """Formatting, layers, shell scripts, the list of bugs to plant, and the tests of the tools themselves."""
    root = context.root
    outcome = Outcome()
    checks = [("format", [root / "tools" / "format", "--check"]),
              ("layers", [sys.executable, "-B", root / "tools" / "check-layers"]),
              ("names", [sys.executable, "-B", root / "tools" / "check-names"]),
              ("shellcheck", ["shellcheck", "--severity=warning", "-x", *shell_scripts(root)])]
    for name, command in checks:
        if context.wanted(f"style:{name}"):
            code, said = run(command, cwd=root)
            one = passed() if code == 0 else failed(f"style:{name}", tail(said))
            print(f"  {name:<34}{one.totals()}", flush=True)
            outcome.add(one)
    if context.wanted("style:planted bugs"):
        one = planted.list_is_true(root, Programs(root).suites())
        print(f"  {'planted bugs':<34}{one.totals()}", flush=True)
        outcome.add(one)
    one = tests_of_tools(context)
    print(f"  {'tests of the tools':<34}{one.totals()}", flush=True)
    outcome.add(one)
    return outcome


def tests_of_tools(context):
    """Runs tests/tools/*_test.py and counts their tests."""
    found = unittest.TestLoader().discover(str(context.root / "tests" / "tools"), "*_test.py")
    wanted = unittest.TestSuite(test for test in flat(found) if context.wanted(test.id()))
    said = io.StringIO()
    result = unittest.TextTestRunner(stream=said, verbosity=0).run(wanted)
    outcome = Outcome(skipped=[(test.id(), reason) for test, reason in result.skipped])
    for test, trace in result.failures + result.errors + [
            (test, "passed although it was expected to fail")
            for test in result.unexpectedSuccesses]:
        outcome.failed.append((test.id(), trace))
    outcome.passed = result.testsRun - len(outcome.failed) - len(outcome.skipped)
    if not result.testsRun and not context.filter:
        outcome.add(failed("tests/tools", "no test found"))
    return outcome


def flat(suite):
    for entry in suite:
        if isinstance(entry, unittest.TestSuite):
            yield from flat(entry)
        else:
            yield entry


def tidy_outcome(code, said):
    counts = re.search(r"^tidy: (\d+) clean, (\d+) with findings$", said, re.MULTILINE)
    if not counts:
        return failed("tidy", f"exit {code}\n{tail(said)}")
    clean, dirty = (int(number) for number in counts.groups())
    outcome = Outcome(passed=clean)
    for number in range(dirty):
        outcome.add(failed(f"tidy:{number + 1}", tail(said) if number == 0 else "see the first"))
    return outcome


def check_cache(cache):
    """Programs are run from it: it must be ours, and nobody else may write to it."""
    cache.mkdir(mode=0o755, exist_ok=True)
    state = cache.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o022:
        raise ToolFailed(f"{cache} is not a folder that only we can write to; remove it, or set "
                         "HOLDFAST_TEST_CACHE")


def fetch_postgres(version):
    """The folder of PostgreSQL `version`'s programs, fetched unless it was before. They are kept
    outside the clone, where the user that the tests run as can read them."""
    script = Path(__file__).resolve().parent.parent / "testbed" / "pg-fetch"
    cache = Path(os.environ.get("HOLDFAST_TEST_CACHE", f"/var/tmp/holdfast-testbed-{os.getuid()}"))
    check_cache(cache)
    code, said = run([script, version, cache])
    lines = said.strip().splitlines()
    if code != 0 or not lines or not os.path.exists(f"{lines[-1]}/postgres"):
        raise ToolFailed(f"{script} {version}: exit {code}\n{tail(said)}")
    return lines[-1]


def gather_counters(build, counters):
    """Puts the counters that programs left under `counters` beside the objects of `build` that they
    belong to, where gcov looks for both. Those of earlier runs are removed. Returns how many."""
    for old in build.rglob("*.gcda"):
        old.unlink()
    source = counters / build.relative_to("/")
    found = list(source.rglob("*.gcda"))
    for path in found:
        shutil.copyfile(path, build / path.relative_to(source))
    return len(found)


def coverage_outcome(context):
    """Reads gcc's counters with gcovr and holds line coverage of src/ to the limit."""
    build = context.root / "build" / "coverage"
    if not gather_counters(build, context.sandbox.counters()):
        return failed("coverage", "no program left a counter")
    code, said = run(["gcovr", "--root", context.root, "--filter", f"{context.root}/src/",
                      "-j", os.cpu_count() or 1, "--exclude-unreachable-branches",
                      "--json-summary-pretty", build], cwd=build)
    try:
        summary = json.loads(said[said.index("{"):])
    except ValueError:
        return failed("coverage", f"exit {code}\n{tail(said)}")
    print(f"  line coverage of src/: {summary['line_percent']:.1f} %", flush=True)
    if summary["line_percent"] < LINE_COVERAGE_MIN_PERCENT:
        return failed("coverage", f"below {LINE_COVERAGE_MIN_PERCENT} %")
    return passed()
