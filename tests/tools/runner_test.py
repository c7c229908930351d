"""./test counts what programs report, and does not believe a program that misbehaves."""

import contextlib
import io
import json
import os
import pwd
import subprocess
import time
import unittest

from common import ROOT, ToolTest
from testing import gtest, tools
from testing.builds import Programs
from testing.outcome import Outcome
from testing.sandbox import Sandbox, leftovers
from testing.tiers import Context, in_shards, run_all


def report(*results):
    """gtest's report of tests t0, t1, ... with these results."""
    def test(number, result):
        entry = {"name": f"t{number}", "status": "NOTRUN" if result == "DISABLED" else "RUN",
                 "result": "SKIPPED" if result == "SKIPPED" else "COMPLETED"}
        if result == "FAILED":
            entry["failures"] = [{"failure": "a.cpp:1\nexpected more"}]
        return entry
    return json.dumps({"testsuites": [{"name": "S", "testsuite": [
        test(number, result) for number, result in enumerate(results)]}]})


class Runner(ToolTest):
    def setUp(self):
        super().setUp()
        self.write("root/tests/a.txt", "")
        self.write("root/tools/testbed/b.txt", "")
        self.write("root/docs/c.md", "")
        self.write("root/deploy/d.yaml", "")
        self.sandbox = self.enterContext(Sandbox(self.folder / "root"))

    def run_fake(self, body, said=report("OK"), seconds_max=20, **more):
        """Runs a program that is the shell script `body`; REPORT writes what gtest would."""
        write = f"for a; do case $a in --gtest_output=json:*) cat >${{a#*json:}} <<'E'\n{said}\nE\nesac; done"
        program = self.write("build/fake", "#!/bin/bash\n" + body.replace("REPORT", write), 0o755)
        return gtest.run_program(self.sandbox, gtest.Run(
            program=program, preset="release", seconds_max=seconds_max, **more))

    def assert_one_failure(self, outcome, text):
        self.assertEqual((outcome.passed, len(outcome.failed)), (0, 1), outcome)
        self.assertIn(text, outcome.failed[0][1])

    def test_counts_what_is_reported(self):
        outcome = self.run_fake("REPORT\nexit 1", report("OK", "FAILED", "SKIPPED", "DISABLED", "OK"))
        self.assertEqual(outcome.totals(), "2 passed, 1 failed, 2 skipped")
        self.assertEqual(outcome.failed[0][0], "fake:S.t1")
        self.assertIn("expected more", outcome.failed[0][1])

    def test_crash_is_a_failure(self):
        self.assert_one_failure(self.run_fake("kill -SEGV $$"), "signal 11")

    def test_no_report_is_a_failure_even_with_exit_0(self):
        self.assert_one_failure(self.run_fake("exit 0"), "exit 0 without a report")

    def test_report_without_a_test_is_a_failure(self):
        self.assert_one_failure(self.run_fake("REPORT", report()), "no test matches")

    def test_with_a_filter_a_program_may_have_no_test(self):
        outcome = self.run_fake("REPORT", report(), may_be_empty=True)
        self.assertEqual(outcome.totals(), "0 passed, 0 failed, 0 skipped")

    def test_a_suite_is_dealt_out_and_counted_as_one(self):
        program = self.write("build/dealt", f"""#!/bin/bash
            case "$*" in
              *--gtest_list_tests*) echo S.; printf '  t%s\\n' {{1..30}}; exit ;;
            esac
            said='{report("OK")}' code=0
            [ "$GTEST_SHARD_INDEX/$GTEST_TOTAL_SHARDS" != 1/2 ] || {{ said='{report("FAILED")}' code=1; }}
            for a; do case $a in --gtest_output=json:*) echo "$said" >"${{a#*json:}}" ;; esac; done
            exit $code""", 0o755)
        context = Context(self.folder / "root", self.sandbox)
        runs = in_shards(context, [gtest.Run(program=program, preset="release")])
        self.assertEqual([(run.shard, run.shards) for run in runs], [(0, 2), (1, 2)])
        with contextlib.redirect_stdout(io.StringIO()) as said:
            outcome = run_all(context, runs, parallel=2)
        self.assertEqual(outcome.totals(), "1 passed, 1 failed, 0 skipped")
        self.assertEqual(said.getvalue().split(), ["dealt", *outcome.totals().split()])

    def test_crash_after_a_good_report_is_a_failure(self):
        outcome = self.run_fake("REPORT\nkill -ABRT $$")
        self.assertEqual(outcome.totals(), "1 passed, 1 failed, 0 skipped")

    def test_exit_0_with_failed_tests_is_one_failure_more(self):
        self.assertEqual(len(self.run_fake("REPORT", report("FAILED")).failed), 2)

    def test_time_limit(self):
        start = time.monotonic()
        self.assert_one_failure(self.run_fake("sleep 60 & wait", seconds_max=1), "took over 1 s")
        self.assertLess(time.monotonic() - start, 30)

    def test_processes_left_behind_are_ended_and_a_failure(self):
        outcome = self.run_fake("setsid sleep 987 & REPORT")
        self.assertEqual(len(outcome.failed), 1)
        self.assertIn("sleep 987", outcome.failed[0][1])
        self.assertEqual(leftovers(self.sandbox.folder), [])

    def test_left_process_without_environment_is_found_by_its_folder(self):
        outcome = self.run_fake("cd $TMPDIR; setsid env -i sleep 986 & REPORT")
        self.assertEqual(len(outcome.failed), 1)

    def test_missing_program_is_a_failure(self):
        outcome = gtest.run_program(self.sandbox, gtest.Run(self.folder / "absent", "release"))
        self.assert_one_failure(outcome, "not built")

    def test_program_sees_the_sandbox_and_no_secrets(self):
        os.environ["PGPASSWORD"] = "secret"
        self.addCleanup(os.environ.pop, "PGPASSWORD")
        outcome = self.run_fake(
            "set -e; [ -z \"$PGPASSWORD\" ]; touch $HOME/x $TMPDIR/y; [ \"$MORE\" = 1 ];"
            "[ -r $HOLDFAST_TEST_TOOLS/b.txt ]; [ -r $HOLDFAST_TEST_SOURCE_DIR/tests/a.txt ];"
            "[ ! -t 0 ]; ! read line; REPORT", environment={"MORE": "1"})
        self.assertEqual(outcome.totals(), "1 passed, 0 failed, 0 skipped")

    def test_what_a_sanitizer_finds_in_any_process_is_a_failure(self):
        outcome = self.run_fake("for i in 1 2; do echo \"race $i\" >$LOG.$i; done; REPORT",
                                environment={"LOG": f"$TMPDIR/{gtest.SANITIZER_LOG}"})
        self.assertEqual(outcome.totals(), "1 passed, 2 failed, 0 skipped")
        self.assertEqual([detail for _, detail in outcome.failed], ["race 1", "race 2"])

    def test_root_runs_tests_as_another_user(self):
        owner = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        outcome = self.run_fake(f"[ $(id -un) = {owner} ] && [ $(id -G | wc -w) -ge 1 ] || exit 9; REPORT")
        self.assertEqual(outcome.totals(), "1 passed, 0 failed, 0 skipped")

    def test_sandbox_is_removed_whatever_is_in_it(self):
        with Sandbox(self.folder / "root") as sandbox:
            self.sandbox = sandbox
            outcome = self.run_fake("mkdir $TMPDIR/closed; touch $TMPDIR/closed/x;"
                                    "chmod 0 $TMPDIR/closed; REPORT")
            self.assertEqual(outcome.passed, 1)
        self.assertFalse(sandbox.folder.exists())


