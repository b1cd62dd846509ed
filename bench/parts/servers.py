"""The three ways to the database. Each is a context manager with `port`, `pid` and `version()`."""

import json
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from . import machine, scram

USER = "bench"
DATABASE = "bench"
REVIEWER = "rita"
PASSWORD = secrets.token_urlsafe(18)
SCALE = 10


class Postgres:
    """A scratch server, SCRAM only, nothing synced; with pgbench's tables unless `scale` is 0."""

    def __init__(self, folder, placement, connections, scale=SCALE, settings=None):
        self.folder, self.placement, self.connections, self.scale = folder, placement, connections, scale
        self.settings = settings or {}
        self.bin = postgres_bin()
        self.user = machine.unprivileged()
        self.port = machine.free_port()

    def __enter__(self):
        self.folder.mkdir(mode=0o700)
        if self.user:
            shutil.chown(self.folder, self.user)
        secret = self.folder / "superuser"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        data = self.folder / "data"
        self.tool("initdb", "-D", data, "-U", USER, "--pwfile", secret, "-A", "scram-sha-256", "-E", "UTF8", "--no-locale", "-N")
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off",
            "synchronous_commit": "off", "max_connections": self.connections, "shared_buffers": "256MB",
            "password_encryption": "scram-sha-256", **self.settings,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process = machine.Process([str(self.bin / "postgres"), "-D", str(data), *options],
                                       log=self.folder / "log", cpus=self.placement.rest, user=self.user)
        try:
            self.process.wait_until(lambda: self.ready(), "accepting connections")
            self.client("psql", "-qc", f"CREATE DATABASE {DATABASE}", database="postgres")
            if self.scale:
                self.client("pgbench", "-qi", "-s", str(self.scale))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients.
        self.process.stop(signal.SIGINT)

    @property
    def pid(self):
        return self.process.pid

    def version(self):
        return self.client("psql", "-Atc", "SHOW server_version").strip()

    def ready(self):
        command = [self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command).returncode == 0

    def tool(self, name, *args):
        done = subprocess.run([self.bin / name, *map(str, args)], cwd=self.folder, capture_output=True, text=True, **machine.as_user(self.user))
        if done.returncode:
            raise SystemExit(f"bench: {name} failed\n{done.stderr}")

    def client(self, name, *args, database=DATABASE):
        """Runs a client program against this server directly; returns what it printed."""
        done = subprocess.run([str(self.bin / name), *args, database], env=client_env(self.port), capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"bench: {name} failed\n{done.stderr}")
        return done.stdout


class PgBouncer:
    """Session mode, so that it promises what Abeyance promises; the same login on both sides."""

    def __init__(self, folder, placement, postgres):
        self.folder, self.placement, self.postgres = folder, placement, postgres
        self.port = machine.free_port()
        self.binary = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
        if not self.binary:
            raise SystemExit("bench: pgbouncer is missing (apt-get install pgbouncer), or leave it out: --ways direct,abeyance")

    def __enter__(self):
        user = machine.unprivileged()
        self.folder.mkdir(mode=0o700)
        users, config = self.folder / "users.txt", self.folder / "pgbouncer.ini"
        users.write_text(f'"{USER}" "{PASSWORD}"\n')
        config.write_text(
            f"[databases]\n{DATABASE} = host=127.0.0.1 port={self.postgres.port} dbname={DATABASE}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {users}\npool_mode = session\n"
            f"max_client_conn = 200\ndefault_pool_size = 100\nlog_connections = 0\nlog_disconnections = 0\n"
        )
        for path in (self.folder, users, config):
            if user:
                shutil.chown(path, user)
        self.process = machine.Process([self.binary, str(config)], log=self.folder / "log", cpus=self.placement.proxy, user=user)
        self.process.wait_until(lambda: machine.listening(self.port), "listening")
        return self

    def __exit__(self, *_):
        self.process.stop(signal.SIGTERM)

    @property
    def pid(self):
        return self.process.pid

    def version(self):
        return subprocess.run([self.binary, "--version"], capture_output=True, text=True).stdout.split("\n")[0].split()[-1]


