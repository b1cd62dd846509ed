"""A hundred statements whose truth can be found by running them: what agents send, and what makes estimates hard."""

import random
import re
from dataclasses import dataclass, field

APP, OWNER = "clinic_app", "bench"


@dataclass
class Statement:
    id: str
    sql: str
    #: Who runs it: the application's login, under row security, or the owner of everything.
    user: str = APP
    params: list | None = None
    #: Tables whose every row it takes; else the command tags say how many rows.
    whole: list = field(default_factory=list)
    #: Tables whose changed rows count, where the tags do not tell.
    counted: list = field(default_factory=list)
    #: Whether tables are written anew is compared for these.
    rewritten: list = field(default_factory=list)
    #: What COPY FROM STDIN gets.
    copied: str = ""
    #: Another session holds this table meanwhile.
    locked: str = ""
    #: It needs a server of this version.
    since: int = 0

    def target(self):
        """The table it deletes from or updates."""
        found = re.match(r"(?:DELETE FROM|UPDATE)(?: ONLY)? (\w+)", self.sql)
        return found and found[1]

    def own(self):
        """Tables the statement names, or writes through a view: their rows do not go along."""
        named = set(re.findall(r"[a-z_.0-9]+", self.sql)) | set(self.whole) | set(self.counted)
        return sorted(named | ({"patients_archive"} if "patients" in named else set()))


def listed(numbers):
    return ", ".join(map(str, numbers))


KEYS = [
    Statement("delete-by-key", "DELETE FROM visits WHERE id = 1234"),
    Statement("delete-by-key-of-nothing", "DELETE FROM visits WHERE id = 99999999"),
    Statement("update-by-key", "UPDATE billing SET status = 'paid' WHERE id = 4711"),
    Statement("delete-in-list", f"DELETE FROM billing WHERE id IN ({listed(range(199_990, 200_010))})"),
    Statement("update-by-two-keys", "UPDATE lab_results SET value = 1 WHERE id = 77 AND taken_on = (SELECT taken_on FROM lab_results WHERE id = 77)"),
    Statement("update-by-parameter", "UPDATE visits SET reason = $1 WHERE patient_id = $2", params=["flu", 7]),
    Statement("delete-by-array-parameter", "DELETE FROM visits WHERE id = ANY ($1)", params=["{1,2,3,5,8,13,99999999}"]),
    Statement("delete-by-shared-parameter", "DELETE FROM appointments WHERE room = $1 OR doctor = $1", params=["R3"]),
]

PREDICATES = [
    Statement("update-range-small", "UPDATE visits SET notes = NULL WHERE id BETWEEN 5000 AND 7000"),
    Statement("update-range-large", "UPDATE billing SET card_last4 = NULL WHERE id > 50000"),
    Statement("delete-like-prefix", "DELETE FROM visits WHERE notes LIKE 'note 123%'"),
    Statement("update-like-infix", "UPDATE patients SET city = 'Corby' WHERE email LIKE '%@corby.%'"),
    Statement("delete-like-large", "DELETE FROM visits WHERE notes LIKE '%9%'"),
    Statement("delete-correlated-many", "DELETE FROM visits WHERE reason = 'checkup' AND doctor IN ('dr0', 'dr1', 'dr2')"),
    Statement("delete-correlated-none", "DELETE FROM visits WHERE reason = 'checkup' AND doctor = 'dr14'"),
    Statement("update-correlated-range", "UPDATE lab_results SET value = NULL WHERE code = 'TSH' AND value >= 40"),
    Statement("delete-null", "DELETE FROM visits WHERE notes IS NULL AND doctor = 'dr12'"),
    Statement("update-rare", "UPDATE billing SET status = 'open' WHERE status = 'disputed'"),
    Statement("update-common", "UPDATE billing SET status = 'open' WHERE status = 'paid'"),
    Statement("delete-rare-of-many", "DELETE FROM appointments WHERE room = 'R190'"),
    Statement("update-by-expression", "UPDATE visits SET notes = NULL WHERE extract(dow FROM visited_at AT TIME ZONE 'UTC') = 3 AND visited_at < '2023-06-01'"),
    Statement("update-expression-large", "UPDATE billing SET status = 'open' WHERE amount * 2 > 50"),
    Statement("delete-or", "DELETE FROM audit_log WHERE who = 'clinic_admin' OR row_id < 300"),
    Statement("delete-partition-range", "DELETE FROM lab_results WHERE taken_on < '2024-10-01'"),
    Statement("delete-partitions-large", "DELETE FROM lab_results WHERE taken_on >= '2025-06-01' AND code = 'HB'"),
    Statement("update-with-children", "UPDATE patients SET phone = NULL WHERE city = 'Corby' AND dob < '1950-01-01'"),
    Statement("update-only", "UPDATE ONLY patients SET phone = NULL WHERE city = 'Corby' AND dob < '1940-01-01'"),
    Statement("delete-everything", "DELETE FROM audit_log"),
    Statement("update-everything-small", "UPDATE rooms SET beds = beds + 1"),
    Statement("delete-volatile", "DELETE FROM audit_log WHERE random() < 0.1"),
    Statement("delete-limited", "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log ORDER BY at LIMIT 5000)"),
    Statement("delete-dear-to-count", "DELETE FROM visits WHERE md5(repeat(coalesce(notes, reason), 4000)) LIKE '00%'"),
]

