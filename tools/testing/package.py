"""The Debian package: made, installed into a root of its own, tried, and removed without a trace."""

import subprocess
import tempfile
from pathlib import Path

from .gtest import tail
from .outcome import failed, passed

NAME = "package"


class Wrong(Exception):
    """What was found instead of what should be."""


def must(command, **options):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode != 0:
        raise Wrong(f"{' '.join(map(str, command))}\n{tail(done.stdout)}")
    return done.stdout


def make(root, folder):
    must(["cpack", "--config", root / "build" / "release" / "CPackConfig.cmake", "-B", folder])
    made = list(Path(folder).glob("*.deb"))
    if len(made) != 1:
        raise Wrong(f"cpack made {len(made)} packages")
    return made[0]


def empty_root(folder):
    for name in ("info", "updates"):
        (folder / "var/lib/dpkg" / name).mkdir(parents=True)
    (folder / "var/lib/dpkg/status").touch()
    return ["dpkg", f"--root={folder}", "--force-depends", "--force-script-chrootless"]


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")
                  if path.is_file() and "var/lib/dpkg" not in str(path) and "var/log" not in str(path))


def installs_and_removes(package):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dpkg = empty_root(folder)
        must([*dpkg, "--install", package])
        installed = files_in(folder)
        for wanted in ("usr/bin/holdfast", "usr/share/doc/holdfast/copyright",
                       "usr/share/doc/holdfast/docs/recovery.md",
                       "usr/share/doc/holdfast/examples/holdfast.yaml"):
            if wanted not in installed:
                raise Wrong(f"{wanted} is not in the package: {installed}")
        if any(name.startswith("etc/") for name in installed):
            raise Wrong(f"the package writes to /etc: {installed}")
        if not must([folder / "usr/bin/holdfast", "version"]).startswith("holdfast "):
            raise Wrong("the installed program does not tell its version")
        must([*dpkg, "--purge", "holdfast"])
        if files_in(folder):
            raise Wrong(f"left behind: {files_in(folder)}")


def check(root):
    try:
        with tempfile.TemporaryDirectory() as folder:
            package = make(root, folder)
            depends = must(["dpkg-deb", "--field", package, "Depends"])
            for library in ("libpq5", "libcurl4", "libzstd1", "tzdata"):
                if library not in depends:
                    raise Wrong(f"does not depend on {library}: {depends}")
            installs_and_removes(package)
    except Wrong as error:
        return failed(NAME, str(error))
    return passed()
