"""The programs that are compared, each with the steps that are timed: backup, restore, verify.

Every backup begins with an empty repository and every restore with an empty target (both made
before the clock starts), and both end with what they wrote on the disk: Holdfast, pgBackRest and
pg_basebackup sync by themselves, after tar a `sync --file-system` of the target is timed.
A Tool never deletes anything outside its own folder below the work folder.
"""

import json
import os
import shutil
import subprocess

from harness import machine
from harness.measure import folder_content, run
from harness.server import BenchError, check, make_folder

# What pg_basebackup and its like leave out, so that tar does the same work as the others.
TAR_LEAVES_OUT = ["pg_wal/*", "postmaster.*", "pg_stat_tmp/*", "pgsql_tmp*"]


class Tool:
    """One way of backing up; `folder` is its own."""
    name = ""
    # None of its arguments is a path of another tool: what it makes is in here.
    archive_command = "true"

    def __init__(self, bench, folder):
        self.bench, self.folder = bench, folder / self.name
        self.target = self.folder / "target"
        self.restores = 0
        self.repository = self.folder / "repository"
        self.ready = False
        make_folder(self.folder)

    def run(self, command, **more):
        """A timed run, with the server doing for this tool what it does in production."""
        server = self.bench.server
        server.archive_with(self.archive_command)
        os.sync()
        machine.warm_memory()
        return run(command, server=server, **more)

    def fresh_repository(self):
        make_folder(self.repository)

    def count_stored(self, result):
        result.stored, result.objects = folder_content(self.repository)

    def backup_command(self):
        raise NotImplementedError

    def backup(self):
        self.fresh_repository()
        result = self.run(self.backup_command())
        self.count_stored(result)
        self.ready = True
        return result

    def restore(self):
        if not self.ready:
            self.backup()
        # A new folder each time, removed at the very end: without a journal, ext4 looks long for inodes
        # to use where files were removed within the last minutes.
        self.restores += 1
        self.target = make_folder(self.folder / f"target-{self.restores}")
        self.warm_repository()
        result = self.run(self.restore_command())
        if not (self.target / "global" / "pg_control").exists():
            raise BenchError(f"{self.name} restored nothing into {self.target}")
        return result

    def warm_repository(self):
        """Some tools leave what they wrote in the page cache, some do not; all read it from there."""
        subprocess.run(f"find {self.repository} -type f -print0 | xargs -0r cat >/dev/null", shell=True, check=True)

    def remove_targets(self):
        for path in self.folder.glob("target-*"):
            shutil.rmtree(path)

    def restore_command(self):
        raise NotImplementedError

    def verify(self):
        if not self.ready:
            self.backup()
        self.warm_repository()
        return self.run(self.verify_command())

    def verify_command(self):
        raise NotImplementedError

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Holdfast(Tool):
    """This project, unencrypted as pgBackRest is by default."""
    name = "holdfast"
    key = False
    compression = "zstd"
    more_backup = ""

    def repository_lines(self):
        return f"    url: file://{self.repository}\n"

    def configure(self):
        self.configuration = self.folder / "holdfast.yaml"
        encryption = ""
        if self.key:
            key = self.folder / "key"
            if not key.exists():
                check([self.bench.holdfast, "key", "new-file", key])
            encryption = f"    encryption: {{key_file: {key}}}\n"
        make_folder(self.folder / "state")
        self.configuration.write_text(
            f"cluster: bench\nstate_directory: {self.folder}/state\n"
            f"postgres:\n  data_directory: {self.bench.server.data}\n"
            f"  connection: \"{self.bench.server.connection()}\"\n"
            f"repositories:\n  - name: bench\n{self.repository_lines()}{encryption}"
            f"backup: {{compression: {self.compression}{self.more_backup}}}\n", encoding="utf-8")
        os.chmod(self.configuration, 0o644)

    def command(self, *words):
        return [self.bench.holdfast, "--config", self.configuration, "--no-progress", *words]

    def fresh_repository(self):
        super().fresh_repository()
        self.configure()
        check(self.command("init"))

    def backup_command(self):
        return self.command("--output", "json", "backup", "--type", "full", "--standalone")

    def restore_command(self):
        return self.command("restore", "latest", "--to", self.target)

    def verify_command(self):
        return self.command("verify", "latest")


class HoldfastEncrypted(Holdfast):
    """With AES-256-GCM, as it is meant to be used on S3."""
    name = "holdfast-encrypted"
    key = True