JOINS = [
    Statement("delete-in-subquery", "DELETE FROM appointments WHERE patient_id IN (SELECT id FROM patients WHERE city = 'Brill')"),
    Statement("update-exists", "UPDATE visits v SET doctor = NULL WHERE EXISTS (SELECT 1 FROM billing b WHERE b.visit_id = v.id AND b.status = 'disputed')"),
    Statement("delete-not-exists", "DELETE FROM patients p WHERE NOT EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id) AND p.id > 55000"),
    Statement("update-above-average", "UPDATE billing SET status = 'open' WHERE amount > (SELECT avg(amount) * 4 FROM billing)"),
    Statement("update-from", "UPDATE billing b SET status = 'open' FROM patients p WHERE p.id = b.patient_id AND p.city = 'Dunmore'"),
    Statement("update-from-large", "UPDATE visits v SET doctor = 'dr0' FROM patients p WHERE p.id = v.patient_id AND p.city = 'Ashford'"),
    Statement("delete-using", "DELETE FROM lab_results l USING patients p WHERE p.id = l.patient_id AND p.dob < '1936-01-01'"),
    Statement("delete-using-repeated", "DELETE FROM patients p USING billing b WHERE b.patient_id = p.id AND b.amount > 390"),
    Statement("cte-read", "WITH old AS (SELECT id FROM patients WHERE dob < '1937-01-01') DELETE FROM appointments a USING old WHERE a.patient_id = old.id"),
    Statement("cte-delete", "WITH gone AS (DELETE FROM audit_log WHERE row_id < 3000 RETURNING id) SELECT count(*) FROM gone", counted=["audit_log"]),
    Statement("cte-move", "WITH gone AS (DELETE FROM appointments WHERE room = 'R7' RETURNING id, doctor) INSERT INTO imports SELECT id, doctor FROM gone",
              counted=["appointments", "imports"]),
]

INSERTS = [
    Statement("insert-values", "INSERT INTO rooms VALUES ('R901', 1), ('R902', 2), ('R903', 3)"),
    Statement("insert-select", "INSERT INTO appointments(starts, room, doctor) SELECT visited_at, 'R1', doctor FROM visits WHERE patient_id = 7"),
    Statement("insert-select-large", "INSERT INTO appointments(starts, room, doctor) SELECT visited_at, 'R1', doctor FROM visits WHERE reason = 'flu'"),
    Statement("insert-by-rule", "INSERT INTO notes_inbox(body) SELECT room FROM rooms", counted=["notes_inbox", "audit_log"]),
    Statement("insert-conflict-nothing", "INSERT INTO rooms VALUES ('R1', 1), ('R2', 2), ('R904', 3) ON CONFLICT DO NOTHING"),
    Statement("insert-conflict-update", "INSERT INTO rooms SELECT DISTINCT room, 7, 1 FROM appointments ON CONFLICT (room) DO UPDATE SET beds = 2"),
    Statement("merge", "MERGE INTO rooms r USING (SELECT room, count(*) AS n FROM appointments GROUP BY room) a ON r.room = a.room "
              "WHEN MATCHED AND a.n > 400 THEN UPDATE SET beds = 9 WHEN NOT MATCHED THEN INSERT VALUES (a.room, 1, 1)", since=15),
    Statement("copy-from", "COPY imports FROM STDIN", copied="".join(f"{i}\tline\n" for i in range(300))),
]