class Totals(unittest.TestCase):
    def test_skips_are_asked_for_by_pattern(self):
        outcome = Outcome(1, [], [("engine:A.b", "why"), ("crash:C.d", "why")])
        self.assertEqual(outcome.skips_not_asked_for(["engine:*"]), [("crash:C.d", "why")])
        self.assertEqual(outcome.skips_not_asked_for([]), outcome.skipped)


class Coverage(ToolTest):
    def test_counters_of_this_run_come_to_where_gcov_finds_them(self):
        self.write("src/a.cpp", "int main(int n, char**) {\n  if (n > 1) {\n    return 3;\n  }\n"
                                "  return 0;\n}\n")
        build = self.folder / "build"
        build.mkdir()
        for command in (["-c", "../src/a.cpp", "-o", "a.o"], ["a.o", "-o", "a"]):
            subprocess.run(["g++", "--coverage", "-O0", *command], cwd=build, check=True)
        subprocess.run([build / "a", "more"], cwd=build)  # an earlier run
        self.assertTrue((build / "a.gcda").exists())
        counters = self.folder / "counters"
        environment = os.environ | {"GCOV_PREFIX": str(counters)}
        subprocess.run([build / "a"], cwd=build, check=True, env=environment)
        self.assertEqual(tools.gather_counters(build, counters), 1)
        _, said, _ = self.run_tool("gcov", "-n", build / "a.gcda")
        self.assertIn("Lines executed:75.00% of 4", said)

    def test_without_counters_there_is_no_figure(self):
        self.assertEqual(tools.gather_counters(self.folder, self.folder / "counters"), 0)


