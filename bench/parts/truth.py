"""What a statement really does: it is run on the copy of the clinic, in a transaction that is rolled back, and tables are counted before and after."""

from . import clinic, servers
from .session import Session
from .statements import OWNER

# Every table with rows of its own, and the partitioned table or view of rows it is shown as.
TABLES = """
SELECT CASE WHEN n.nspname = 'public' THEN '' ELSE n.nspname || '.' END || coalesce(p.relname, c.relname), c.oid::regclass::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND c.relispartition LEFT JOIN pg_class p ON p.oid = i.inhparent
WHERE c.relkind IN ('r', 'm') AND n.nspname IN ('public', 'old_years') ORDER BY 1
"""


class Truth:
    def __init__(self, session):
        self.session = session

    @classmethod
    async def connect(cls, postgres):
        return cls(await Session.connect(postgres.port, OWNER, clinic.TRUTH, servers.PASSWORD))

    async def of(self, statement):
        """Rows, rows of other tables that went or changed, and which of `rewritten` were written anew."""
        run = self.session.run
        await run("BEGIN; SELECT setseed(0.5)")
        try:
            before, files = await self.counts(), await self.files(statement)
            await run(f"SET LOCAL ROLE {statement.user}")
            tags = (await run(statement.sql, statement.params, statement.copied.encode()))[0]
            await run("RESET ROLE")
            changes = difference(before, await self.counts())
            rewritten = {name: found != files[name] for name, found in (await self.files(statement)).items()}
        finally:
            await run("ROLLBACK")
        if statement.whole:
            rows = sum(before[name][0] for name in statement.whole)
        elif statement.counted:
            rows = sum(sum(changes[name]) for name in statement.counted)
        elif statement.rewritten:
            rows = None
        else:
            rows = sum(int(tag.split()[-1]) for tag in tags)
        return {"rows": rows, "changes": changes, "rewritten": any(rewritten.values()) if rewritten else None}

    async def counts(self):
        """By table: all rows, and those this transaction wrote."""
        found = {}
        for shown, name in (await self.session.run(TABLES))[1]:
            query = f"SELECT count(*), count(*) FILTER (WHERE xmin = pg_current_xact_id()::xid) FROM ONLY {name}"
            rows = [int(value) for value in (await self.session.run(query))[1][0]]
            found[shown] = [a + b for a, b in zip(found.get(shown, [0, 0]), rows)]
        return found

    async def files(self, statement):
        return {name: (await self.session.run(f"SELECT pg_relation_filenode('{name}')"))[1] for name in statement.rewritten}


def difference(before, after):
    """By table: rows that are gone, and rows that were written."""
    found = {}
    for name, (rows, _) in before.items():
        left, written = after.get(name, [0, 0])
        # Written rows are new versions or new rows; what is missing else is gone.
        gone = rows - left if written == 0 else max(rows - left, 0)
        if gone or written:
            found[name] = [max(gone, 0), written]
    for name in after.keys() - before.keys():
        found[name] = [0, after[name][1]]
    return {name: found.get(name, [0, 0]) for name in before.keys() | after.keys()}
