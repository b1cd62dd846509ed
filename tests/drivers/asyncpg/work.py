"""asyncpg at its normal work: pool, prepared statements, transactions, cursors, COPY of records."""

import asyncio
import io
import json
import os
import sys
from datetime import datetime, timezone

import asyncpg

WHERE = {
    "host": os.environ["E2E_HOST"],
    "port": int(os.environ["E2E_PORT"]),
    "user": os.environ["E2E_USER"],
    "password": os.environ["E2E_PASSWORD"],
    "database": os.environ["E2E_DATABASE"],
    "ssl": os.environ.get("E2E_SSL", "disable"),
}


def say(step, value):
    print(json.dumps({"step": step, "value": value}, default=str, sort_keys=True), flush=True)


async def one_connection():
    conn = await asyncpg.connect(**WHERE, server_settings={"application_name": "asyncpg work"})
    say("server", [conn.get_server_version(), conn.get_settings().server_encoding])
    say("fetch", [dict(row) for row in await conn.fetch("SELECT room, beds FROM rooms WHERE floor = $1 ORDER BY room", 1)])
    say("value", await conn.fetchval("SELECT sum(beds) FROM rooms"))
    say("types", [str(v) for v in await conn.fetchrow(
        "SELECT $1::int[], $2::timestamptz, $3::jsonb, $4::bytea, $5::numeric, $6::text",
        [1, 2], datetime(2026, 1, 2, tzinfo=timezone.utc), '{"a": 1}', b"\x00\xff", 1, None)])
    say("execute", await conn.execute("INSERT INTO rooms VALUES ('a1', 50), ('a2', 50)"))
    say("script", await conn.execute("UPDATE rooms SET beds = 9 WHERE floor = 50; SELECT 1"))
    await conn.executemany("INSERT INTO rooms VALUES ($1, $2)", [(f"b{i}", 51) for i in range(300)])
    say("executemany", await conn.fetchval("SELECT count(*) FROM rooms WHERE floor = 51"))
    statement = await conn.prepare("SELECT count(*) FROM visits WHERE patient_id = $1")
    say("prepared", [await statement.fetchval(i) for i in range(1, 6)])
    say("describe", [[p.name for p in statement.get_parameters()], [a.name for a in statement.get_attributes()]])
    # A composite type sends the driver to the catalogs.
    await conn.execute("CREATE TYPE pair AS (a int, b text); CREATE TYPE mood AS ENUM ('good', 'bad')")
    say("composite", [tuple(await conn.fetchval("SELECT ROW(1, 'x')::pair")), await conn.fetchval("SELECT 'bad'::mood")])
    return conn


async def transactions(conn):
    try:
        async with conn.transaction():
            await conn.execute("INSERT INTO rooms VALUES ('gone', 52)")
            async with conn.transaction():
                await conn.execute("INSERT INTO rooms VALUES ('inner', 52)")
            await conn.execute("SELECT 1/0")
    except asyncpg.DivisionByZeroError as error:
        say("rolled back", error.sqlstate)
    say("none", await conn.fetchval("SELECT count(*) FROM rooms WHERE floor = 52"))
    async with conn.transaction(isolation="serializable", readonly=True):
        say("serializable", await conn.fetchval("SHOW transaction_isolation"))
    async with conn.transaction():
        total = 0
        async for row in conn.cursor("SELECT id FROM patients ORDER BY id", prefetch=100):
            total += row["id"]
        cursor = await conn.cursor("SELECT id FROM patients ORDER BY id")
        await cursor.forward(10)
        say("cursor", [total, [r["id"] for r in await cursor.fetch(3)]])
    try:
        await conn.fetch("SELEC 1")
    except asyncpg.PostgresSyntaxError as error:
        say("syntax", [error.sqlstate, error.position])


