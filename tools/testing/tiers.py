"""The tiers of ./test. Each takes a Context and returns an Outcome; TIERS gives their order."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from . import fuzzing, package, planted, tools
from .builds import Programs, build
from .gtest import SANITIZER_LOG, Run, count_tests, run_program
from .outcome import Outcome, failed, passed
from .sandbox import Sandbox

# What runs in the slow builds besides the unit tests: tests with one of these words in their names.
ASAN_WORDS = ("Smoke", "Conformance", "Fuzz")
# Years of simulated backups: minutes under AddressSanitizer, and the same code on less data is in others.
ASAN_LEFT_OUT = ("ReferencePolicy", "ExpireSize")
TSAN_WORD = "Concurrent"
RANDOM_WORDS = ("Random", "Fuzz")
WIDE_ONLY = "*Wide*"  # tests that need too much time or room for an ordinary run
RANDOM_ROUNDS_WIDE = 20
SECONDS_PER_FUZZER = 120

TESTS_PER_SHARD = 12

SECONDS_MAX_UNIT = 300
SECONDS_MAX_SUITE = 1200
SLOWER_UNDER_SANITIZERS = 3
WIDE_TIMES_LONGER = 6

# Their own exit code, because 1 is an answer of archive-get and of other commands.
SANITIZER_COMMON = f"exitcode=99:log_path=$TMPDIR/{SANITIZER_LOG}"
SANITIZER_OPTIONS = {
    "asan": {"ASAN_OPTIONS": f"{SANITIZER_COMMON}:detect_leaks=1:strict_string_checks=1:"
                             "detect_stack_use_after_return=1",
             "UBSAN_OPTIONS": f"{SANITIZER_COMMON}:print_stacktrace=1"},
    "tsan": {"TSAN_OPTIONS": f"{SANITIZER_COMMON}:second_deadlock_stack=1:history_size=4"},
}
VERSIONS_ORDINARY = (17,)
VERSIONS_WIDE = (13, 14, 16, 17, 18)
# The machine's own PostgreSQL is 15 on Debian 12.


@dataclass
class Context:
    root: Path
    sandbox: Sandbox
    wide: bool = False
    filter: str = ""

    def commit(self):
        done = subprocess.run(["git", "-C", str(self.root), "rev-parse", "HEAD"], text=True,
                              capture_output=True, stdin=subprocess.DEVNULL)
        return done.stdout.strip() if done.returncode == 0 else "0"

    def wanted(self, name):
        return self.filter in name

    def gtest_filter(self, words=(), left_out_words=()):
        """Tests with one of `words` in their names, of those that -k asks for; in an ordinary run without
        those that have one of `left_out_words`."""
        left_out = "" if self.wide else "-" + ":".join([WIDE_ONLY, *(f"*{w}*" for w in left_out_words)])
        if not self.filter:
            return (":".join(f"*{word}*" for word in words) or "*") + left_out
        both = [f"*{self.filter}*{w}*:*{w}*{self.filter}*" for w in words]
        return (":".join(both) or f"*{self.filter}*") + left_out

    def program(self, preset, name):
        return self.root / "build" / preset / "tests" / name

    def seconds(self, seconds, preset="release"):
        return (seconds * (1 if preset == "release" else SLOWER_UNDER_SANITIZERS)
                * (WIDE_TIMES_LONGER if self.wide else 1))


def run_all(context, runs, parallel=1):
    """Runs programs and says how each ended; the shards of one are counted together."""
    outcome = Outcome()
    with ThreadPoolExecutor(parallel) as pool:
        ended = pool.map(lambda r: run_program(context.sandbox, r), runs)
        for name, shards in groupby(runs, lambda run: run.name):
            whole = Outcome()
            for _ in shards:
                whole.add(next(ended))
            print(f"  {name:<34}{whole.totals()}", flush=True)
            outcome.add(whole)
    return outcome


def in_shards(context, runs):
    """Suites with servers wait more than they compute. In small parts they can run side by side, and
    no long one is left over at the end."""
    dealt = []
    for run in runs:
        count = max(1, round(count_tests(context.sandbox, run) / TESTS_PER_SHARD))
        dealt += [replace(run, shards=count, shard=shard) for shard in range(count)]
    return dealt


def run_suites(context, runs):
    return run_all(context, in_shards(context, runs), (os.cpu_count() or 1) + 1)


def fixed_addresses():
    """A command that runs another without random addresses: ThreadSanitizer of gcc 12 cannot place its
    memory where the kernel randomises by more than 28 bits. A container may not allow it; where the
    kernel randomises less it is not needed either."""
    command = ["setarch", "-R"]
    code, _ = tools.run([*command, "true"])
    return command if code == 0 else []


def make_runs(context, preset, programs, words=(), environment=None, label=""):
    if (main := context.root / "build" / preset / "holdfast").is_file():
        context.sandbox.take(main, preset)
    more = dict(environment or {}) | SANITIZER_OPTIONS.get(preset, {})
    if context.wide:
        more["HOLDFAST_TEST_WIDE"] = "1"
    prefix = fixed_addresses() if preset == "tsan" else []

    def make(name):
        is_unit = name.startswith("unit_")
        all_of_it = is_unit and preset == "asan"
        left_out = ASAN_LEFT_OUT if all_of_it else ()
        return Run(program=context.program(preset, name), preset=preset, prefix=prefix,
                   filter=context.gtest_filter(() if all_of_it else words, left_out),
                   seconds_max=context.seconds(SECONDS_MAX_UNIT if is_unit else SECONDS_MAX_SUITE,
                                               preset),
                   environment=dict(more), may_be_empty=bool(context.filter), label=label + name)

    return [make(name) for name in programs]


def packages(context):
    lists = ["build", "test"] + (["wide"] if context.wide else [])
    done = subprocess.run([context.root / "tools" / "install-packages", *lists],
                          stdin=subprocess.DEVNULL)
    return Outcome() if done.returncode == 0 else failed("packages", f"exit {done.returncode}")


def style(context):
    return tools.check(context)


def release(context):
    return build(context.root, "release")


def unit(context):
    outcome = release(context)
    if not outcome.failed:
        runs = make_runs(context, "release", Programs(context.root).unit())
        outcome.add(run_all(context, runs, os.cpu_count() or 1))
    return outcome


def postgres_versions(versions):
    """Environment that tells the tests where other PostgreSQL versions are; fetched once and kept
    outside the clone."""
    found = {}
    for version in versions:
        found[f"HOLDFAST_TEST_PG{version}_BIN"] = tools.fetch_postgres(version)
    return found


def run_picked(context, preset, names, words):
    """Of the programs `names` the tests with one of `words` in their names; with --wide all of them.
    They look for faults of ours, which do not depend on the server's version; all versions are run
    by the tier integration."""
    try:
        versions = postgres_versions(VERSIONS_ORDINARY) if context.wide else {}
    except tools.ToolFailed as error:
        return failed("postgres versions", str(error))
    runs = make_runs(context, preset, names, () if context.wide else words, versions,
                     label=f"{preset}:")
    outcome = run_all(context, [run for run in runs if run.program.name.startswith("unit_")],
                      os.cpu_count() or 1)
    outcome.add(run_suites(context,
                           [run for run in runs if not run.program.name.startswith("unit_")]))
    return outcome


def integration(context):
    outcome = release(context)
    if outcome.failed:
        return outcome
    try:
        versions = postgres_versions(VERSIONS_WIDE if context.wide else VERSIONS_ORDINARY)
    except tools.ToolFailed as error:
        return failed("postgres versions", str(error))
    runs = make_runs(context, "release", Programs(context.root).suites(), environment=versions)
    outcome.add(run_suites(context, runs))
    return outcome


def asan(context):
    programs = Programs(context.root)
    picked = programs.with_tests_named("|".join(ASAN_WORDS))
    names = programs.unit() + [name for name in programs.suites() if context.wide or name in picked]
    outcome = build(context.root, "asan", ["holdfast", *names])
    if not outcome.failed:
        outcome.add(run_picked(context, "asan", names, ASAN_WORDS))
    return outcome


def tsan(context):
    programs = Programs(context.root)
    names = (list(programs.folders) if context.wide else programs.with_tests_named(TSAN_WORD))
    if not names:
        return failed("tsan", f"no test has {TSAN_WORD} in its name")
    outcome = build(context.root, "tsan", ["holdfast", *names])
    if not outcome.failed:
        outcome.add(run_picked(context, "tsan", names, (TSAN_WORD,)))
    return outcome


def tidy(context):
    outcome = build(context.root, "release", ["help"])  # only the compile commands are needed
    if outcome.failed:
        return outcome
    command = [sys.executable, "-B", str(context.root / "tools" / "tidy"),
               "--all" if context.wide else "--changed"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    return tools.tidy_outcome(done.returncode, done.stdout)


def random(context):
    """Seeded runs: the seed is the commit, so that runs differ and each can be repeated."""
    outcome = release(context)
    names = Programs(context.root).with_tests_named("|".join(RANDOM_WORDS))
    if not names:
        outcome.add(failed("random", f"no test has one of {RANDOM_WORDS} in its name"))
    for number in range(RANDOM_ROUNDS_WIDE if context.wide else 1):
        if outcome.failed:
            break
        seed = str(int(context.commit()[:12], 16) + number)
        print(f"  HOLDFAST_TEST_SEED={seed}", flush=True)
        outcome.add(run_all(context, make_runs(context, "release", names, RANDOM_WORDS,
                                               {"HOLDFAST_TEST_SEED": seed}, label="random:")))
    return outcome


def fuzz(context):
    """Coverage-guided fuzzing of every target."""
    names = [name for name in fuzzing.targets(context.root) if context.wanted(f"fuzz:{name}")]
    outcome = build(context.root, "fuzz", ["fuzz_replay", *map(fuzzing.program, names)])
    if not outcome.failed:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for one in pool.map(lambda n: fuzzing.run_one(context, n, SECONDS_PER_FUZZER), names):
                outcome.add(one)
    return outcome


def debian_package(context):
    """Needs root, for dpkg."""
    outcome = release(context)
    if not outcome.failed:
        outcome.add(package.check(context.root))
    return outcome


def plant(context):
    """Each suite notices a bug that is planted for it."""
    try:
        versions = postgres_versions(VERSIONS_ORDINARY)
    except tools.ToolFailed as error:
        return failed("postgres versions", str(error))
    return planted.run_all_bugs(context, versions)


def coverage(context):
    """How much of src/ the unit tests and suites reach; a figure to read, below the limit a failure."""
    programs = Programs(context.root)
    outcome = build(context.root, "coverage")
    if outcome.failed:
        return outcome
    try:
        environment = postgres_versions(VERSIONS_ORDINARY)
    except tools.ToolFailed as error:
        return failed("postgres versions", str(error))
    # Beside the objects, where they belong, the user that the tests run as cannot write them.
    environment["GCOV_PREFIX"] = str(context.sandbox.counters())
    runs = make_runs(context, "coverage", list(programs.folders), environment=environment,
                     label="coverage:")
    outcome.add(run_suites(context, runs))
    outcome.add(tools.coverage_outcome(context))
    return outcome


@dataclass(frozen=True)
class Tier:
    name: str
    run: object
    says: str


TIERS = [
    Tier("packages", packages, "installs the Debian packages that are missing"),
    Tier("style", style, "formatting, layers, shell scripts, and the tests of these tools"),
    Tier("build", release, "the release build, warnings as errors"),
    Tier("unit", unit, "unit tests, no server needed"),
    Tier("integration", integration, "suites with PostgreSQL and S3 servers"),
    Tier("asan", asan, "AddressSanitizer and UBSan: unit, conformance, fuzz corpora, smoke runs"),
    Tier("tsan", tsan, "ThreadSanitizer: tests named *Concurrent*"),
    Tier("tidy", tidy, "clang-tidy on what changed and a rotating part of the tree"),
    Tier("random", random, "random runs with the commit as seed"),
    Tier("fuzz", fuzz, "libFuzzer, guided by coverage (only with --wide)"),
    Tier("planted", plant, "a bug planted for each suite, which must notice it (only with --wide)"),
    Tier("package", debian_package, "the Debian package installs and removes (only with --wide)"),
    Tier("coverage", coverage, "line coverage (only with --wide)"),
]
QUICK = ("packages", "style", "build", "unit")
# clang-tidy joins the ordinary run once the whole tree has passed.
ONLY_WIDE = ("tidy", "fuzz", "planted", "package", "coverage")
ORDINARY = tuple(tier.name for tier in TIERS if tier.name not in ONLY_WIDE)
WIDE = tuple(tier.name for tier in TIERS)
NEEDED_BY_ALL = ("packages", "build")  # when one of these fails, the rest has nothing to say
