"""`holdfast window` on an archive of 100,000 segments, as twelve days of a segment each ten seconds leave it, on S3
and on S3 20 ms away. bench/micro/many_segments.cpp makes the archive once; both cases look at the same.
"""

from harness import s3
from harness.server import check

SEGMENTS = 100_000


class ManySegments(s3.HoldfastS3):
    name = "holdfast-s3-many-segments"

    def window(self):
        if not self.ready:
            self.fill()
            self.ready = True
        return self.run(self.command("window"))

    def fill(self):
        self.fresh_repository()
        self.bench.say(f"storing {SEGMENTS:,} segments")
        check([self.bench.built("many_segments"), "--config", self.configuration, "--segments", SEGMENTS])


class ManySegmentsFar(ManySegments):
    name = "holdfast-s3-many-segments-20ms"
    far = True

    def repository_lines(self):
        return super().repository_lines().replace(f"s3://{s3.BUCKET}/{self.name}", f"s3://{s3.BUCKET}/{ManySegments.name}")

    def fill(self):
        near = self.bench.tool(ManySegments)
        if not near.ready:
            near.window()
        self.configure()


def window_groups(bench):
    """Title → cases, as bench.groups()."""
    return {f"window, {SEGMENTS:,} segments": [
        ("S3", lambda: bench.tool(ManySegments).window()),
        (f"S3 {s3.ROUND_TRIP_MS} ms", lambda: bench.tool(ManySegmentsFar).window())]}
