"""Peak memory of backup and restore where it is hardest to bound: very many tiny files, and one
file that is a hole of 4 GiB. Each on a small cluster of its own, beside the data set's.
"""

import subprocess

from harness import tools
from harness.server import Server, identity

TINY_FILES = 300_000
FILES_IN_FOLDER = 1_000
SPARSE_BYTES = 4 << 30

# In a process of its own that becomes the server's user.
MAKE_TINY = f"""
import os, sys
for n in range({TINY_FILES}):
    folder = os.path.join(sys.argv[1], "many", str(n // {FILES_IN_FOLDER}))
    if n % {FILES_IN_FOLDER} == 0: os.makedirs(folder, 0o700)
    with open(os.path.join(folder, f"{{n}}"), "w") as file: file.write(f"{{n}}" * (n % 40))
"""
MAKE_SPARSE = f"""
import os, sys
with open(os.path.join(sys.argv[1], "sparse"), "w") as file: os.truncate(file.fileno(), {SPARSE_BYTES})
"""


class OwnCluster(tools.Holdfast):
    """Backs up a cluster of its own, made with `script`, in place of the data set."""
    script = ""

    def __init__(self, bench, folder):
        super().__init__(bench, folder)
        self.server = Server(self.folder / "cluster")
        self.server.create()
        subprocess.run(["python3", "-c", self.script, self.server.data], check=True, **identity())

    def with_own_server(self, step):
        others, self.bench.server = self.bench.server, self.server
        try:
            if self.server.pid() is None:
                self.server.start()
            return step()
        finally:
            self.bench.server = others

    def backup(self):
        return self.with_own_server(super().backup)

    def restore(self):
        parent = super().restore
        return self.with_own_server(parent)

    def close(self):
        self.server.stop()
        super().close()


class TinyFiles(OwnCluster):
    name = "300,000-tiny-files"
    script = MAKE_TINY


class SparseFile(OwnCluster):
    name = "4-GiB-sparse-file"
    script = MAKE_SPARSE


def memory_cases(bench):
    cases = []
    for kind in (TinyFiles, SparseFile):
        for step in ("backup", "restore"):
            cases.append((f"{kind.name}, {step}", lambda kind=kind, step=step: getattr(bench.tool(kind), step)()))
    return cases
