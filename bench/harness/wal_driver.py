"""Calls an archive or restore command as PostgreSQL does, file after file, and prints how long each
call took: {"milliseconds": [...]}. Run as a program: wal_driver.py push|get, options as JSON.

push   for each name: <command> pg_wal/<name>, then .ready becomes .done, as the archiver does
get    for each name: <command> <name> pg_wal/RECOVERYXLOG, then the file is compared with the
       original and a pause follows, as if it were replayed
"""

import json
import os
import subprocess
import sys
import time


def call(command, name, path):
    line = command.replace("%f", name).replace("%p", path)
    begin = time.monotonic()
    code = subprocess.call(["sh", "-c", line], stdin=subprocess.DEVNULL)
    if code != 0:
        sys.exit(f"{line} ended with {code}")
    return (time.monotonic() - begin) * 1000


def push(options, name):
    status = os.path.join("pg_wal", "archive_status", name)
    if not options["backlog"]:
        open(f"{status}.ready", "w").close()
    took = call(options["command"], name, f"pg_wal/{name}")
    os.rename(f"{status}.ready", f"{status}.done")
    return took


def get(options, name):
    out = "pg_wal/RECOVERYXLOG"
    took = call(options["command"], name, out)
    with open(out, "rb") as got, open(os.path.join(options["originals"], name), "rb") as original:
        if got.read() != original.read():
            sys.exit(f"{name} came back with other bytes")
    os.remove(out)
    time.sleep(options["pause"])
    return took


def main():
    options = json.loads(sys.argv[2])
    os.chdir(options["data"])
    step = {"push": push, "get": get}[sys.argv[1]]
    print(json.dumps({"milliseconds": [step(options, name) for name in options["files"]]}))


if __name__ == "__main__":
    main()
