#!/usr/bin/env python3
"""The ready-made hooks of deploy/hooks, with service managers that do, or do not do, what they are told."""
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What it is told is written down; a unit in "stubborn" comes back, one in "dead" does not start; how a
# cluster "unknown" is, nobody can read.
SYSTEMCTL = """#!/bin/sh
cd "$(dirname "$0")"
case $1 in
  start) echo "$*" >>told; [ "$2" = dead ] || touch "up-$2" ;;
  stop) echo "$*" >>told; [ "$2" = stubborn ] || rm -f "up-$2" ;;
  --quiet) [ -e "up-$3" ] ;;
  show) if [ -e "up-$4" ]; then echo active; else echo inactive; fi ;;
esac
"""
PG_CTLCLUSTER = """#!/bin/sh
cd "$(dirname "$0")"
case $3 in
  status) [ "$2" != unknown ] || exit 1; [ -e "up-$2" ] || exit 3 ;;
  start) echo "$*" >>told; [ "$2" = dead ] || touch "up-$2" ;;
  stop) echo "$*" >>told; [ "$2" = stubborn ] || rm -f "up-$2" ;;
esac
"""


class HooksTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.bin = Path(self.folder.name)
        for name, text in (("systemctl", SYSTEMCTL), ("pg_ctlcluster", PG_CTLCLUSTER),
                           ("sudo", '#!/bin/sh\nshift\nexec "$@"\n')):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)

    def tearDown(self):
        self.folder.cleanup()

    def hook(self, name, *arguments):
        path = f"{self.bin}:{os.environ['PATH']}"
        return subprocess.run(["sh", ROOT / "deploy/hooks" / name, *arguments], env={"PATH": path},
                              capture_output=True, check=False).returncode

    def told(self):
        told = self.bin / "told"
        return told.read_text().splitlines() if told.exists() else []

    def test_systemd_starts_and_stops_every_unit(self):
        self.assertEqual(self.hook("systemd", "start", "app", "worker"), 0)
        self.assertEqual(self.hook("systemd", "stop", "app", "worker"), 0)
        self.assertEqual(self.told(), ["start app", "start worker", "stop app", "stop worker"])

    def test_systemd_fails_where_a_unit_is_not_what_it_should_be(self):
        self.hook("systemd", "start", "stubborn")
        self.assertEqual(self.hook("systemd", "stop", "stubborn"), 1)
        self.assertNotEqual(self.hook("systemd", "start", "dead"), 0)

    def test_pg_ctlcluster_starts_and_stops_once(self):
        self.assertEqual(self.hook("pg_ctlcluster", "start", "15", "main"), 0)
        self.assertEqual(self.hook("pg_ctlcluster", "start", "15", "main"), 0)
        self.assertEqual(self.hook("pg_ctlcluster", "stop", "15", "main"), 0)
        self.assertEqual(self.hook("pg_ctlcluster", "stop", "15", "main"), 0)
        self.assertEqual(self.told(), ["15 main start", "15 main stop"])

    def test_pg_ctlcluster_fails_where_the_cluster_is_not_what_it_should_be(self):
        self.hook("pg_ctlcluster", "start", "15", "stubborn")
        self.assertNotEqual(self.hook("pg_ctlcluster", "stop", "15", "stubborn"), 0)
        self.assertNotEqual(self.hook("pg_ctlcluster", "start", "15", "dead"), 0)

    def test_pg_ctlcluster_fails_where_nobody_knows_how_the_cluster_is(self):
        self.assertNotEqual(self.hook("pg_ctlcluster", "start", "15", "unknown"), 0)
        self.assertNotEqual(self.hook("pg_ctlcluster", "stop", "15", "unknown"), 0)
        self.assertEqual(self.told(), ["15 unknown start", "15 unknown stop"])

    def test_what_makes_no_sense_is_refused(self):
        for arguments in ((), ("restart", "app"), ("stop",)):
            self.assertEqual(self.hook("systemd", *arguments), 2)
            self.assertEqual(self.hook("pg_ctlcluster", *arguments), 2)


if __name__ == "__main__":
    unittest.main()
