"""Builds a CMake preset, and knows which test programs its sources make."""

import re
import subprocess
import time

from .gtest import tail
from .outcome import Outcome, failed

NOT_SUITES = {"support", "unit", "tools"}
TEST = r"\b(?:TEST|TEST_F|TEST_P|TYPED_TEST|INSTANTIATE_TEST_SUITE_P)\s*\("


class Programs:
    """Test programs by what stands in tests/, whether or not they were built."""

    def __init__(self, root):
        self.root = root
        self.folders = {}
        for folder in sorted((root / "tests").iterdir()):
            if folder.is_dir() and folder.name not in NOT_SUITES and any(folder.glob("*.cpp")):
                name = "unit_fuzz" if folder.name == "fuzz" else folder.name  # needs no server
                self.folders[name] = folder
        for folder in sorted((root / "tests" / "unit").glob("*")):
            if folder.is_dir() and any(folder.glob("*.cpp")):
                self.folders[f"unit_{folder.name}"] = folder

    def unit(self):
        return [name for name in self.folders if name.startswith("unit_")]

    def suites(self):
        return [name for name in self.folders if not name.startswith("unit_")]

    def with_tests_named(self, word):
        """Programs that have a test with `word` (or one of several, with | between) in the name of its suite or its own."""
        pattern = re.compile(TEST + r"[^)]*(?:" + word + ")")
        return [name for name, folder in self.folders.items()
                if any(pattern.search(p.read_text(encoding="utf-8")) for p in folder.glob("*.cpp"))]


def build(root, preset, targets=(), options=()):
    """Configures and builds; the outcome counts nothing when it succeeds."""
    start = time.monotonic()
    steps = [["cmake", "--preset", preset, "-DHOLDFAST_TESTS=ON", *options],
             ["cmake", "--build", "--preset", preset,
              *(["--target", *targets] if targets else [])]]
    for command in steps:
        done = subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            return failed(f"build:{preset}", f"{' '.join(command)}\n{tail(done.stdout)}")
    print(f"  built {preset} in {time.monotonic() - start:.0f} s", flush=True)
    return Outcome()
