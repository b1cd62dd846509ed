"""The analyser, asked one query string at a time."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


class Reader:
    """Runs the `lines` example of abeyance-sql; `with` ends it. `catalog` is a file with what catalog/load.sql gave."""

    def __init__(self, catalog=None):
        command = [str(build()), *(["--catalog", str(catalog)] if catalog else [])]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.wait()

    def see(self, catalog):
        """What follows is read with this catalog: bytes without NUL, or none."""
        self.child.stdin.write(b"c" + catalog + b"\0")

    def read(self, sql, standard_strings=True):
        """The facts of every statement in `sql` (bytes without NUL), and the microseconds it took."""
        self.child.stdin.write((b"1" if standard_strings else b"0") + sql + b"\0")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            raise SystemExit(f"fuzz: the analyser died of {sql[:2000]!r}")
        answer = json.loads(line)
        return answer["statements"], answer["micros"]


def load_sql():
    """What begins reading a catalog, reads it and ends it."""
    return json.loads(subprocess.run([str(build()), "--load-sql"], capture_output=True, check=True, text=True).stdout)


def catalog_json(client):
    """A server's catalog as the analyser wants it."""
    begin, load, end = load_sql()
    client.query(begin)
    loaded = client.value(load)
    client.query(end)
    return loaded


def build():
    """The example's binary: $ABEYANCE_LINES, else a release build."""
    if binary := os.environ.get("ABEYANCE_LINES"):
        return binary
    done = subprocess.run(["cargo", "build", "--locked", "--release", "-p", "abeyance-sql", "--example", "lines"], cwd=ROOT)
    if done.returncode:
        raise SystemExit("fuzz: the analyser does not build")
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "examples" / "lines"


def is_certain_read(statements):
    """Analysis says: only reads (or does nothing at all), and nothing is in doubt."""
    return bool(statements) and all(
        facts["class"] == "read" and facts["classes"] == ["read"] and not facts["doubts"] and not facts["opaque"]
        and facts["session"] == "none" and facts["transaction"] == "none" and not facts["writes"] and not facts["alters"]
        for facts in statements)


def gave_up(statements):
    """The parser panicked, or gave no answer."""
    return any((facts["opaque"] or {}).get("node") == "the parser gave no answer" for facts in statements)
