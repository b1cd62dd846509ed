// node-postgres at its normal work: pool, prepared statements, cursors, COPY streams, notifications.

import { once } from "node:events";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import pg from "pg";
import copy from "pg-copy-streams";
import Cursor from "pg-cursor";

const where = {
  host: process.env.E2E_HOST,
  port: Number(process.env.E2E_PORT),
  user: process.env.E2E_USER,
  password: process.env.E2E_PASSWORD,
  database: process.env.E2E_DATABASE,
  application_name: "node work",
};

const say = (step, value) => console.log(JSON.stringify({ step, value }));
const rooms = "SELECT count(*)::int AS n FROM rooms";

async function connected(run) {
  const client = new pg.Client(where);
  await client.connect();
  try {
    await run(client);
  } finally {
    await client.end();
  }
}

async function queries(client) {
  const types = await client.query("SELECT 1 AS a, 'two' AS b, NULL AS c, now() IS NOT NULL AS d, '{1,2}'::int[] AS e, '\\xff00'::bytea AS f");
  say("row", types.rows[0]);
  say("fields", types.fields.map((f) => [f.name, f.dataTypeID]));
  const some = await client.query("SELECT room, beds FROM rooms WHERE floor = $1 ORDER BY room", [1]);
  say("parameters", [some.command, some.rowCount, some.rows]);
  const several = await client.query("SELECT 1 AS x; INSERT INTO rooms VALUES ('n1', 60); SELECT 2 AS y");
  say("several", several.map((r) => [r.command, r.rowCount, r.rows]));
  const insert = { name: "insert-room", text: "INSERT INTO rooms VALUES ($1, $2) RETURNING room" };
  const named = [];
  for (let i = 0; i < 5; i++) named.push((await client.query({ ...insert, values: [`p${i}`, 61] })).rows[0].room);
  say("named", named);
  say("queued", (await Promise.all([1, 2, 3].map((i) => client.query("SELECT $1::int AS i", [i])))).map((r) => r.rows[0].i));
  const array = await client.query({ text: "SELECT room, floor FROM rooms WHERE floor = 61 ORDER BY room", rowMode: "array" });
  say("array", array.rows);
}

async function errors(client) {
  for (const text of ["SELEC 1", "SELECT * FROM absent", "INSERT INTO rooms VALUES ('R1', 1)"]) {
    try {
      await client.query(text);
    } catch (error) {
      say("error", [error.code, error.position ?? null, error.constraint ?? null, error.message]);
    }
  }
  try {
    await client.query("SELECT $1::int", ["not a number"]);
  } catch (error) {
    say("bad value", error.code);
  }
  await client.query("BEGIN");
  await client.query("INSERT INTO rooms VALUES ('gone', 62)");
  await client.query("SELECT 1/0").catch((error) => say("inside", error.code));
  await client.query("SELECT 1").catch((error) => say("aborted", error.code));
  say("commit", (await client.query("COMMIT")).command);
  say("none", (await client.query(`${rooms} WHERE floor = 62`)).rows[0].n);
}

async function streams(client) {
  const cursor = client.query(new Cursor("SELECT id FROM patients ORDER BY id"));
  let total = 0;
  for (;;) {
    const rows = await cursor.read(300);
    if (rows.length === 0) break;
    total += rows.reduce((sum, row) => sum + Number(row.id), 0);
  }
  await cursor.close();
  say("cursor", total);
  const lines = Array.from({ length: 3000 }, (_, i) => `s${i}\t63\t${i}\n`);
  const into = client.query(copy.from("COPY rooms FROM STDIN"));
  await pipeline(Readable.from(lines), into);
  say("copy in", into.rowCount);
  let out = "";
  for await (const chunk of client.query(copy.to("COPY (SELECT room FROM rooms WHERE floor = 63 ORDER BY beds LIMIT 3) TO STDOUT"))) out += chunk;
  say("copy out", out);
  const bad = client.query(copy.from("COPY rooms FROM STDIN"));
  await pipeline(Readable.from(["x\tnot a number\t1\n"]), bad).catch((error) => say("copy error", error.code));
}

async function events(client) {
  client.on("notice", (notice) => say("notice", [notice.severity, notice.message]));
  await client.query("DROP TABLE IF EXISTS nowhere");
  await client.query("LISTEN bell");
  const heard = once(client, "notification");
  await client.query("NOTIFY bell, 'ding'");
  say("notify", (await heard)[0].payload);
}

async function pool() {
  const pool = new pg.Pool({ ...where, max: 4 });
  const twice = await Promise.all(Array.from({ length: 40 }, (_, i) => pool.query("SELECT $1::int * 2 AS n", [i])));
  say("pool", twice.map((r) => r.rows[0].n));
  await pool.end();
}

async function work() {
  await connected(async (client) => {
    for (const step of [queries, errors, streams, events]) await step(client);
  });
  await pool();
}

async function held() {
  await connected(async (client) => {
    let notices = 0;
    client.on("notice", () => notices++);
    say("simple", (await client.query("DELETE FROM rooms WHERE floor = 0")).rowCount);
    const gone = await client.query("DELETE FROM rooms WHERE floor = $1 RETURNING room", [1]);
    say("parameters", gone.rows.map((row) => row.room).sort());
    say("noticed", notices >= 2);
    const named = { name: "gone", text: "DELETE FROM rooms WHERE floor = $1" };
    say("named", [(await client.query({ ...named, values: [2] })).rowCount, (await client.query({ ...named, values: [2] })).rowCount]);
    await client.query("BEGIN");
    await client.query("INSERT INTO rooms VALUES ('last', 3)");
    say("inside", (await client.query("DELETE FROM rooms WHERE floor = 3")).rowCount);
    say("commit", (await client.query("COMMIT")).command);
    say("left", (await client.query(rooms)).rows[0].n);
  });
}

async function denied() {
  await connected(async (client) => {
    for (const [name, text] of [["person", "DELETE FROM rooms"], ["rule", "TRUNCATE rooms"]]) {
      await client.query(text).catch((e) =>
        say(name, { sqlstate: e.code, severity: e.severity, message: e.message, detail: e.detail, hint: e.hint }));
      say(`${name} usable`, (await client.query(rooms)).rows[0].n);
    }
    await client.query("DELETE FROM rooms WHERE floor = $1", [1]).catch((e) => say("parameters", e.code));
    await client.query("BEGIN");
    await client.query("INSERT INTO rooms VALUES ('undone', 40)");
    await client.query("DELETE FROM rooms WHERE floor = $1", [40]).catch((e) => say("inside", e.code));
    await client.query("SELECT 1").catch((e) => say("aborted", e.code));
    say("commit", (await client.query("COMMIT")).command);
    say("undone", (await client.query(`${rooms} WHERE floor = 40`)).rows[0].n);
  });
}

await { work, held, denied }[process.argv[2]]();
