"""Plants bugs in a copy of the sources and sees each suite fail: a suite that passes all the same
tests nothing. The bugs are in tests/planted.json; each names a suite, its tests that must notice, and
one place in a source to change."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from .builds import build
from .gtest import Run, run_program
from .outcome import Outcome, failed, passed
from .sandbox import Sandbox

SECONDS_MAX = 600


def bugs(root):
    return json.loads((root / "tests" / "planted.json").read_text(encoding="utf-8"))


def cannot_be_planted(root, bug):
    """Why not; None when its place is there, once."""
    source = root / bug["file"]
    if not source.is_file():
        return f"{bug['file']} is no file"
    count = source.read_text(encoding="utf-8").count(bug["find"])
    return None if count == 1 else f"{bug['file']} has {count} times: {bug['find']}"


def list_is_true(root, suites):
    """Each suite has a bug, and each bug its place; unit programs may have some too. Cheap, so that the
    list is kept true daily."""
    outcome = Outcome()
    listed = bugs(root)
    planted = {bug["suite"] for bug in listed if not bug["suite"].startswith("unit_")}
    for suite in sorted(set(suites) ^ planted):
        outcome.add(failed(f"planted:{suite}", "tests/planted.json and tests/ do not agree on this suite"))
    for bug in listed:
        if reason := cannot_be_planted(root, bug):
            outcome.add(failed(f"planted:{bug['suite']}", reason))
    return outcome if outcome.failed else passed()


def copy_sources(root, target):
    names = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], text=True, check=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
    for name in filter(None, names.split("\0")):
        source = root / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def run_bug(copy, bug, environment):
    name = f"planted:{bug['suite']}"
    if reason := cannot_be_planted(copy, bug):
        return failed(name, reason)
    source = copy / bug["file"]
    sound = source.read_text(encoding="utf-8")
    source.write_text(sound.replace(bug["find"], bug["put"]), encoding="utf-8")
    try:
        built = build(copy, "release", ["holdfast", bug["suite"]])
        if built.failed:
            return failed(name, f"with '{bug['bug']}' it does not build\n{built.failed[0][1]}")
        with Sandbox(copy) as sandbox:  # a new one: it keeps copies of the programs
            sandbox.take(copy / "build" / "release" / "holdfast", "release")
            program = copy / "build" / "release" / "tests" / bug["suite"]
            outcome = run_program(sandbox, Run(program=program, preset="release", seconds_max=SECONDS_MAX,
                                               filter=bug["filter"], environment=environment))
    finally:
        source.write_text(sound, encoding="utf-8")
    if outcome.failed and all(f"{bug['suite']}:" in test for test, _ in outcome.failed):
        return passed()
    return failed(name, f"'{bug['bug']}' is not noticed by {bug['filter']}: {outcome.totals()}"
                        + "".join(f"\n{test}: {why}" for test, why in outcome.failed))


def run_all_bugs(context, environment):
    outcome = Outcome()
    copy = Path(context.sandbox.folder) / "planted"
    copy.mkdir()
    copy_sources(context.root, copy)
    os.environ["CCACHE_BASEDIR"] = str(copy)  # what is not touched comes from the cache
    for bug in bugs(context.root):
        if not context.wanted(f"planted:{bug['suite']}"):
            continue
        one = run_bug(copy, bug, environment)
        print(f"  planted:{bug['suite']:<26}{one.totals()}", flush=True)
        outcome.add(one)
    return outcome
