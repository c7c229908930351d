"""Incremental backups of a PostgreSQL 17 in which one page in a hundred of every relation file was
changed since the last one (changes.sql), and restores of the last of many.

Each turn of a group changes the cluster once, and every tool then takes its own incremental of the
same pages. So that the tools do not pay for each other, WAL is archived by the tool at work; what was
archived meanwhile for others, or while the cluster was changed, each one pushes with its own command
before its turn, not timed. WAL summaries are off, and out of sight, while a tool works that shall not
use them.

READ MB is for Holdfast what it says that it read of the cluster's files, for pgBackRest what its
processes asked the kernel for (rchar in /proc/PID/io: its pipes and repository too), for
pg_basebackup the same of the server. CHANGED MB is what Holdfast found changed, and with WAL summaries
what those say of main forks. STORED MB is without WAL.
"""

import collections
import json
import os
import pathlib
import shutil
import time

from harness import tools
from harness.measure import folder_content, run
from harness.server import BenchError, HERE, Server, check, data_set, make_folder

MAJOR = 17
DATABASES = 4  # of the large cluster: the data set so many times
ROUNDS = 30
TURNS = 100  # changes.sql changes other pages each time until then
SETTINGS = """
wal_keep_size = 4GB
summarize_wal = off
"""
PATIENCE_SECONDS = 120


class Incremental:
    """Before a tool: takes backups that build on each other, in the server of a Cluster."""
    summaries = False  # whether WAL summaries are for it
    last = full = None  # backups: the last incremental one, and the last full one

    def run(self, command, **more):
        if self.bench.timed:
            return super().run(command, **more)
        self.bench.server.archive_with(self.archive_command)
        return run(command, server=self.bench.server, **more)

    def measured(self, command, *stored_in):
        """A run of a backup, and what it stored in these folders."""
        before = [folder_content(folder) for folder in stored_in]
        plain = self.archive_command
        self.archive_command = self.bench.logged(plain)
        try:
            result = self.run(command)
        finally:
            self.archive_command = plain
        after = [folder_content(folder) for folder in stored_in]
        result.stored = sum(size for size, _ in after) - sum(size for size, _ in before)
        result.objects = sum(count for _, count in after) - sum(count for _, count in before)
        return result

    def prepare(self):
        """A repository that is archived to, with a full backup."""
        self.fresh_repository()
        self.ready = True
        push = self.push('"$1"')
        self.archive_command = " ".join(str(word) for word in push) if push else "true"
        result, self.full = self.take("full")
        return result

    def push(self, path):
        """A command that archives this file from the data folder."""
        raise NotImplementedError

    def take(self, kind):
        """A backup, "full" or "incr": the Run, and its name."""
        raise NotImplementedError

    def restore_once(self, backup):
        """Files keep their inodes and lose their content: see Tool.restore."""
        self.restore_command = lambda: self.restore_words(backup)
        result = self.restore()
        for path in self.target.rglob("*"):
            if path.is_file() and not path.is_symlink():
                os.truncate(path, 0)
        return result


class PgBackRest(Incremental, tools.PgBackRest):
    """With block incremental, as tools.PgBackRest is set up."""

    def take(self, kind):
        result = self.measured(self.command("backup", f"--type={kind}"), self.repository / "backup")
        result.read = result.asked
        return result, json.loads(check(self.command("info", "--output=json")))[0]["backup"][-1]["label"]

    def push(self, path):
        # The asynchronous one looks for files that wait: those of other turns do no longer.
        return self.command(*([] if path == '"$1"' else ["--no-archive-async"]), "archive-push", path)

    def restore_words(self, backup):
        return self.command("restore", f"--set={backup}", f"--pg1-path={self.target}", "--type=immediate")


class Holdfast(Incremental, tools.Holdfast):
    """From the index that archive-push makes of WAL."""
    name = "holdfast-index"
    more_backup = ", refresh: 0"
    source = "wal index"
    arguments = ()

    def take(self, kind):
        words = self.arguments if kind == "incr" else ()
        # WAL lies beside the backups, below <cluster>/<history>.
        result = self.measured(self.command("--output", "json", "backup", "--type", kind, *words),
                               *self.repository.glob("bench/*/backup"))
        facts = json.loads(result.output)["result"]
        if kind == "incr":
            used = facts["incremental"]
            if used["source"] != self.source:
                raise BenchError(f"{self.name}: changes from {used['source']} ({used['source_reason']})")
            result.read, result.changed = used["read_bytes"], used["changed_bytes"]
            self.bench.say(f"{self.name}: {result.changed / 1e6:.1f} MB changed, {result.stored / 1e6:.1f} stored, "
                           f"{result.read / 1e6:.1f} read ({result.asked / 1e6:.1f} asked for)")
        return result, facts["id"]

    def push(self, path):
        return self.command("archive-push", path)

    def restore_words(self, backup):
        return self.command("restore", backup, "--to", self.target)