class CommandLine(ToolTest):
    def test_a_filter_that_matches_nothing_fails(self):
        code, said, errors = self.run_tool(ROOT / "test", "--tier", "style", "-k", "NoSuchName")
        self.assertEqual(code, 1)
        self.assertEqual(said.splitlines()[-1], "0 passed, 0 failed, 0 skipped")
        self.assertIn("no test's name contains 'NoSuchName'", errors)

    def test_totals_stand_once_on_a_line_and_a_check_can_be_picked(self):
        code, said, _ = self.run_tool(ROOT / "test", "--tier", "style", "-k", "style:shellcheck")
        self.assertEqual(said.splitlines()[-1], "1 passed, 0 failed, 0 skipped", said)
        self.assertEqual(said.splitlines().count("1 passed, 0 failed, 0 skipped"), 1)
        self.assertEqual(code, 0)

    def test_unknown_tier_is_refused(self):
        self.assertEqual(self.run_tool(ROOT / "test", "--tier", "unti")[0], 2)


class Filters(unittest.TestCase):
    def test_wide_tests_are_left_out_of_other_runs_only(self):
        self.assertEqual(Context(ROOT, None).gtest_filter(), "*-*Wide*")
        self.assertEqual(Context(ROOT, None).gtest_filter(("A", "B")), "*A*:*B*-*Wide*")
        self.assertEqual(Context(ROOT, None).gtest_filter((), ("Slow",)), "*-*Wide*:*Slow*")
        self.assertEqual(Context(ROOT, None, wide=True).gtest_filter((), ("Slow",)), "*")
        self.assertEqual(Context(ROOT, None, filter="x").gtest_filter(), "*x*-*Wide*")


class SourcesOfTests(ToolTest):
    def test_programs_by_folder_and_by_test_name(self):
        self.write("tests/unit/core/a_test.cpp", "// Concurrent\nTEST(Bytes, Grow) {}\n")
        self.write("tests/engine/b_test.cpp", "TEST_F(Backup,\n       ConcurrentWrites) {}\n")
        self.write("tests/support/c.cpp", "TEST(No, Suite) {}\n")
        self.write("tests/empty/readme.txt", "")
        programs = Programs(self.folder)
        self.assertEqual(programs.unit(), ["unit_core"])
        self.assertEqual(programs.suites(), ["engine"])
        self.assertEqual(programs.with_tests_named("Concurrent"), ["engine"])


if __name__ == "__main__":
    unittest.main()
