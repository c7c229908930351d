"""The same tools against S3: Ceph's RADOS Gateway in memory, with TLS (pgBackRest speaks nothing
else), directly or behind a proxy that makes every round trip 20 ms long.

The gateway's CPU time does not count for the tools, but it shares the machine with them. Requests
are what the gateway itself counted.
"""

import html
import json
import os
import pathlib
import re
import subprocess

from harness import signed
from harness.server import BenchError, HERE, check, environment, free_port, identity, make_folder
from harness.tools import Holdfast, PgBackRest, Tool

SCRIPTS = HERE.parent / "tools" / "testbed"
BUCKET = "bench"
ROUND_TRIP_MS = 20


class Ceph:
    """A gateway of our own; close() ends it."""

    def __init__(self, bench):
        self.bench = bench
        self.folder = bench.work / "s3" / "ceph"
        if self.folder.exists():  # of a run that was killed
            check([SCRIPTS / "ceph-stop", "--dir", self.folder])
        make_folder(self.folder.parent, 0o755)
        self.port, self.tls_port = free_port(17480), free_port(17980)
        answer = check([SCRIPTS / "ceph-start", "--dir", self.folder, "--port", self.port, "--mon-port",
                        free_port(16800), "--tls-port", self.tls_port, "--size", 12, *self.owner()])
        words = dict(word.split("=", 1) for word in answer.split())
        self.key, self.secret, self.ca = words["access_key"], words["secret_key"], words["ca_file"]
        self.far_port = free_port(18480)
        self.proxy = None
        try:
            self.start_proxy()
            self.make_bucket()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def owner():
        """Ceph ends with us; as root not by itself, for its user cannot see whether root's process lives."""
        return [] if os.geteuid() == 0 else ["--owner", os.getpid()]

    def start_proxy(self):
        self.proxy = subprocess.Popen(
            [self.bench.built("delay_proxy"), "--listen", str(self.far_port), "--to", str(self.tls_port),
             "--round-trip-ms", str(ROUND_TRIP_MS)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if self.proxy.stdout.readline() != "ready\n":
            raise BenchError("the delay proxy does not start")

    def make_bucket(self):
        self.request("PUT", f"/{BUCKET}")

    def request(self, method, path, **query):
        return signed.request(self.port, self.key, self.secret, method, path, **query)

    def objects(self, prefix):
        """Key and size of everything below the prefix."""
        found, after = [], ""
        while True:
            listing = self.request("GET", f"/{BUCKET}", **{"list-type": 2, "prefix": prefix, "start-after": after})
            keys = [html.unescape(key) for key in re.findall("<Key>([^<]*)</Key>", listing)]
            found += zip(keys, (int(size) for size in re.findall("<Size>([0-9]+)</Size>", listing)))
            if "<IsTruncated>true" not in listing:
                return found
            after = keys[-1]

    def empty(self, prefix):
        for key, _ in self.objects(prefix):
            self.request("DELETE", f"/{BUCKET}/{key}")

    def stored(self, prefix):
        """Bytes and number of objects below the prefix."""
        found = self.objects(prefix)
        return sum(size for _, size in found), len(found)

    def requests(self):
        socket = next(pathlib.Path(self.folder, "run").glob("client.rgw.a*.asok"))
        counters = json.loads(check(["ceph", "daemon", socket, "perf", "dump"],
                                    env=environment(CEPH_CONF=f"{self.folder}/ceph.conf")))
        return counters["rgw"]["req"]

    def close(self):
        if self.proxy:
            self.proxy.kill()
            self.proxy.wait()
        if self.folder.exists():
            check([SCRIPTS / "ceph-stop", "--dir", self.folder])


class OnS3(Tool):
    """Mixed into a tool: its repository is a prefix of the bucket."""
    far = False

    @property
    def ceph(self):
        return self.bench.ceph()

    @property
    def port(self):
        return self.ceph.far_port if self.far else self.ceph.tls_port

    def fresh_repository(self):
        self.ceph.empty(f"{self.name}/")
        make_folder(self.repository)
        self.configure()

    def run(self, command, **more):
        before = self.ceph.requests()
        result = super().run(command, **more)
        # Reading the counter is no request to the gateway's S3 side.
        result.requests = self.ceph.requests() - before
        return result

    def count_stored(self, result):
        result.stored, result.objects = self.ceph.stored(f"{self.name}/")


class HoldfastS3(OnS3, Holdfast):
    name = "holdfast-s3"

    def repository_lines(self):
        for name, text in (("access", self.ceph.key), ("secret", self.ceph.secret)):
            path = self.folder / name
            path.write_text(text, encoding="utf-8")
            os.chmod(path, 0o600)
            if os.geteuid() == 0:
                os.chown(path, identity()["user"], identity()["group"])
        return (f"    url: s3://{BUCKET}/{self.name}\n    region: us-east-1\n    path_style: true\n"
                f"    endpoint: https://127.0.0.1:{self.port}\n    ca_file: {self.ceph.ca}\n"
                f"    credentials: {{access_key_file: {self.folder}/access, secret_key_file: {self.folder}/secret}}\n")

    def fresh_repository(self):
        OnS3.fresh_repository(self)
        check(self.command("init"))


class HoldfastS3Far(HoldfastS3):
    name = "holdfast-s3-20ms"
    far = True


class PgBackRestS3(OnS3, PgBackRest):
    name = "pgbackrest-s3"

    def repository_options(self):
        return {"repo1-type": "s3", "repo1-path": f"/{self.name}", "repo1-s3-bucket": BUCKET,
                "repo1-s3-region": "us-east-1", "repo1-s3-endpoint": "s3.localhost", "repo1-s3-uri-style": "path",
                "repo1-storage-host": "127.0.0.1", "repo1-storage-port": self.port,
                "repo1-storage-ca-file": self.ceph.ca, "repo1-s3-key": self.ceph.key,
                "repo1-s3-key-secret": self.ceph.secret}

    def fresh_repository(self):
        OnS3.fresh_repository(self)
        check(self.command("stanza-create"))


class PgBackRestS3Far(PgBackRestS3):
    name = "pgbackrest-s3-20ms"
    far = True


class BarmanCloud(OnS3):
    """barman-cloud-backup with zstd and as many upload processes as cores; restore with its own program."""
    name = "barman-cloud-s3"

    def configure(self):
        self.program = self.bench.peer("barman")
        self.cloud = ["--endpoint-url", f"https://127.0.0.1:{self.port}", "--addressing-style", "path"]
        self.url = f"s3://{BUCKET}/{self.name}"

    def environment(self):
        return {"AWS_ACCESS_KEY_ID": self.ceph.key, "AWS_SECRET_ACCESS_KEY": self.ceph.secret,
                "AWS_DEFAULT_REGION": "us-east-1", "AWS_CA_BUNDLE": self.ceph.ca}

    def run(self, command, **more):
        return super().run(command, extra=self.environment(), **more)

    def backup_command(self):
        server = self.bench.server
        return [self.program, *self.cloud, "--zstd", "--immediate-checkpoint", "-J", self.bench.cores, "-h",
                server.socket, "-p", server.port, "-U", "postgres", self.url, "bench"]

    def restore_command(self):
        program = self.program.with_name("barman-cloud-restore")
        listing = check([self.program.with_name("barman-cloud-backup-list"), *self.cloud, "--format", "json", self.url,
                         "bench"], env=environment(**self.environment()))
        backup = json.loads(listing)["backups_list"][-1]["backup_id"]
        words = [program, *self.cloud, self.url, "bench", backup, self.target]
        return " ".join(str(word) for word in words) + f" && sync --file-system {self.target}"
