"""Runs statements read-write and tells whether any of them wrote, locked, set or signalled anything."""

import re
import subprocess

from .wire import Client

# What a server logs of its own accord, or for a read: pruning, hint bits, snapshots for standbys, checkpoints.
NOT_WRITES = re.compile(r"rmgr: (Standby .*RUNNING_XACTS|Heap2 .*PRUNE|XLOG .*(FPI_FOR_HINT|CHECKPOINT|FPW_CHANGE|PARAMETER_CHANGE))")

# EXPLAIN of a write takes the lock of a write; rows that are written show by their transaction id.
STATE = """
SELECT pg_current_xact_id_if_assigned(),
 (SELECT string_agg(DISTINCT mode || ' on ' || coalesce(relation::regclass::text, locktype), ', ') FROM pg_locks
   WHERE pid = pg_backend_pid() AND (locktype = 'advisory' OR locktype = 'relation' AND mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock'))),
 (SELECT string_agg(name || '=' || setting, ', ' ORDER BY name) FROM pg_settings WHERE source = 'session' AND name NOT LIKE 'transaction%'),
 (SELECT sum(last_value) || '/' || count(last_value) FROM pg_sequences),
 (SELECT count(*) FROM pg_replication_slots) || '/' || (SELECT count(*) FROM pg_replication_origin) || '/' ||
 (SELECT md5(string_agg(stats_reset::text, ',')) FROM (SELECT stats_reset FROM pg_stat_database UNION ALL SELECT stats_reset FROM pg_stat_bgwriter
   UNION ALL SELECT stats_reset FROM pg_stat_archiver UNION ALL SELECT stats_reset FROM pg_stat_wal UNION ALL SELECT stats_reset FROM pg_stat_slru) s)"""
# What takes effect at the end of a transaction, or outlives one that failed.
AFTER = """
SELECT (SELECT string_agg(c, ',') FROM pg_listening_channels() c),
 (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
 (SELECT sum(last_value) || '/' || count(last_value) FROM pg_sequences)"""
WHAT = ("transaction id", "locks", "settings", "sequences", "slots, origins or statistics")
WHAT_AFTER = ("channels", "advisory locks", "sequences after it")


class Detector:
    """One session of a user in a database."""

    def __init__(self, server, database, user):
        self.server, self.database, self.user = server, database, user
        self.client = Client(server, database, user=user, seconds=120)
        self.client.query("SET statement_timeout = '3s'; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '1s'; SET client_min_messages = error")
        self.before, self.before_after = self.client.query(STATE).rows[0], self.client.query(AFTER).rows[0]
        # Only superusers may see where the log is.
        self.watcher = Client(server, database)
        self.at = self.lsn()

    def close(self):
        self.client.close()
        self.watcher.close()

    def lsn(self):
        return self.watcher.value("SELECT pg_current_wal_insert_lsn()")

    def run(self, statements):
        """(what was written, None for nothing; the first SQLSTATE)."""
        self.client.query("BEGIN")
        state = None
        for statement in statements:
            state = state or self.client.query(statement).sqlstate
        seen = None
        if state is None:
            seen = self.client.query(STATE).rows
        changed = differences(WHAT, self.before, seen[0]) if seen else []
        changed += differences(WHAT_AFTER, self.before_after, self.client.query(f"COMMIT; DEALLOCATE ALL; {AFTER}").rows[0])
        records = self.logged()
        if records:
            changed.append("log: " + "; ".join(records[:4]))
        if not changed:
            return None, state
        return " | ".join(changed), state

    def logged(self):
        start, self.at = self.at, self.lsn()
        if start == self.at:
            return []
        # Given a file of the range, pg_waldump does not guess from one that was not written yet.
        segment = self.server.data / "pg_wal" / self.watcher.value(f"SELECT pg_walfile_name('{start}')")
        command = [self.server.bin / "pg_waldump", "-s", start, "-e", self.at, segment]
        # A commit of our own brings everything before it to disk, where pg_waldump finds it.
        self.watcher.query("SET synchronous_commit = on; SELECT pg_logical_emit_message(true, '', '')")
        self.at = self.lsn()
        done = subprocess.run(command, capture_output=True, text=True)
        lines = done.stdout.splitlines()
        if not lines:
            return [f"unreadable: {done.stderr.strip()}"]
        return [re.sub(r"\s+", " ", re.sub(r"len.*lsn: \S+, prev \S+,?", "", line)) for line in lines if not NOT_WRITES.match(re.sub(r" +", " ", line))]


def differences(names, before, after):
    return [f"{name}: {new}" for name, old, new in zip(names, before, after) if old != new]
