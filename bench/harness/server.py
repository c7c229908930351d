"""A throw-away PostgreSQL for the benchmark: finding its programs, building the data set once, and
starting and stopping it. Nothing here touches another server of this machine: the socket lies in
the work folder, and the server does not listen on the network.
"""

import glob
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{socket}'
port = {port}
shared_buffers = 256MB
max_wal_size = 4GB
checkpoint_timeout = 30min
autovacuum = off
jit = off
wal_level = replica
max_wal_senders = 8
archive_mode = on
# pgBackRest insists on seeing its name here; the script does what the tool at work wants.
archive_command = 'sh {archive} "%p" pgbackrest'
logging_collector = off
"""
# While the data set is made nothing needs to survive a crash: the work folder is thrown away then.
LOADING = ("-c fsync=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 -c archive_mode=off "
           "-c max_wal_size=512MB")


class BenchError(Exception):
    """What ends the benchmark with a message and no traceback."""


def server_user():
    """The user that PostgreSQL runs as: it refuses root."""
    return "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def identity():
    """Arguments for subprocess that run a program as that user."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(server_user())
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [entry.pw_gid]}


def environment(**more):
    """A plain environment: what the caller's shell says about servers and clouds stays out."""
    home = pwd.getpwnam(server_user()).pw_dir
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home,
            "LC_ALL": "C.UTF-8", **more}


def check(command, **options):
    """Runs a command of the preparation as the server's user; returns its stdout."""
    options = {**identity(), "env": environment(), "cwd": "/", **options}
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise BenchError(f"{command[0]} failed with exit {done.returncode}: {said}")
    return done.stdout


def free_port(first=54400):
    """A TCP port that nobody listens on now."""
    for port in range(first, first + 500):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise BenchError("no free port found")


def make_folder(path, mode=0o700):
    """An empty folder of the server's user."""
    path = pathlib.Path(path)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True, mode=mode)
    if os.geteuid() == 0:
        shutil.chown(path, server_user(), pwd.getpwnam(server_user()).pw_gid)
    return path


def programs():
    """The folder of PostgreSQL's programs: 15 where it is there, else the newest."""
    found = sorted(glob.glob("/usr/lib/postgresql/1[3-8]/bin"), reverse=True)
    preferred = [path for path in found if "/15/" in path]
    if not found:
        raise BenchError("no PostgreSQL in /usr/lib/postgresql: apt-get install postgresql-15")
    return pathlib.Path((preferred or found)[0])


class Server:
    """One cluster in `folder`; started and stopped by this object only."""

    def __init__(self, folder, binaries=None):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.socket = self.folder / "run"
        self.archive = self.folder / "archive.sh"
        self.bin = binaries or programs()
        self.more_settings = ""
        self.port = 0

    def create(self):
        make_folder(self.folder, 0o755)
        make_folder(self.socket)
        check([self.bin / "initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "--data-checksums",
               "--encoding=UTF8", "--locale=C.UTF-8"])
        self.archive_with("true")

    def archive_with(self, command):
        """What archive_command does from now on; `$1` is the segment's path."""
        self.archive.write_text(command + "\n", encoding="utf-8")

    def start(self, options=""):
        self.port = free_port()
        text = SETTINGS.format(socket=self.socket, port=self.port, archive=self.archive) + self.more_settings
        configuration = self.data / "postgresql.auto.conf"
        configuration.write_text(text, encoding="utf-8")
        check([self.bin / "pg_ctl", "-D", self.data, "-l", self.folder / "server.log", "-w", "-s", "-t", "120",
               "-o", options, "start"])

    def pid(self):
        """The postmaster, when it runs in our folder; the number alone may be another process by now."""
        try:
            number = int((self.data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
            return number if os.readlink(f"/proc/{number}/cwd") == str(self.data) else None
        except (OSError, ValueError):
            return None

    def stop(self):
        number = self.pid()
        if number is None:
            return
        os.kill(number, signal.SIGINT)
        deadline = time.monotonic() + 120
        while self.pid() is not None:
            if time.monotonic() > deadline:
                raise BenchError(f"the server in {self.data} does not stop")
            time.sleep(0.05)

    def psql(self, sql=None, file=None, database="postgres", **variables):
        command = [self.bin / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.socket,
                   "-p", self.port, "-U", "postgres", "-d", database]
        for name, value in variables.items():
            command += ["-v", f"{name}={value}"]
        return check(command + (["-c", sql] if file is None else ["-f", file])).strip()

    def connection(self):
        return f"host={self.socket} port={self.port} user=postgres dbname=postgres"


def data_set(folder, size, say, binaries=None):
    """The cached cluster with the data set, running. Built anew where it is missing or of another version."""
    script = HERE / "dataset.sql"
    wanted = f"size {size}\n{script.read_text(encoding='utf-8')}"
    server = Server(folder, binaries)
    marker = server.folder / "complete"
    server.stop()
    if not marker.exists() or marker.read_text(encoding="utf-8") != wanted:
        say(f"building the data set in {folder} (once; some minutes)")
        server.create()
        server.start(LOADING)
        server.psql("create database bench")
        copy = server.folder / "dataset.sql"
        copy.write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
        server.psql(file=copy, database="bench", size=size)
        server.psql("vacuum (freeze, analyze)", database="bench")
        server.psql("checkpoint")
        server.stop()
        marker.write_text(wanted, encoding="utf-8")
    server.start()
    return server