class HoldfastReread(Holdfast):
    """Reading and comparing everything."""
    name = "holdfast-reread"
    source = "comparison"
    arguments = ("--reread",)


class HoldfastSummaries(Holdfast):
    """From PostgreSQL's WAL summaries."""
    name = "holdfast-summaries"
    source = "wal summaries"
    summaries = True


class BaseBackup(Incremental, tools.BaseBackup):
    """Of each backup only the manifest is kept, which is all that the next one needs."""
    name = "pg_basebackup-incremental"
    summaries = True

    def take(self, kind):
        server, manifest = self.bench.server, self.folder / "backup_manifest"
        make_folder(self.repository)
        words = ["-D", self.repository, "-h", server.socket, "-p", server.port, "-U", "postgres", "-X", "none",
                 "-c", "fast", *self.arguments]
        if kind == "incr":
            words.append(f"--incremental={manifest}")
        result = self.measured([server.bin / "pg_basebackup", *words], self.repository)
        result.read = result.server_asked
        shutil.copy(self.repository / "backup_manifest", manifest)
        os.chmod(manifest, 0o644)
        make_folder(self.repository)
        return result, None

    def push(self, path):
        return None


class Cluster:
    """A copy of the data set in a server of its own, that is changed in turns. Stands for the Bench that the
    tools know. All of it goes with close()."""

    def __init__(self, bench, name, databases):
        self._bench, self._databases = bench, databases
        self.folder = bench.work / name
        self.server = None
        self.tools = {}
        self.turn = 0
        self.timed = True
        self.log = self.folder / "archived"
        self._had = collections.defaultdict(set)  # kind of tool → the WAL that its archive has
        self._seen = {}  # kind of tool → the last turn that it has a backup of

    def __getattr__(self, name):
        return getattr(self._bench, name)

    def prepare(self):
        if self.server:
            return
        original = self._bench.postgresql(MAJOR)
        base = data_set(self.work / f"dataset-{MAJOR}-{self.options.size}", self.options.size, self.say, original)
        base.stop()
        Server(self.folder / "server").stop()  # of a run that was killed
        make_folder(self.folder, 0o755)
        self.server = Server(self.folder / "server", original)
        self.say(f"copying the data set into {self.server.folder}")
        check(["cp", "-a", base.folder, self.server.folder])
        self.server.more_settings = SETTINGS
        self.server.archive_with("true")
        self.server.start()
        for copy in self.databases()[1:]:
            self.server.psql(f"create database {copy} template bench strategy file_copy")
        self.server.psql("checkpoint")
        self.server.archive_with(self.logged("true"))
        self.server.psql("select pg_switch_wal()")
        make_folder(self.folder / "tools")
        size, files = folder_content(self.server.data / "base")
        self.say(f"cluster of {size / 1e6:.0f} MB in {files} files")

    def databases(self):
        return ["bench"] + [f"bench{n}" for n in range(2, self._databases + 1)]

    def logged(self, command):
        return f'{command} || exit 1\necho "$1" >>{self.log}'

    def archived(self):
        """Segments, as paths from the data folder, in the order in which they were archived."""
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        return [path for path in dict.fromkeys(text.split()) if len(path.rsplit("/", 1)[1]) == 24]

    def begin_with(self, kind):
        """The tool's full backup, once."""
        if kind not in self.tools:
            self.prepare()
            self.tools[kind] = tool = kind(self, self.folder / "tools")
            self._had[kind].update(self.archived())
            self.show_summaries(tool)
            self.say(f"{tool.name}: full backup")
            result = tool.prepare()
            self._had[kind].update(self.archived())
            self._seen[kind] = self.turn
            forget_pages(tool.folder)
            return result
        return None

    def change(self):
        """Everything that the next measured runs have in common."""
        self.hide_summaries()
        server = self.server
        server.archive_with(self.logged("true"))
        self.begin = server.psql("select pg_current_wal_lsn()")
        for database in self.databases():
            # Not in the order of the file, or each turn would change what lies beside the last one's.
            server.psql(file=self.script(), database=database, turn=self.turn * 37 % TURNS)
        self.turn += 1
        server.psql("checkpoint")
        segment = server.psql("select pg_walfile_name(pg_switch_wal())")
        wait_until(lambda: f"pg_wal/{segment}" in self.archived(), f"{segment} is archived")
        self.end = server.psql("select pg_current_wal_lsn()")

    def script(self):
        copy = self.folder / "changes.sql"
        if not copy.exists():
            shutil.copy(HERE / "changes.sql", copy)
        return copy

    def catch_up(self, kind):
        """Gives the tool's archive what was archived while another was at work."""
        for path in self.archived():
            if path in self._had[kind]:
                continue
            command = self.tools[kind].push(path)
            if command:
                check(command, cwd=self.server.data)
            self._had[kind].add(path)

    # WAL summaries

    def hide_summaries(self):
        self.server.psql("alter system set summarize_wal = off")
        self.server.psql("select pg_reload_conf()")
        wait_until(lambda: self.server.psql("select count(*) from pg_stat_activity "
                                            "where backend_type = 'walsummarizer'") == "0", "summaries are off")
        self.move_summaries(self.server.data / "pg_wal" / "summaries", self.hidden())

    def hidden(self):
        folder = self.folder / "summaries"
        return folder if folder.exists() else make_folder(folder)

    @staticmethod
    def move_summaries(origin, to):
        for path in origin.iterdir():
            path.rename(to / path.name)

    def show_summaries(self, tool):
        if not tool.summaries:
            return
        self.move_summaries(self.hidden(), self.server.data / "pg_wal" / "summaries")
        self.server.psql("alter system set summarize_wal = on")
        self.server.psql("select pg_reload_conf()")
        end = self.server.psql("select pg_current_wal_lsn()") if self.turn == 0 else self.end
        self.server.psql("checkpoint")
        wait_until(lambda: self.server.psql(
            f"select summarized_lsn >= '{end}' from pg_get_wal_summarizer_state()") == "t", "WAL is summarized")

    def changed_bytes(self):
        """In the last turn; only where WAL summaries were made."""
        return 8192 * int(self.server.psql(
            "select count(distinct (relfilenode, reltablespace, reldatabase, relblocknumber)) "
            "from pg_available_wal_summaries() s, pg_wal_summary_contents(s.tli, s.start_lsn, s.end_lsn) "
            f"where s.end_lsn > '{self.begin}' and s.start_lsn < '{self.end}' "
            "and relforknumber = 0 and not is_limit_block"))

    # Steps

    def incremental(self, kind):
        full = self.begin_with(kind)
        if full:  # the warm-up; now all begin with the same change
            return full
        tool = self.make_ready(kind)
        result, tool.last = tool.take("incr")
        self._had[kind].update(self.archived())
        if tool.summaries and self.timed:
            result.changed = self.changed_bytes()
        return result

    def make_ready(self, kind):
        """The tool, with the change of a turn that it has no backup of, and all WAL up to now in its archive."""
        if self._seen[kind] == self.turn:
            self.change()
        self._seen[kind] = self.turn
        self.show_summaries(self.tools[kind])
        self.catch_up(kind)
        return self.tools[kind]

    def full(self, kind):
        self.catch_up(kind)
        self.tools[kind].full = self.tools[kind].take("full")[1]
        self._had[kind].update(self.archived())

    def close(self):
        if self.server is None:
            return
        for tool in self.tools.values():
            tool.close()
        self.server.stop()
        shutil.rmtree(self.folder)


