"""psycopg 3 at its normal work: sync and async, cursors, pipelines, COPY, prepared statements."""

import asyncio
import json
import logging
import os
import sys
from datetime import date
from decimal import Decimal

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

# psycopg warns when it happens to notice a pipeline's error twice: a matter of timing, not of results.
logging.getLogger("psycopg").setLevel(logging.ERROR)

WHERE = {
    "host": os.environ["E2E_HOST"],
    "port": os.environ["E2E_PORT"],
    "user": os.environ["E2E_USER"],
    "password": os.environ["E2E_PASSWORD"],
    "dbname": os.environ["E2E_DATABASE"],
    "application_name": "psycopg work",
}


def say(step, value):
    print(json.dumps({"step": step, "value": value}, default=str, sort_keys=True), flush=True)


def refusal(error):
    diag = error.diag
    return {"sqlstate": error.sqlstate, "severity": diag.severity, "message": diag.message_primary,
            "detail": diag.message_detail, "hint": diag.message_hint}


def simple_things(conn):
    say("server", [conn.info.server_version, conn.info.encoding, conn.info.parameter_status("DateStyle")])
    with conn.cursor() as cur:
        cur.execute("SELECT 1, 'two', NULL, 3.5::numeric, DATE '2026-02-03', ARRAY[1, 2], true, '\\x00ff'::bytea")
        say("row", [str(v) for v in cur.fetchone()])
        say("columns", [[c.name, c.type_code] for c in cur.description])
        cur.execute("SELECT * FROM rooms WHERE floor = %s ORDER BY room", (1,))
        say("rooms", [cur.fetchall(), cur.statusmessage, cur.rowcount])
        cur.execute("INSERT INTO rooms VALUES (%s, %s, %s) RETURNING room", ("Ü-ward", 30, 2))
        say("insert", [cur.fetchone(), cur.statusmessage])
        cur.execute("SELECT %s::jsonb, %s::numeric, %s::date", (Jsonb({"a": [1, None]}), Decimal("1.50"), date(2026, 1, 2)))
        say("types", [str(v) for v in cur.fetchone()])
    conn.commit()
    with conn.cursor(row_factory=dict_row) as cur:
        cur.execute("SELECT room, beds FROM rooms WHERE floor = 30")
        say("dict", cur.fetchall())
    with conn.cursor(binary=True) as cur:
        cur.execute("SELECT 1::int8, 2.5::float8, 'x'::text, now() IS NOT NULL")
        say("binary", cur.fetchone())
    with psycopg.ClientCursor(conn) as cur:
        cur.execute("SELECT %s; SELECT %s", (1, "two"))
        first = cur.fetchall()
        cur.nextset()
        say("multi", [first, cur.fetchall()])
    conn.commit()


def transactions(conn):
    try:
        with conn.transaction():
            conn.execute("INSERT INTO rooms VALUES ('gone', 31)")
            with conn.transaction(force_rollback=True):
                conn.execute("INSERT INTO rooms VALUES ('inner', 31)")
            conn.execute("SELECT 1/0")
    except psycopg.errors.DivisionByZero as error:
        say("rolled back", error.sqlstate)
    say("none", conn.execute("SELECT count(*) FROM rooms WHERE floor = 31").fetchone())
    try:
        conn.execute("SELEC 1")
    except psycopg.errors.SyntaxError as error:
        say("syntax", [error.sqlstate, error.diag.statement_position])
    say("failed state", conn.info.transaction_status.name)
    conn.rollback()
    say("idle state", conn.info.transaction_status.name)


def many(conn):
    with conn.cursor() as cur:
        cur.executemany("INSERT INTO rooms VALUES (%s, %s)", [(f"m{i}", 32) for i in range(200)])
        say("executemany", cur.rowcount)
        cur.executemany("INSERT INTO rooms VALUES (%s, %s) RETURNING room", [(f"r{i}", 33) for i in range(5)], returning=True)
        rows = []
        while True:
            rows.append(cur.fetchone()[0])
            if not cur.nextset():
                break
        say("returning", rows)
        cur.execute("SELECT count(*) FROM rooms WHERE floor = 32")
        say("many", cur.fetchone())
    conn.commit()
    # Past the threshold the driver prepares on the server.
    conn.prepare_threshold = 2
    for i in range(8):
        value = conn.execute("SELECT count(*) FROM visits WHERE patient_id = %s", (i + 1,)).fetchone()
    say("prepared", [value, conn.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()])
    conn.commit()


def pipelines(conn):
    with conn.pipeline() as pipe:
        first = conn.execute("SELECT 1 AS x")
        second = conn.execute("INSERT INTO rooms VALUES ('pipe', 34) RETURNING room")
        pipe.sync()
        third = conn.execute("SELECT count(*) FROM rooms WHERE floor = 34")
        say("pipeline", [first.fetchone(), second.fetchone(), third.fetchone()])
    conn.commit()
    try:
        with conn.pipeline():
            conn.execute("INSERT INTO rooms VALUES ('pipe2', 34)")
            conn.execute("SELECT 1/0")
            conn.execute("INSERT INTO rooms VALUES ('pipe3', 34)")
    except psycopg.Error as error:
        say("pipeline error", error.sqlstate)
    conn.rollback()
    say("after pipeline", conn.execute("SELECT count(*) FROM rooms WHERE floor = 34").fetchone())
    conn.commit()