ALONG = [
    Statement("cascade-one", "DELETE FROM patients WHERE id = 30000"),
    Statement("cascade-most-visited", "DELETE FROM patients WHERE id = 1"),
    Statement("cascade-hundred", "DELETE FROM patients WHERE id BETWEEN 20000 AND 20099"),
    Statement("cascade-first-hundred", "DELETE FROM patients WHERE id <= 100"),
    Statement("cascade-hamlet", "DELETE FROM patients WHERE city = 'Hamlet 127'"),
    Statement("cascade-large", "DELETE FROM patients WHERE city = 'Dunmore'"),
    Statement("cascade-visits", "DELETE FROM visits WHERE doctor = 'dr13'"),
    Statement("cascade-key-update", "UPDATE wards SET code = code || 'x' WHERE code IN ('W3', 'W4')"),
    Statement("cascade-set-null", "DELETE FROM wards WHERE code LIKE 'W1%'"),
    Statement("cascade-circle", "DELETE FROM departments WHERE id = 5"),
]

VIEWS = [
    Statement("view-update", "UPDATE rooms_v SET floor = 99 WHERE floor = 2", counted=["rooms"]),
    Statement("view-update-large", "UPDATE patient_directory SET city = 'Brill' WHERE city = 'Ashford'", counted=["patients", "patients_archive"]),
    Statement("view-by-rule", "UPDATE cleanup SET id = 0 WHERE id < 3000", counted=["billing"]),
]

TABLES = [
    Statement("truncate", "TRUNCATE appointments", OWNER, whole=["appointments"]),
    Statement("truncate-small", "TRUNCATE ward_beds", OWNER, whole=["ward_beds"]),
    Statement("truncate-cascade", "TRUNCATE patients CASCADE", OWNER, whole=["patients", "patients_archive"]),
    Statement("truncate-several", "TRUNCATE billing, lab_results", OWNER, whole=["billing", "lab_results"]),
    Statement("drop-table", "DROP TABLE lab_results", OWNER, whole=["lab_results"]),
    Statement("drop-cascade", "DROP TABLE visits CASCADE", OWNER, whole=["visits"]),
    Statement("drop-matview", "DROP MATERIALIZED VIEW patient_stats", OWNER, whole=["patient_stats"]),
    Statement("drop-schema", "DROP SCHEMA old_years CASCADE", OWNER, whole=["old_years.visits_2021", "old_years.visits_2022"]),
    Statement("alter-int-to-bigint", "ALTER TABLE rooms ALTER COLUMN beds TYPE bigint", OWNER, whole=["rooms"], rewritten=["rooms"]),
    Statement("alter-varchar-wider", "ALTER TABLE ward_beds ALTER COLUMN label TYPE varchar(50)", OWNER, rewritten=["ward_beds"]),
    Statement("alter-varchar-narrower", "ALTER TABLE ward_beds ALTER COLUMN label TYPE varchar(12)", OWNER, whole=["ward_beds"], rewritten=["ward_beds"]),
    Statement("alter-varchar-to-text", "ALTER TABLE ward_beds ALTER COLUMN label TYPE text", OWNER, rewritten=["ward_beds"]),
    Statement("alter-numeric-wider", "ALTER TABLE billing ALTER COLUMN amount TYPE numeric(12,2)", OWNER, rewritten=["billing"]),
    Statement("alter-numeric-scale", "ALTER TABLE billing ALTER COLUMN amount TYPE numeric(12,3)", OWNER, whole=["billing"], rewritten=["billing"]),
    Statement("alter-using", "ALTER TABLE ward_beds ALTER COLUMN taken TYPE boolean USING taken = 1", OWNER, whole=["ward_beds"], rewritten=["ward_beds"]),
    Statement("alter-add-constant", "ALTER TABLE visits ADD COLUMN seen boolean DEFAULT false", OWNER, rewritten=["visits"]),
    Statement("alter-add-volatile", "ALTER TABLE billing ADD COLUMN token uuid DEFAULT gen_random_uuid()", OWNER, whole=["billing"], rewritten=["billing"]),
    Statement("refresh", "REFRESH MATERIALIZED VIEW patient_stats", OWNER, whole=["patient_stats"]),
]

READS = [
    Statement("create-table-as", "CREATE TABLE injuries AS SELECT * FROM visits WHERE reason = 'injury' AND doctor = 'dr6'", OWNER),
    Statement("create-table-as-large", "CREATE TABLE tests AS SELECT code, value FROM lab_results WHERE code <> 'HB'", OWNER),
    Statement("select-into", "SELECT id, city INTO dunmore FROM patients WHERE city = 'Dunmore'", OWNER),
    Statement("copy-query-to", "COPY (SELECT id, city FROM patients WHERE dob < '1950-01-01') TO STDOUT"),
    Statement("copy-table-to", "COPY rooms TO STDOUT"),
    Statement("copy-large-table-to", "COPY billing TO STDOUT"),
    Statement("select-for-update", "SELECT id FROM visits WHERE patient_id = 7 FOR UPDATE"),
    Statement("select-for-update-limited", "SELECT id FROM appointments WHERE room = 'R0' ORDER BY starts LIMIT 10 FOR UPDATE SKIP LOCKED"),
]