class Abeyance:
    """Proxy and approver in one process: reads pass, everything else is held."""

    CONFIG = """
[proxy]
listen = "127.0.0.1:0"

[[target]]
name = "{database}"
address = "127.0.0.1:{port}"
database = "{database}"
user = "{user}"
password = {{ env = "BENCH_PASSWORD" }}
tls = "disable"

[[agent]]
name = "{user}"
owner = "olga"
targets = ["{database}"]
verifier = "{verifier}"

[approver]
listen = "127.0.0.1:0"
store = "{folder}/abeyance.db"
console_url = "http://127.0.0.1:1"
token = {{ env = "ABEYANCE_TOKEN" }}

[[person]]
name = "olga"
display_name = "Olga"

[[person]]
name = "{reviewer}"
display_name = "Rita"
console_token_hash = "{token_hash}"

[[route]]
name = "bench"
reviewers = ["{reviewer}"]
timeout = "10m"

[policy]
default = "hold"
route = "bench"

[[rule]]
name = "reads-pass"
class = ["read", "session", "transaction"]
verdict = "allow"
"""

    def __init__(self, folder, placement, postgres, binary, config=CONFIG, role="serve", store=None, token=None, approver=None):
        """`store`: a PostgreSQL instead of a file; `approver`: the address a proxy asks."""
        self.folder, self.placement, self.postgres, self.binary = folder, placement, postgres, binary
        self.role, self.store, self.token, self.asks = role, store, token or secrets.token_urlsafe(32), approver
        self.template, self.config = config, folder / "abeyance.toml"

    def __enter__(self):
        self.folder.mkdir(mode=0o700)
        config, ready = self.config, self.folder / "ready.json"
        self.reviewer_token, token_hash = self.person_token(REVIEWER)
        text = self.template.format(
            database=DATABASE, user=USER, reviewer=REVIEWER, port=self.postgres.port, folder=self.folder,
            verifier=scram.verifier(PASSWORD), token_hash=token_hash)
        if self.store:
            table = (f'{{ address = "127.0.0.1:{self.store.port}", database = "store", user = "{USER}", tls = "disable", '
                     'password = { env = "BENCH_PASSWORD" } }')
            text = text.replace(f'"{self.folder}/abeyance.db"', table)
        if self.asks:
            url = f'approver = {{ url = "{self.asks}", token = {{ env = "ABEYANCE_TOKEN" }} }}\n'
            text = text.replace("[proxy]\n", "[proxy]\n" + url)
        config.write_text(text)
        self.env = env = {"BENCH_PASSWORD": PASSWORD, "ABEYANCE_TOKEN": self.token, "ABEYANCE_LOG": "warn"}
        self.process = machine.Process([str(self.binary), self.role, "--config", str(config), "--ready-file", str(ready)],
                                       log=self.folder / "log", cpus=self.placement.proxy, env=env)
        self.process.wait_until(ready.exists, "writing its ready file")
        addresses = json.loads(ready.read_text())
        if "proxy" in addresses:
            self.port = int(addresses["proxy"].rpartition(":")[2])
        if "approver" in addresses:
            self.approver = "http://" + addresses["approver"]
        return self

    def __exit__(self, *_):
        self.process.stop()

    @property
    def pid(self):
        return self.process.pid

    def version(self):
        return subprocess.run([self.binary, "--version"], capture_output=True, text=True).stdout.split()[-1]

    def person_token(self, name):
        """(token, hash) as `abeyance person token` prints them."""
        done = subprocess.run([self.binary, "person", "token", name], capture_output=True, text=True)
        words = [word.strip('"') for word in (done.stdout + done.stderr).split()]
        token = next(word for word in words if word.startswith("abp_"))
        return token, next(word for word in words if word.startswith("sha256:"))


def postgres_bin():
    """The newest installed server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    if path := shutil.which("initdb"):
        return Path(path).resolve().parent
    raise SystemExit("bench: PostgreSQL's server programs are missing (apt-get install postgresql)")


def client_env(port):
    return {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": USER, "PGPASSWORD": PASSWORD, "PGSSLMODE": "disable"}