def cursors_and_copy(conn):
    with conn.transaction():
        with conn.cursor("server_side") as cur:
            cur.itersize = 300
            cur.execute("SELECT id FROM patients ORDER BY id")
            say("server cursor", sum(row[0] for row in cur))
        with conn.cursor("scrolling", scrollable=True) as cur:
            cur.execute("SELECT id FROM patients ORDER BY id")
            cur.scroll(500)
            say("scrolled", cur.fetchone())
        with conn.cursor() as cur:
            say("streamed", sum(row[0] for row in cur.stream("SELECT i FROM generate_series(1, 1000) i")))
    with conn.cursor() as cur:
        with cur.copy("COPY rooms FROM STDIN") as copy:
            for i in range(1000):
                copy.write_row((f"copy{i}", 35, 1))
        say("copy in", cur.rowcount)
        with cur.copy("COPY (SELECT room FROM rooms WHERE floor = 35 ORDER BY room LIMIT 3) TO STDOUT") as copy:
            say("copy out", list(copy.rows()))
        with cur.copy("COPY (SELECT i, 'x' FROM generate_series(1, 3) i) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            say("copy binary", list(copy.rows()))
        try:
            with cur.copy("COPY rooms FROM STDIN") as copy:
                copy.write_row(("bad", "not a number", 1))
        except psycopg.Error as error:
            say("copy error", error.sqlstate)
    conn.rollback()


def notices(conn):
    heard = []
    conn.add_notice_handler(lambda diag: heard.append([diag.severity, diag.message_primary]))
    conn.execute("DROP TABLE IF EXISTS nowhere")
    conn.commit()
    say("notice", heard)
    conn.autocommit = True
    conn.execute("LISTEN bell")
    conn.execute("NOTIFY bell, 'ding'")
    say("notify", [[n.channel, n.payload] for n in conn.notifies(timeout=10, stop_after=1)])
    conn.autocommit = False


async def asynchronous():
    async with await psycopg.AsyncConnection.connect(**WHERE) as conn:
        async with conn.cursor() as cur:
            await cur.execute("SELECT sum(beds) FROM rooms WHERE floor < 3")
            say("async", await cur.fetchone())
        async with conn.pipeline():
            one = await conn.execute("SELECT 1")
            two = await conn.execute("SELECT 2")
            say("async pipeline", [await one.fetchone(), await two.fetchone()])
        slow = asyncio.create_task(conn.execute("SELECT pg_sleep(600)"))
        async with await psycopg.AsyncConnection.connect(**WHERE, autocommit=True) as other:
            while not (await (await other.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND state = 'active' AND query LIKE 'SELECT pg_sleep%'")).fetchone())[0]:
                await asyncio.sleep(0.01)
        conn.cancel()
        try:
            await slow
        except psycopg.errors.QueryCanceled as error:
            say("cancelled", error.sqlstate)
        await conn.rollback()
        say("usable", await (await conn.execute("SELECT 'yes'")).fetchone())


def work():
    with psycopg.connect(**WHERE) as conn:
        for step in (simple_things, transactions, many, pipelines, cursors_and_copy, notices):
            step(conn)
    asyncio.run(asynchronous())


def held():
    with psycopg.connect(**WHERE) as conn:
        notices = []
        conn.add_notice_handler(lambda diag: notices.append(diag.sqlstate))
        cur = conn.execute("DELETE FROM rooms WHERE floor = 0")
        say("simple", [cur.statusmessage, conn.info.transaction_status.name])
        cur = conn.execute("DELETE FROM rooms WHERE floor = %s RETURNING room", (1,))
        say("parameters", sorted(row[0] for row in cur.fetchall()))
        conn.commit()
        say("noticed", len(notices) >= 2)
        with conn.pipeline():
            before = conn.execute("SELECT count(*) FROM rooms")
            gone = conn.execute("DELETE FROM rooms WHERE floor = 2")
            after = conn.execute("SELECT count(*) FROM rooms")
            say("pipeline", [before.fetchone(), gone.rowcount, after.fetchone()])
        conn.commit()
    asyncio.run(held_async())


async def held_async():
    async with await psycopg.AsyncConnection.connect(**WHERE, autocommit=True) as conn:
        await conn.execute("INSERT INTO rooms VALUES ('last', 3)")
        cur = await conn.execute("DELETE FROM rooms WHERE floor = 3")
        say("async", [cur.rowcount, await (await conn.execute("SELECT count(*) FROM rooms")).fetchone()])


def denied():
    with psycopg.connect(**WHERE, autocommit=True) as conn:
        for name, statement in (("person", "DELETE FROM rooms"), ("rule", "TRUNCATE rooms")):
            try:
                conn.execute(statement)
            except psycopg.errors.InsufficientPrivilege as error:
                say(name, refusal(error))
            say(name + " state", conn.info.transaction_status.name)
            say(name + " usable", conn.execute("SELECT count(*) FROM rooms").fetchone())
        try:
            with conn.transaction():
                conn.execute("INSERT INTO rooms VALUES ('undone', 40)")
                try:
                    conn.execute("DELETE FROM rooms WHERE floor = %s", (40,))
                except psycopg.errors.InsufficientPrivilege as error:
                    say("inside", [error.sqlstate, conn.info.transaction_status.name])
                conn.execute("SELECT 1")
        except psycopg.errors.InFailedSqlTransaction as error:
            say("aborted", error.sqlstate)
        say("undone", conn.execute("SELECT count(*) FROM rooms WHERE floor = 40").fetchone())


{"work": work, "held": held, "denied": denied}[sys.argv[1]]()