async def copies(conn):
    say("copy records", await conn.copy_records_to_table(
        "rooms", records=[(f"c{i}", 53, i) for i in range(2000)], columns=["room", "floor", "beds"]))
    out = io.BytesIO()
    say("copy out", await conn.copy_from_query("SELECT room FROM rooms WHERE floor = 53 ORDER BY beds LIMIT 3", output=out))
    say("copied", out.getvalue().decode())
    say("copy in", await conn.copy_to_table("rooms", source=io.BytesIO(b"d1,54,1\nd2,54,2\n"), format="csv"))
    heard = asyncio.Queue()
    await conn.add_listener("bell", lambda *a: heard.put_nowait(a[2:]))
    await conn.execute("NOTIFY bell, 'ding'")
    say("notify", await asyncio.wait_for(heard.get(), 10))


async def pool():
    async with asyncpg.create_pool(**WHERE, min_size=2, max_size=5) as pool:
        async def one(i):
            async with pool.acquire() as conn:
                return await conn.fetchval("SELECT $1::int * 2", i)
        say("pool", await asyncio.gather(*(one(i) for i in range(40))))
        # Releasing resets the session.
        async with pool.acquire() as conn:
            await conn.execute("SET statement_timeout = 4321")
        say("reset", await pool.fetchval("SHOW statement_timeout"))


async def cancelled():
    conn = await asyncpg.connect(**WHERE)
    try:
        await conn.fetch("SELECT pg_sleep(600)", timeout=0.3)
    except asyncio.TimeoutError:
        say("timed out", True)
    say("usable", await conn.fetchval("SELECT 'yes'"))
    await conn.close()


async def work():
    conn = await one_connection()
    await transactions(conn)
    await copies(conn)
    await conn.close()
    await pool()
    await cancelled()


async def held():
    conn = await asyncpg.connect(**WHERE)
    notices = []
    conn.add_log_listener(lambda _, message: notices.append(message.sqlstate))
    say("simple", await conn.execute("DELETE FROM rooms WHERE floor = 0"))
    say("parameters", sorted(r["room"] for r in await conn.fetch("DELETE FROM rooms WHERE floor = $1 RETURNING room", 1)))
    say("noticed", len(notices) >= 2)
    statement = await conn.prepare("DELETE FROM rooms WHERE floor = $1 RETURNING room")
    say("prepared", [len(await statement.fetch(2)), len(await statement.fetch(2))])
    async with conn.transaction():
        await conn.execute("INSERT INTO rooms VALUES ('last', 3)")
        say("inside", await conn.execute("DELETE FROM rooms WHERE floor = 3"))
    say("left", await conn.fetchval("SELECT count(*) FROM rooms"))
    await conn.close()


async def denied():
    conn = await asyncpg.connect(**WHERE)
    for name, statement in (("person", "DELETE FROM rooms"), ("rule", "TRUNCATE rooms")):
        try:
            await conn.execute(statement)
        except asyncpg.InsufficientPrivilegeError as error:
            say(name, {"sqlstate": error.sqlstate, "severity": error.severity, "message": error.message,
                       "detail": error.detail, "hint": error.hint})
        say(name + " usable", await conn.fetchval("SELECT count(*) FROM rooms"))
    try:
        await conn.fetch("DELETE FROM rooms WHERE floor = $1", 1)
    except asyncpg.InsufficientPrivilegeError as error:
        say("parameters", error.sqlstate)
    try:
        async with conn.transaction():
            await conn.execute("INSERT INTO rooms VALUES ('undone', 40)")
            try:
                await conn.execute("DELETE FROM rooms WHERE floor = $1", 40)
            except asyncpg.InsufficientPrivilegeError as error:
                say("inside", error.sqlstate)
            await conn.execute("SELECT 1")
    except asyncpg.InFailedSQLTransactionError as error:
        say("aborted", error.sqlstate)
    say("undone", await conn.fetchval("SELECT count(*) FROM rooms WHERE floor = 40"))
    await conn.close()


asyncio.run({"work": work, "held": held, "denied": denied}[sys.argv[1]]())