def wait_until(ready, what):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            raise BenchError(f"waited in vain until {what}")
        time.sleep(0.1)


def forget_pages(folder):
    """Repositories give the page cache back to the cluster."""
    os.sync()
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Restores:
    """Restores of the last of many incrementals, and of a full backup of the same moment."""
    kinds = (Holdfast, PgBackRest)

    def __init__(self, cluster):
        self.cluster = cluster

    def prepare(self):
        if self.cluster.turn:
            return
        self.cluster.timed = False
        for kind in self.kinds:
            self.cluster.begin_with(kind)
        for number in range(ROUNDS):
            self.cluster.say(f"changing and backing up, {number + 1} of {ROUNDS}")
            for kind in self.kinds:
                self.cluster.incremental(kind)
        for kind in self.kinds:
            self.cluster.full(kind)
        self.cluster.timed = True

    def step(self, kind, which):
        self.prepare()
        tool = self.cluster.tools[kind]
        return tool.restore_once(getattr(tool, which))

    def cases(self):
        return [(f"{kind.name}, {text}", lambda kind=kind, which=which: self.step(kind, which))
                for kind in self.kinds for which, text in (("last", f"incremental {ROUNDS}"), ("full", "full"))]


def incremental_groups(bench):
    """Title → cases, as bench.groups()."""
    large = Cluster(bench, "incremental", DATABASES)
    small = Cluster(bench, "incremental-restore", 1)
    bench.on_close += [large.close, small.close]
    kinds = (Holdfast, HoldfastReread, PgBackRest, HoldfastSummaries, BaseBackup)
    return {"incremental, 1 % changed": [(kind.name, lambda kind=kind: large.incremental(kind)) for kind in kinds],
            f"restore of incremental {ROUNDS}": Restores(small).cases()}


def ready_to_profile(bench):
    """Holdfast with an incremental backup to take of the large cluster."""
    cluster = Cluster(bench, "incremental", DATABASES)
    bench.on_close.append(cluster.close)
    cluster.incremental(Holdfast)
    cluster.incremental(Holdfast)  # warm
    tool = cluster.make_ready(Holdfast)
    cluster.server.archive_with(cluster.logged(tool.archive_command))
    return tool
