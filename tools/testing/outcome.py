"""What came out of tests: counts, and for what did not pass its name and why."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase


@dataclass
class Outcome:
    passed: int = 0
    failed: list = field(default_factory=list)   # (name, what went wrong)
    skipped: list = field(default_factory=list)  # (name, reason)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def skips_not_asked_for(self, patterns):
        return [(name, reason) for name, reason in self.skipped
                if not any(fnmatchcase(name, pattern) for pattern in patterns)]

    def totals(self):
        return (f"{self.passed} passed, {len(self.failed)} failed, "
                f"{len(self.skipped)} skipped")


def passed(count=1):
    return Outcome(passed=count)


def failed(name, detail):
    return Outcome(failed=[(name, detail)])
