"""A scratch PostgreSQL server: trust on loopback, nothing synced, gone with its folder."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from .wire import Client

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))

from parts import machine, servers  # noqa: E402

USER = "scratch"


class Scratch:
    """A context manager with `port`. `settings` are the server's own; `initdb` takes more options of that program."""

    user = USER

    def __init__(self, folder, initdb=(), **settings):
        self.folder, self.initdb, self.settings = Path(folder), initdb, settings
        self.bin = servers.postgres_bin()
        self.account = machine.unprivileged()
        self.port = machine.free_port()

    def __enter__(self):
        self.folder.mkdir(mode=0o700)
        if self.account:
            shutil.chown(self.folder, self.account)
        self.data = self.folder / "data"
        self.tool("initdb", "-D", self.data, "-U", USER, "-A", "trust", "-E", "UTF8", "-N", *self.initdb)
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off",
            "synchronous_commit": "off", "max_connections": 40, "max_prepared_transactions": 10, "jit": "off", **self.settings,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process = machine.Process([str(self.bin / "postgres"), "-D", str(self.data), *options], log=self.folder / "log",
                                       cpus=sorted(os.sched_getaffinity(0)), user=self.account, cwd=self.folder)
        try:
            self.process.wait_until(self.ready, "accepting connections")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients.
        self.process.stop(signal.SIGINT)

    def ready(self):
        return subprocess.run([self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0

    def tool(self, name, *args):
        done = subprocess.run([self.bin / name, *map(str, args)], cwd=self.folder, capture_output=True, text=True,
                              env={**os.environ, "LC_ALL": "C.UTF-8"}, **machine.as_user(self.account))
        if done.returncode:
            raise SystemExit(f"fuzz: {name} failed\n{done.stderr}")
        return done.stdout

    def client(self, database="postgres", **settings):
        return Client(self, database, **settings)