class PgBackRest(Tool):
    """pgBackRest as somebody who knows it sets it up."""
    name = "pgbackrest"
    level = None
    asynchronous = True

    def repository_options(self):
        return {"repo1-path": self.repository}

    def configure(self):
        self.program = self.bench.peer("pgbackrest")
        server = self.bench.server
        for name in ("spool", "lock", "log"):
            make_folder(self.folder / name)
        options = {
            **self.repository_options(), "repo1-bundle": "y", "repo1-block": "y", "compress-type": "zst",
            "process-max": self.bench.cores, "start-fast": "y", "archive-async": "y" if self.asynchronous else "n", "checksum-page": "y",
            "archive-timeout": 60, "repo1-retention-full": 9, "spool-path": self.folder / "spool",
            "lock-path": self.folder / "lock", "log-path": self.folder / "log",
            "log-level-console": "warn", "log-level-file": "off"}
        if self.level is not None:
            options["compress-level"] = self.level
        cluster = {"pg1-path": server.data, "pg1-socket-path": server.socket, "pg1-port": server.port,
                   "pg1-user": "postgres"}
        text = "[global]\n" + "".join(f"{key}={value}\n" for key, value in options.items())
        text += "\n[bench]\n" + "".join(f"{key}={value}\n" for key, value in cluster.items())
        self.configuration = self.folder / "pgbackrest.conf"
        self.configuration.write_text(text, encoding="utf-8")
        os.chmod(self.configuration, 0o644)
        self.archive_command = f"exec {self.program} --config={self.configuration} --stanza=bench archive-push \"$1\""

    def command(self, *words):
        return [self.program, f"--config={self.configuration}", "--stanza=bench", *words]

    def fresh_repository(self):
        super().fresh_repository()
        self.configure()
        check(self.command("stanza-create"))

    def backup_command(self):
        return self.command("backup", "--type=full")

    def restore_command(self):
        return self.command("restore", f"--pg1-path={self.target}", "--type=immediate")

    def verify_command(self):
        return self.command("verify")


class PgBackRestLevel1(PgBackRest):
    """The same with zstd level 1: faster, and a little larger."""
    name = "pgbackrest-level-1"
    level = 1


class BaseBackup(Tool):
    """pg_basebackup, compressing in one server process, its fastest compressed way for one stream."""
    name = "pg_basebackup-zstd"
    arguments = ("-Ft", "--compress=server-zstd:1")

    def backup_command(self):
        server = self.bench.server
        return [server.bin / "pg_basebackup", "-D", self.repository, "-h", server.socket, "-p", server.port,
                "-U", "postgres", "-X", "stream", "-c", "fast", *self.arguments]

    def restore_command(self):
        return (f"zstd -q -dc {self.repository}/base.tar.zst | tar -x -C {self.target} && "
                f"tar -x -f {self.repository}/pg_wal.tar -C {self.target}/pg_wal && sync --file-system {self.target}")


class BaseBackupWorkers(BaseBackup):
    """The same with zstd's own threads, one for each core."""
    name = "pg_basebackup-zstd-workers"

    @property
    def arguments(self):
        return ("-Ft", f"--compress=server-zstd:level=1,workers={self.bench.cores}")


class BaseBackupClient(BaseBackup):
    """pg_basebackup, compressing in the client."""
    name = "pg_basebackup-client-zstd"
    arguments = ("-Ft", "--compress=client-zstd:1")


class BaseBackupPlain(BaseBackup):
    """pg_basebackup as plain files, not compressed."""
    name = "pg_basebackup-plain"
    arguments = ("-Fp",)


class Tar(Tool):
    """tar and zstd over the live data folder: no backup, but what a disk and a compressor can do."""
    level = 1

    def backup_command(self):
        excluded = " ".join(f"--exclude='./{pattern}'" for pattern in TAR_LEAVES_OUT)
        return (f"tar -c -C {self.bench.server.data} {excluded} . | "
                f"zstd -q -{self.level} -T{self.bench.cores} -o {self.repository}/base.tar.zst && "
                f"sync --file-system {self.repository}")

    def restore_command(self):
        return (f"zstd -q -dc {self.repository}/base.tar.zst | tar -x -C {self.target} && "
                f"sync --file-system {self.target}")


class Tar1(Tar):
    name = "tar-zstd-1"


class Tar3(Tar):
    name = "tar-zstd-3"
    level = 3


class CompressionAlone(Tool):
    """Our chunk compression and sealing on all cores, without output: the least a backup can take."""
    name = "compression-alone"

    def backup(self):
        result = self.run([self.bench.built("compress_bench"), "--hash", self.bench.server.data])
        answer = json.loads(result.output)
        result.stored, result.objects = answer["stored"], answer["chunks"]
        return result
