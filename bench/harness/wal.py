"""WAL archiving and recovery: the same segments of a real server pushed and fetched, file after file
as PostgreSQL calls (wal_driver.py), into and out of a folder or S3.

A backlog is pushed with every segment waiting from the start. "One at a time" is what a quiet server
does: each call finds no other segment waiting, so nothing is stored ahead. Getting is measured
without a pause, and with REPLAY_SECONDS between the calls, as if each segment were replayed: then the
calls that took more than WAITED_MS are counted, which recovery had to wait for.
CPU time of what a tool leaves behind as a daemon is not the calls'; it stands under OTHERS.
"""

import json
import pathlib
import shutil
import statistics

from harness import s3, tools
from harness.server import Server, check, make_folder, server_user

SEGMENTS = 64
ONE_AT_A_TIME = 10
REPLAY_SECONDS = 0.15
WAITED_MS = 60


class PgBackRestSync(tools.PgBackRest):
    """pgBackRest that stores each segment in the call itself."""
    name = "pgbackrest-sync"
    asynchronous = False


class PgBackRestSyncFar(s3.PgBackRestS3Far):
    name = "pgbackrest-sync-s3-20ms"
    asynchronous = False


class WalBench:
    """The benchmark with a server of its own, whose WAL is what is archived."""

    def __init__(self, bench):
        self._bench = bench
        self.folder = bench.work / "wal"
        self.originals = self.folder / "originals"
        self.server = Server(self.folder / "server")
        self.tools = {}
        self.runs = 0
        self.files = []

    def __getattr__(self, name):
        return getattr(self._bench, name)

    def prepare(self):
        if self.files:
            return
        if not (self.folder / "complete").exists():
            self._bench.say("making WAL")
            make_folder(self.folder, 0o755)
            self.server.create()
            self.server.start()
            self.make_wal()
        elif not self.server.pid():  # one that was cut short may have left it running
            self.server.start()
        self.files = sorted(path.name for path in self.originals.iterdir())[:SEGMENTS]
        self.driver = self.folder / "driver.py"
        shutil.copy(pathlib.Path(__file__).with_name("wal_driver.py"), self.driver)

    def make_wal(self):
        """Loading and updating pgbench's table: rows, index entries and full page images."""
        server = self.server
        server.archive_with("false")
        client = ["-h", server.socket, "-p", server.port, "-U", "postgres"]
        check([server.bin / "pgbench", "-i", "-q", "-s", "20", *client, "postgres"])
        status = server.data / "pg_wal" / "archive_status"
        while len(list(status.glob("0*.ready"))) <= SEGMENTS:
            check([server.bin / "psql", *client, "-c", "update pgbench_accounts set abalance = random() * 1000000"])
        make_folder(self.originals, 0o755)
        for ready in sorted(status.glob("0*.ready")):
            if len(ready.stem) == 24:
                shutil.copy(server.data / "pg_wal" / ready.stem, self.originals)
        give_all(self.originals)
        server.archive_with("true")
        (self.folder / "complete").touch()

    def data_directory(self, files):
        """One that looks, to archive commands, like the server's, with these segments in it."""
        self.runs += 1
        shutil.rmtree(self.folder / f"data-{self.runs - 1}", ignore_errors=True)
        data = make_folder(self.folder / f"data-{self.runs}")
        (data / "global").mkdir()
        shutil.copy(self.server.data / "global" / "pg_control", data / "global")
        shutil.copy(self.server.data / "PG_VERSION", data)
        (data / "pg_wal" / "archive_status").mkdir(parents=True)
        for name in files:
            shutil.copy(self.originals / name, data / "pg_wal")
        give_all(data)
        return data

    def tool(self, kind):
        if kind not in self.tools:
            self.tools[kind] = kind(self, make_folder(self.folder / "tools") if not self.tools else self.folder / "tools")
        return self.tools[kind]

    def close(self):
        for tool in self.tools.values():
            tool.close()
        self.server.stop()


def give_all(folder):
    """To the server's user, who runs what is measured."""
    for path in [folder, *folder.rglob("*")]:
        if path.owner() != server_user():
            shutil.chown(path, server_user())


class Steps:
    """Pushing and getting with one tool."""

    def __init__(self, bench, kind):
        self.bench, self.kind = bench, kind
        self.archived = None

    def words(self, data, *words):
        tool = self.bench.tool(self.kind)
        if isinstance(tool, tools.PgBackRest):
            words = [f"--pg1-path={data}", *words]
        return " ".join(str(word) for word in tool.command(*words))

    def drive(self, what, data, files, command, **options):
        options = {"data": str(data), "files": files, "command": command, "originals": str(self.bench.originals),
                   **options}
        result = self.bench.tool(self.kind).run(["python3", self.bench.driver, what, json.dumps(options)])
        # What the tools said, warnings of pgBackRest for example, stands before the driver's line.
        result.calls = json.loads(result.output.strip().splitlines()[-1])["milliseconds"]
        return result

    def push(self, files, backlog):
        self.bench.prepare()
        tool = self.bench.tool(self.kind)
        tool.fresh_repository()
        data = self.bench.data_directory(files)
        if backlog:
            for name in files:
                (data / "pg_wal" / "archive_status" / f"{name}.ready").touch()
        give_all(data)
        result = self.drive("push", data, files, self.words(data, "archive-push", '"%p"'), backlog=backlog)
        tool.count_stored(result)
        self.archived = tool.repository if len(files) == SEGMENTS else None
        return result

    def backlog(self):
        self.bench.prepare()
        return self.push(self.bench.files, True)

    def one_at_a_time(self):
        self.bench.prepare()
        result = self.push(self.bench.files[:ONE_AT_A_TIME], False)
        result.wall = statistics.median(result.calls) / 1000
        result.cpu /= ONE_AT_A_TIME
        return result

    def get(self, pause=0.0):
        self.bench.prepare()
        if self.archived is None:
            self.backlog()
        data = self.bench.data_directory([])
        result = self.drive("get", data, self.bench.files, self.words(data, "archive-get", "%f", '"%p"'), pause=pause)
        result.wall -= pause * len(self.bench.files)
        return result

    def replay(self):
        result = self.get(REPLAY_SECONDS)
        waited = [took for took in result.calls if took > WAITED_MS]
        self.bench.say(f"{self.kind.name}: median call {statistics.median(result.calls):.0f} ms, "
                       f"{len(waited)} of {len(result.calls)} took more than {WAITED_MS} ms")
        return result


def wal_groups(bench):
    """Title → cases, as bench.groups()."""
    own = WalBench(bench)
    bench.on_close.append(own.close)
    folder = [Steps(own, kind) for kind in (tools.Holdfast, PgBackRestSync, tools.PgBackRest)]
    far = [Steps(own, kind) for kind in (s3.HoldfastS3Far, PgBackRestSyncFar, s3.PgBackRestS3Far)]
    result = {}
    for where, steps in (("folder", folder), (f"S3 {s3.ROUND_TRIP_MS} ms", far)):
        result |= {
            f"WAL push, {SEGMENTS} waiting, {where}": [(step.kind.name, step.backlog) for step in steps],
            f"WAL push, one at a time, a call, {where}": [(step.kind.name, step.one_at_a_time) for step in steps],
            f"WAL get, {SEGMENTS}, {where}": [(step.kind.name, step.get) for step in steps],
            f"WAL get, {SEGMENTS} replayed, {where}": [(step.kind.name, step.replay) for step in steps]}
    return result


WAL_BYTES = SEGMENTS << 24
