"""The benchmark's context (programs, data set, S3 server: each made when first needed) and its
groups of cases, run in turn: A B C A B C …, so that a machine that gets slower meanwhile slows all.
"""

import os
import pathlib
import re
import subprocess

from harness import s3, tools
from harness.incremental import incremental_groups
from harness.measure import Run, folder_content, medians, run
from harness.memory import memory_cases
from harness.wal import wal_groups
from harness.window import window_groups
from harness.server import BenchError, HERE, check, data_set, make_folder

STARTUP_ROUNDS = 20


class Bench:
    """One benchmark in a work folder. close() stops what it started."""

    def __init__(self, options, say):
        self.options, self.say = options, say
        self.work = pathlib.Path(options.work).resolve()
        self.cores = os.cpu_count()
        self.peers = {}
        self.server = None
        self._ceph = None
        self._tools = {}
        self.on_close = []
        self._built = set()
        self.build = self.work / "build"
        self.holdfast = self._own_copy(options.holdfast) if options.holdfast else self.built("holdfast", ".")

    def _own_copy(self, program):
        """The program as it is now: a rebuild meanwhile must not change what is measured."""
        copy = self.work / "bin" / "holdfast"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(pathlib.Path(program).read_bytes())
        copy.chmod(0o755)
        return copy

    def built(self, target, folder="bench"):
        """A program of this project's release build."""
        flags = ["-G", "Ninja", "-DHOLDFAST_BENCH=ON", "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
                 "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O3 -g1 -DNDEBUG"]
        if not (self.build / "build.ninja").exists():
            self._cmake("-S", HERE.parent, "-B", self.build, *flags)
        program = self.build / folder / target
        if target not in self._built:
            self._cmake("--build", self.build, "--target", target)
            self._built.add(target)
        return program

    def _cmake(self, *words):
        done = subprocess.run(["cmake", *[str(word) for word in words]], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise BenchError("cmake failed: " + done.stdout[-2000:])

    def peer(self, name):
        if name not in self.peers:
            self.say(f"getting {name}")
            done = subprocess.run([HERE / "peers", name, self.work / "peers"], stdin=subprocess.DEVNULL, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
            if done.returncode != 0:
                raise BenchError(done.stderr[-1000:])
            self.peers[name] = pathlib.Path(done.stdout.strip().split("\n")[-1])
        return self.peers[name]

    def postgresql(self, major):
        """The folder of a PostgreSQL's programs, kept where the tests keep it."""
        cache = os.environ.get("HOLDFAST_TEST_CACHE", f"/var/tmp/holdfast-testbed-{os.getuid()}")
        done = subprocess.run([HERE.parent / "tools" / "testbed" / "pg-fetch", str(major), cache], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise BenchError(done.stderr[-1000:])
        folder = pathlib.Path(done.stdout.strip())
        self.peers[f"postgresql-{major}"] = folder / "postgres"
        return folder

    def ceph(self):
        if self._ceph is None:
            self.say("starting Ceph")
            self._ceph = s3.Ceph(self)
        return self._ceph

    def start(self):
        self.server = data_set(self.work / f"dataset-{self.options.size}", self.options.size, self.say)
        size, files = folder_content(self.server.data)
        wal, _ = folder_content(self.server.data / "pg_wal")
        # Everything measured begins with the data in the page cache.
        subprocess.run(f"find {self.server.data} -type f -print0 | xargs -0 cat >/dev/null", shell=True, check=True)
        return {"bytes": size - wal, "files": files}

    def tool(self, kind):
        if kind not in self._tools:
            self._tools[kind] = kind(self, make_folder(self.work / "tools") if not self._tools else self.work / "tools")
        return self._tools[kind]

    def remove_targets(self):
        for tool in self._tools.values():
            tool.remove_targets()

    def close(self):
        for tool in self._tools.values():
            tool.close()
        for close in self.on_close:
            close()
        if self._ceph:
            self._ceph.close()
        if self.server:
            self.server.stop()


def offers(bench, command):
    """Whether this build of Holdfast has the command."""
    return f"\n  {command}" in check([bench.holdfast, "help"])


def step(bench, kind, name):
    return kind.name, lambda: getattr(bench.tool(kind), name)()


def startup_cases(bench):
    """Wall time of commands that do next to nothing, the median of many; CPU and memory too."""
    def case(*words):
        def measure():
            holdfast = bench.tool(tools.Holdfast)
            holdfast.fresh_repository()
            command = holdfast.command(*words)
            return medians([run(command) for _ in range(STARTUP_ROUNDS)])
        return measure
    return [("holdfast version", case("version")), ("holdfast list, empty repository", case("list"))]


def groups(bench):
    """Title → cases (name, function that makes a Run)."""
    folder = [tools.Holdfast, tools.HoldfastEncrypted, tools.PgBackRest, tools.PgBackRestLevel1, tools.BaseBackup,
              tools.BaseBackupWorkers, tools.BaseBackupClient, tools.BaseBackupPlain, tools.Tar1, tools.Tar3,
              tools.CompressionAlone]
    if not offers(bench, "key"):
        folder.remove(tools.HoldfastEncrypted)
    verifying = [tools.PgBackRest] + ([tools.Holdfast] if offers(bench, "verify") else [])
    near = [s3.HoldfastS3, s3.PgBackRestS3]
    far = [s3.HoldfastS3Far, s3.PgBackRestS3Far]
    result = {
        "backup, folder": [step(bench, kind, "backup") for kind in folder],
        "restore, folder": [step(bench, kind, "restore") for kind in
                            (tools.Holdfast, tools.HoldfastEncrypted, tools.PgBackRest, tools.Tar1)
                            if kind in folder],
        "verify, folder": [step(bench, kind, "verify") for kind in verifying],
        "backup, S3": [step(bench, kind, "backup") for kind in near],
        "restore, S3": [step(bench, kind, "restore") for kind in near],
        f"backup, S3 {s3.ROUND_TRIP_MS} ms": [step(bench, kind, "backup") for kind in far],
        f"restore, S3 {s3.ROUND_TRIP_MS} ms": [step(bench, kind, "restore") for kind in far],
        "barman-cloud, S3, backup": [step(bench, s3.BarmanCloud, "backup")],
        "barman-cloud, S3, restore": [step(bench, s3.BarmanCloud, "restore")],
        "start": startup_cases(bench),
        "memory": memory_cases(bench), **wal_groups(bench), **window_groups(bench), **incremental_groups(bench)}
    return {title: chosen(title, cases, bench.options.only) for title, cases in result.items()}


def chosen(title, cases, pattern):
    return [case for case in cases if not pattern or re.search(pattern, f"{title}: {case[0]}")]


# Groups that are not timed: the warm-up and repetitions would tell nothing more.
ONCE = ("memory", "start", "barman-cloud, S3, backup", "barman-cloud, S3, restore")


def measure_group(bench, title, cases):
    """(name, median, runs) of each case; one warm-up each, then all in turn, so many times."""
    rounds = 1 if title in ONCE else bench.options.runs
    gathered = {name: [] for name, _ in cases}
    for turn in range(0 if title not in ONCE else 1, rounds + 1):
        for name, measure in cases:
            bench.say(f"{title}: {name}, {f'run {turn} of {rounds}' if turn else 'warm-up'}")
            result = measure()
            if turn:
                gathered[name].append(result)
    bench.remove_targets()
    return [(name, medians(runs), runs) for name, runs in gathered.items()]
