"""./test: picks tiers, runs them, prints the totals. See CONTRIBUTING.md for what each tier proves."""

import argparse
import signal
import sys
import time
from pathlib import Path

from .outcome import Outcome
from .sandbox import Sandbox
from .tiers import NEEDED_BY_ALL, ORDINARY, QUICK, TIERS, WIDE, Context


def parse(arguments):
    parser = argparse.ArgumentParser(prog="./test")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a few minutes: no server is started")
    size.add_argument("--wide", action="store_true", help="everything; takes hours")
    parser.add_argument("--tier", action="append", default=[], metavar="NAME",
                        choices=[tier.name for tier in TIERS], help="only this tier; repeatable")
    parser.add_argument("--list", action="store_true", help="the tiers, and what each is for")
    parser.add_argument("-k", dest="filter", default="", metavar="FILTER",
                        help="only tests whose name contains FILTER")
    parser.add_argument("--allow-skip", action="append", default=[], metavar="PATTERN",
                        help="a skip of program:Suite.Test like this one is no failure")
    parser.add_argument("--totals-to", type=Path, metavar="FILE",
                        help="append the line of totals to FILE instead of printing it")
    return parser.parse_args(arguments)


def chosen(options):
    names = options.tier or (QUICK if options.quick else WIDE if options.wide else ORDINARY)
    return [tier for tier in TIERS if tier.name in names]


def run(options):
    root = Path(__file__).resolve().parent.parent.parent
    outcome = Outcome()
    tiers = chosen(options)
    if tiers[0].name == "packages":  # before the sandbox, which needs the user that they bring
        outcome.add(timed(tiers.pop(0), Context(root, None, options.wide)))
        if outcome.failed:
            return outcome
    with Sandbox(root) as sandbox:
        context = Context(root, sandbox, options.wide, options.filter)
        for tier in tiers:
            one = timed(tier, context)
            outcome.add(one)
            if one.failed and tier.name in NEEDED_BY_ALL:
                break
    return outcome


def timed(tier, context):
    print(f"{tier.name}: {tier.says}", flush=True)
    start = time.monotonic()
    outcome = tier.run(context)
    print(f"{tier.name}: {time.monotonic() - start:.0f} s, {outcome.totals()}\n", flush=True)
    return outcome


def report(outcome, options):
    for name, detail in outcome.failed:
        print(f"FAILED {name}\n{detail}\n")
    unasked = outcome.skips_not_asked_for(options.allow_skip)
    for name, reason in outcome.skipped:
        asked = "" if (name, reason) in unasked else " (asked for)"
        print(f"SKIPPED {name}: {reason}{asked}")
    if unasked:
        print("A skip that was not asked for with --allow-skip counts as a failure of this run.")
    if options.totals_to:
        with options.totals_to.open("a", encoding="utf-8") as sink:
            sink.write(outcome.totals() + "\n")
    else:
        print(outcome.totals(), flush=True)
    return 1 if outcome.failed or unasked else 0


def main(arguments):
    # So that an interrupted run still stops its servers and removes its folder.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    options = parse(arguments)
    if options.list:
        for tier in TIERS:
            marks = [m for m, names in (("quick", QUICK), ("ordinary", ORDINARY), ("wide", WIDE))
                     if tier.name in names]
            print(f"{tier.name:<12} {tier.says} [{', '.join(marks)}]")
        return 0
    outcome = run(options)
    code = report(outcome, options)
    if options.filter and not outcome.passed and not outcome.failed:
        print(f"./test: no test's name contains '{options.filter}'", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
