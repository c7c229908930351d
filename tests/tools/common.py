"""What the tests of the tools share."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))


class ToolTest(unittest.TestCase):
    """Has a folder of its own, self.folder, gone at the end."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory(dir="/var/tmp", prefix="hft-")
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)

    def write(self, name, text, mode=0o644):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    def run_tool(self, *command, environment=None):
        """(exit code, stdout, stderr)"""
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, cwd=self.folder, timeout=120,
                              env=os.environ | (environment or {}))
        return done.returncode, done.stdout, done.stderr
