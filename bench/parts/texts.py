"""What reading a statement costs in the proxy: texts that come again, and texts that never do."""

import os
import subprocess
import sys

from . import machine, servers

# Written out, so that nothing is held.
ALLOWED = """
[[rule]]
name = "history-grows"
kind = ["INSERT"]
table = ["pgbench_history"]
verdict = "allow"
"""

ANALYTIC = """WITH busy AS (
  SELECT t.bid, count(*) AS tellers, sum(t.tbalance) AS held,
         avg(t.tbalance) FILTER (WHERE t.tbalance > 0) AS positive
  FROM pgbench_tellers t
  WHERE t.tid = {value}
  GROUP BY t.bid
  HAVING count(*) > 0
), moves AS (
  SELECT h.bid, h.tid, date_trunc('day', h.mtime) AS day,
         sum(h.delta) AS delta, max(h.mtime) AS latest,
         count(DISTINCT h.aid) AS accounts
  FROM pgbench_history h
  JOIN pgbench_branches b ON b.bid = h.bid
  WHERE h.mtime >= now() - interval '7 days'
    AND h.aid = {value}
    AND b.bbalance BETWEEN -1000000 AND 1000000
  GROUP BY h.bid, h.tid, date_trunc('day', h.mtime)
), ranked AS (
  SELECT m.bid, m.tid, m.day, m.delta, m.accounts,
         rank() OVER (PARTITION BY m.bid ORDER BY m.delta DESC) AS place,
         sum(m.delta) OVER (PARTITION BY m.bid ORDER BY m.day
                            ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) AS week
  FROM moves m
)
SELECT r.bid, r.tid, r.day, r.place, r.delta, r.week,
       coalesce(y.tellers, 0) AS tellers,
       round(100.0 * r.delta / nullif(y.held, 0), 2) AS share,
       CASE WHEN r.week > 100000 THEN 'high'
            WHEN r.week > 1000 THEN 'middle'
            ELSE 'low' END AS class,
       (SELECT count(*) FROM pgbench_accounts a WHERE a.aid = {value} AND a.bid = r.bid) AS known
FROM ranked r
LEFT JOIN busy y ON y.bid = r.bid
WHERE r.place <= 10
  AND EXISTS (SELECT 1 FROM pgbench_accounts a WHERE a.aid = r.tid)
ORDER BY r.bid, r.place
LIMIT 100;"""

INSERT = "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES " + ", ".join(
    ["(1, 1, {value}, 42, '2026-01-01 00:00:00')"] * 100) + ";"

TEXTS = {
    "pgbench select": "SELECT abalance FROM pgbench_accounts WHERE aid = {value};",
    f"analytic, {ANALYTIC.count(chr(10)) + 1} lines": ANALYTIC,
    "insert of 100 rows": INSERT,
}


def measure(scratch, placement, postgres, binary, seconds):
    """Processor time of the proxy per statement; what reading adds is the difference between the two columns."""
    config = servers.Abeyance.CONFIG + ALLOWED
    rows = []
    with servers.Abeyance(scratch / "texts", placement, postgres, binary, config=config) as abeyance:
        for name, text in TEXTS.items():
            print(f"bench: {name}", file=sys.stderr)
            again = cost(abeyance, scratch, text.format(value=1), seconds)
            fresh = cost(abeyance, scratch, "\\set value random(1, 2000000000)\n" + text.format(value=":value"), seconds)
            rows.append({"text": name, "cached_us": again, "uncached_us": fresh})
    return rows


def cost(abeyance, scratch, script, seconds):
    """Microseconds of the proxy's processor time for each run of a script, after a short warm-up."""
    file = scratch / "script.sql"
    file.write_text(script)
    command = [str(servers.postgres_bin() / "pgbench"), "-n", "-f", str(file), "-c", "4", "-T"]

    def transactions(duration):
        done = subprocess.run([*command, str(duration), servers.DATABASE], env=servers.client_env(abeyance.port),
                              capture_output=True, text=True, check=False)
        counted = [line for line in done.stdout.splitlines() if "actually processed" in line]
        if done.returncode or not counted or "failed" in done.stderr:
            raise SystemExit(f"bench: pgbench failed\n{done.stderr[-2000:]}")
        return int(counted[0].rpartition(":")[2].split("/")[0])

    transactions(1)
    before = machine.cpu_seconds(abeyance.pid)
    count = transactions(seconds)
    os.unlink(file)
    return (machine.cpu_seconds(abeyance.pid) - before) * 1e6 / count
