"""Many sessions held at once in one process: what each costs, and how fast all go on."""

import asyncio
import time

from . import machine, servers
from .reviewer import Reviewer
from .session import Session

LOGINS_AT_ONCE = 32
APPROVALS_AT_ONCE = 4
IDLE_SECONDS = 3


def measure(abeyance, postgres, count):
    return asyncio.run(story(abeyance, postgres, count))


async def story(abeyance, postgres, count):
    reviewer = Reviewer(abeyance.approver, servers.REVIEWER, abeyance.reviewer_token)
    # What is allocated once, at the first session, is no session's cost.
    for session in await connect(abeyance.port, 4):
        session.query("SELECT 1")
        await session.finished()
        session.close()
    empty = machine.resident_bytes(abeyance.pid)

    sessions = await connect(abeyance.port, count)
    idle = machine.resident_bytes(abeyance.pid)

    start = time.monotonic()
    for number, session in enumerate(sessions, 1):
        session.query(f"UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = {number}")
    holds = await asyncio.gather(*(session.held() for session in sessions))
    held_after = time.monotonic() - start
    held = machine.resident_bytes(abeyance.pid)

    cpu = machine.cpu_seconds(abeyance.pid)
    await asyncio.sleep(IDLE_SECONDS)
    cpu = machine.cpu_seconds(abeyance.pid) - cpu

    start = time.monotonic()
    resumed = asyncio.gather(*(session.finished() for session in sessions))
    await limited(APPROVALS_AT_ONCE, (reviewer.approve(hold) for hold in holds))
    approved_after = time.monotonic() - start
    await resumed
    resumed_after = time.monotonic() - start
    for session in sessions:
        session.close()

    changed = postgres.client("psql", "-Atc", "SELECT count(*) FILTER (WHERE abalance = 1), sum(abalance) FROM pgbench_accounts").strip()
    if changed != f"{count}|{count}":
        raise SystemExit(f"bench: {count} approvals should have changed {count} rows once each, not {changed}")
    return {
        "sessions": count, "rss_empty": empty, "bytes_per_idle_session": (idle - empty) / count,
        "bytes_per_held_session": (held - empty) / count, "hold_seconds": held_after,
        "idle_cpu_percent": 100 * cpu / IDLE_SECONDS, "approve_seconds": approved_after,
        "resume_seconds": resumed_after, "rows_changed": count,
    }


async def connect(port, count):
    return await limited(LOGINS_AT_ONCE, (Session.connect(port, servers.USER, servers.DATABASE, servers.PASSWORD) for _ in range(count)))


async def limited(at_once, jobs):
    """Runs all jobs, at most so many at a time; results in order."""
    gate = asyncio.Semaphore(at_once)

    async def one(job):
        async with gate:
            return await job

    return await asyncio.gather(*map(one, jobs))