HARD = [
    Statement("grown-since-analyse", "DELETE FROM visits WHERE reason = 'telehealth'"),
    Statement("grown-table-emptied", "TRUNCATE notes_inbox", OWNER, whole=["notes_inbox"]),
    Statement("never-analysed", "DELETE FROM imports WHERE body LIKE 'line 4%'"),
    Statement("several-statements", "DELETE FROM billing WHERE status = 'disputed'; UPDATE appointments SET room = 'R0' WHERE room = 'R150'"),
    Statement("several-on-one-table", "UPDATE rooms SET beds = 5 WHERE floor = 3; DELETE FROM rooms WHERE beds = 5"),
    Statement("locked-by-another", "DELETE FROM ward_beds WHERE taken = 1", locked="ward_beds"),
    Statement("truncate-locked", "TRUNCATE ward_beds", OWNER, whole=["ward_beds"], locked="ward_beds"),
    Statement("own-code", "DO $$ BEGIN DELETE FROM rooms WHERE floor = 4; END $$", OWNER, counted=["rooms"]),
]

ALL = KEYS + PREDICATES + JOINS + INSERTS + ALONG + VIEWS + TABLES + READS + HARD

# Conditions on columns, with a place for a number from 0 to 99 that picks how much they take.
CONDITIONS = {
    "visits": ["id % 100 = {n}", "id > {n} * 2400", "patient_id <= {n} * 20", "reason = (ARRAY['flu','checkup','injury','allergy','telehealth'])[1 + {n} % 5]",
               "doctor = 'dr{n}'", "notes LIKE 'note {n}%'", "notes IS NULL", "visited_at < timestamptz '2023-01-01' + {n} * interval '12 days'"],
    "billing": ["status = 'open'", "status <> 'paid'", "amount > {n} * 2", "amount BETWEEN {n} AND {n} + 5", "card_last4 IS NULL", "card_last4 LIKE '{n}%'",
                "patient_id IN (SELECT id FROM patients WHERE city = 'Hamlet {n}')", "visit_id IS NULL", "visit_id < {n} * 2000"],
    "lab_results": ["code = 'CRP'", "code <> 'HB'", "value > {n}", "value IS NULL", "taken_on < date '2024-07-01' + {n} * 9", "patient_id = {n} * 7",
                    "patient_id IN (SELECT patient_id FROM billing WHERE amount > 300 + {n})"],
    "appointments": ["room = 'R{n}'", "doctor = 'dr' || {n} % 15", "patient_id IS NULL", "starts < timestamptz '2026-01-01' + {n} * interval '6 days'",
                     "EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = appointments.patient_id AND v.reason = 'surgery')"],
    "patients": ["id BETWEEN {n} * 600 AND {n} * 600 + 90", "id IN ({n}, {n} * 10, {n} * 100, {n} * 1000)"],
}
FORMS = {
    "delete": "DELETE FROM {table} WHERE {where}",
    "update": "UPDATE {table} SET {column} = {column} WHERE {where}",
    "lock": "SELECT id FROM {table} WHERE {where} FOR UPDATE",
    "copy": "COPY (SELECT id FROM {table} WHERE {where}) TO STDOUT",
    "insert": "INSERT INTO imports SELECT id, 'x' FROM {table} WHERE {where}",
}
COLUMNS = {"visits": "reason", "billing": "card_last4", "lab_results": "code", "appointments": "doctor", "patients": "phone"}


def drawn(count, seed):
    """Statements drawn by lot, always the same for a seed: nothing was ever mended after a look at them."""
    lot = random.Random(seed)
    found = []
    for number in range(count):
        table, form = lot.choice(list(CONDITIONS)), lot.choice(list(FORMS))
        chosen = lot.sample(CONDITIONS[table], lot.randint(1, 2))
        parts = [one.format(n=lot.randrange(100)) for one in chosen]
        where = f" {lot.choice(['AND', 'AND', 'OR'])} ".join(parts)
        found.append(Statement(f"drawn-{number:02}-{form}-{table}", FORMS[form].format(table=table, column=COLUMNS[table], where=where)))
    return found
