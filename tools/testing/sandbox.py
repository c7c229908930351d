"""Where tests run: a private folder on disk, and the user that they run as.

PostgreSQL refuses to run as root, and root passes every permission test, so as root the programs run
as `postgres`. A clone under /root is unreadable to that user: programs, testbed scripts and test data
are copied into the folder. HOME and TMPDIR point into it, and it is removed at the end.

Tests find what they need through the environment:
  HOLDFAST_TEST_PROGRAM     the program `holdfast` of the build under test
  HOLDFAST_TEST_SOURCE_DIR  a readable copy of tests/, tools/ and docs/ (instead of the clone)
  HOLDFAST_TEST_TOOLS       its tools/testbed
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

USER = "postgres"
SECONDS_TO_STOP_BY_ITSELF = 20
SECONDS_TO_TERMINATE = 5


class Sandbox:
    """Use as a context manager. `root` is the clone."""

    def __init__(self, root):
        self.root = root
        # Short, because paths of Unix sockets may have 107 bytes; /var/tmp, because it is on disk.
        self.folder = Path(tempfile.mkdtemp(prefix="hf-", dir="/var/tmp"))
        self.as_user = []
        self.numbers = itertools.count(1)
        if os.getuid() == 0:
            self.as_user = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "--"]
        self._copy_sources()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stop_leftovers(self.folder, wait=False)
        # A test may have taken its own rights away on purpose.
        subprocess.run(["chmod", "-R", "u+rwX", str(self.folder)], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _copy_sources(self):
        for name in ("tests", "tools", "docs", "deploy"):
            shutil.copytree(self.root / name, self.folder / "source" / name, symlinks=True)
        for name in ("home", "t", "bin"):
            (self.folder / name).mkdir()
        self._own(self.folder)
        self.folder.chmod(0o755)

    def _own(self, path):
        """Gives `path` and what is in it to the user that the tests run as."""
        if self.as_user:
            user = pwd.getpwnam(USER)
            subprocess.run(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}", str(path)], check=True)

    def take(self, program, preset):
        """A copy of `program` that the tests' user can run; the same one when taken before."""
        target = self.folder / "bin" / preset / program.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(program, target)
            target.chmod(0o755)
            target.parent.chmod(0o755)
        return target

    def counters(self):
        """Where programs built for coverage leave their counters."""
        folder = self.folder / "counters"
        if not folder.exists():
            folder.mkdir()
            self._own(folder)
        return folder

    def environment(self, preset, more):
        """For one run of a test program; each has a TMPDIR of its own, which $TMPDIR in the values of
        `more` stands for."""
        temporary = self.folder / "t" / str(next(self.numbers))
        temporary.mkdir()
        self._own(temporary)
        kept = {k: v for k, v in os.environ.items()
                if not k.startswith(("PG", "AWS_", "HOLDFAST_", "GTEST_"))
                and k not in ("XDG_RUNTIME_DIR", "MAIL")}
        return kept | {
            "HOME": str(self.folder / "home"), "TMPDIR": str(temporary),
            "USER": USER if self.as_user else os.environ.get("USER", "tester"),
            "LOGNAME": USER if self.as_user else os.environ.get("LOGNAME", "tester"),
            "LC_ALL": "C.UTF-8", "TZ": "UTC",
            "HOLDFAST_TEST_PROGRAM": str(self.folder / "bin" / preset / "holdfast"),
            "HOLDFAST_TEST_SOURCE_DIR": str(self.folder / "source"),
            "HOLDFAST_TEST_TOOLS": str(self.folder / "source" / "tools" / "testbed"),
        } | {name: value.replace("$TMPDIR", str(temporary)) for name, value in more.items()}


def leftovers(folder):
    """Processes that a test left: TMPDIR or working directory in `folder`, as (id, command line).
    (Both are looked at: PostgreSQL overwrites the memory that its environment is shown from.)"""
    found = []
    variables = (f"TMPDIR={folder}/".encode(), f"TMPDIR={folder}\0".encode())
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
            inside = f"{os.readlink(entry / 'cwd')}/".startswith(f"{folder}/")
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            if (inside or any(v in environment for v in variables)) and state != "Z":
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                found.append((int(entry.name), command.decode(errors="replace").strip()))
        except OSError:
            continue  # ended meanwhile, or another user's
    return found


def stop_leftovers(folder, wait):
    """Ends what tests left running in `folder`; with `wait` it may first end by itself for a moment.
    Returns the command lines of what had to be ended."""
    deadline = time.monotonic() + (SECONDS_TO_STOP_BY_ITSELF if wait else 0)
    while (left := leftovers(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    named = [command for _, command in left]
    for number, seconds in ((signal.SIGTERM, SECONDS_TO_TERMINATE), (signal.SIGKILL, 2)):
        for process, _ in left:
            try:
                os.kill(process, number)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + seconds
        while (left := leftovers(folder)) and time.monotonic() < deadline:
            time.sleep(0.1)
        if not left:
            break
    return named
