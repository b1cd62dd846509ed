"""The blast radius of a statement as people get it: from the hold a real session runs into, and from `abeyance explain`."""

import asyncio
import json
import subprocess
import time

from . import servers
from .reviewer import Reviewer
from .session import Refused, Session
from .statements import OWNER

CONFIG = """
[proxy]
listen = "127.0.0.1:0"

[[target]]
name = "clinic"
address = "127.0.0.1:{port}"
database = "{database}"
user = "clinic_app"
password = {{ env = "BENCH_PASSWORD" }}
tls = "disable"

[[target]]
name = "clinic-owner"
address = "127.0.0.1:{port}"
database = "{database}"
user = "{user}"
password = {{ env = "BENCH_PASSWORD" }}
tls = "disable"

[[agent]]
name = "{user}"
owner = "olga"
targets = ["clinic", "clinic-owner"]
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
name = "settings-pass"
class = ["session", "transaction"]
verdict = "allow"
"""


def target(statement):
    return "clinic-owner" if statement.user == OWNER else "clinic"


class Proxy:
    """Sends statements through the proxy, reads what their holds say, and denies them."""

    def __init__(self, abeyance, postgres):
        self.abeyance, self.postgres = abeyance, postgres
        self.reviewer = Reviewer(abeyance.approver, servers.REVIEWER, abeyance.reviewer_token)
        self.sessions = {}

    async def of(self, statement):
        """(blast radius, milliseconds until the hold)"""
        holder = await self.holder(statement.locked)
        session = await self.session(target(statement))
        start = time.monotonic()
        if statement.params is None:
            session.query(statement.sql)
        else:
            session.execute(statement.sql, statement.params)
        try:
            hold = await session.held()
        except Refused as error:
            raise SystemExit(f"bench: {statement.id} was not held: {error}") from error
        waited = (time.monotonic() - start) * 1000
        found = await self.reviewer.hold(hold)
        await self.reviewer.deny(hold, "only looking")
        await denied(session)
        if holder:
            holder.close()
        return found["request"]["blast"], waited

    async def session(self, name):
        if name not in self.sessions:
            self.sessions[name] = await Session.connect(self.abeyance.port, servers.USER, name, servers.PASSWORD)
        return self.sessions[name]

    async def holder(self, table):
        """Another session that shuts everybody out of a table."""
        if not table:
            return None
        session = await Session.connect(self.postgres.port, servers.USER, servers.DATABASE, servers.PASSWORD)
        await session.run(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        return session


async def denied(session):
    """Waits for the refusal."""
    try:
        await session.rest()
    except Refused:
        return
    raise SystemExit("bench: a statement ran that was denied")


def explained(binary, abeyance, statements):
    """By id: the blast radius `abeyance explain` gives, with the live target."""
    found = {}
    for name in ("clinic", "clinic-owner"):
        lines = [json.dumps({"id": one.id, "dialect": "postgresql", "sql": one.sql}) for one in statements if target(one) == name]
        command = [str(binary), "explain", "--config", str(abeyance.config), "--target", name, "--agent", servers.USER, "--jsonl", "-", "--format", "json"]
        done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, env={**servers.os.environ, **abeyance.env})
        if done.returncode:
            raise SystemExit(f"bench: explain failed\n{done.stderr}")
        for line in done.stdout.splitlines():
            judged = json.loads(line)
            found[judged["id"]] = judged["blast"]
    return found


async def holds(abeyance, postgres, truth, statements):
    """One row a statement: what its hold said, and what is true."""
    proxy = Proxy(abeyance, postgres)
    rows = []
    for statement in statements:
        blast, waited = await proxy.of(statement)
        rows.append({"id": statement.id, "sql": statement.sql[:200], "held_ms": waited, "blast": blast, "truth": await truth.of(statement),
                     "own": statement.own(), "target": statement.target()})
    for session in proxy.sessions.values():
        session.close()
    return rows


run = asyncio.run
