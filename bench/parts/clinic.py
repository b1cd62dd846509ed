"""The clinic with about a million rows: the same rows every time, as uneven as real ones.

Few patients have most visits, the reason of a visit tells the doctor, a fifth of some columns is NULL, and some tables
were never analysed or have grown since, so that the planner's statistics are wrong there as they are in real life.
"""

import subprocess

from . import servers

SCHEMA = servers.Path(__file__).resolve().parents[2] / "tests" / "corpus" / "clinic.sql"

# A number from 0 up to 1 that depends on nothing but its arguments.
CHANCE = """
CREATE FUNCTION pg_temp.chance(i bigint, salt int) RETURNS float8 LANGUAGE sql IMMUTABLE AS
$$ SELECT (hashint8extended(i, salt) & 1048575) / 1048576.0 $$;
"""

# Loaded without triggers and foreign keys: the rows are made to fit.
ROWS = """
SET session_replication_role = replica;
TRUNCATE patients, patients_archive, visits, billing, appointments, rooms, lab_results, audit_log, notes_inbox;

INSERT INTO patients(id, name, ssn, mrn, dob, email, phone, city)
SELECT i, 'Person ' || i, lpad((i / 1000000)::text, 3, '0') || '-' || lpad((i / 10000 % 100)::text, 2, '0') || '-' || lpad((i % 10000)::text, 4, '0'),
  'MRN' || lpad(i::text, 7, '0'), date '1935-01-01' + (pg_temp.chance(i, 1) * 30000)::int,
  CASE WHEN pg_temp.chance(i, 2) < 0.8 THEN 'p' || i || '@' || (ARRAY['ashford','brill','corby','dunmore'])[1 + floor(pow(pg_temp.chance(i, 3), 2) * 4)::int] || '.example' END,
  CASE WHEN pg_temp.chance(i, 4) < 0.6 THEN '+1-555-' || lpad((i % 10000)::text, 4, '0') END,
  CASE WHEN pg_temp.chance(i, 5) < 0.97 THEN
    CASE WHEN pg_temp.chance(i, 5) < 0.9 THEN (ARRAY['Ashford','Brill','Corby','Dunmore'])[1 + floor(pow(pg_temp.chance(i, 3), 2) * 4)::int]
    ELSE 'Hamlet ' || floor(pg_temp.chance(i, 6) * 300)::int END END
FROM generate_series(1, 60000) i;
INSERT INTO patients_archive(id, name, ssn, mrn, dob, city, archived_on)
SELECT 1000000 + i, 'Former ' || i, '900-' || lpad((i / 10000)::text, 2, '0') || '-' || lpad((i % 10000)::text, 4, '0'), 'OLD' || i, date '1920-01-01' + i,
  CASE WHEN i % 3 = 0 THEN 'Corby' ELSE 'Ashford' END, date '2020-01-01' + i % 1500
FROM generate_series(1, 10000) i;

INSERT INTO visits(id, patient_id, visited_at, reason, notes, doctor)
SELECT i, 1 + floor(pow(pg_temp.chance(i, 11), 3) * 59000)::int, timestamptz '2023-01-01 08:00+00' + i * interval '6 minutes',
  (ARRAY['checkup','flu','injury','allergy','surgery'])[1 + floor(pow(pg_temp.chance(i, 12), 3) * 5)::int],
  CASE WHEN pg_temp.chance(i, 13) < 0.7 THEN 'note ' || i END,
  -- Each reason has its own three doctors.
  'dr' || (floor(pow(pg_temp.chance(i, 12), 3) * 5)::int * 3 + floor(pg_temp.chance(i, 14) * 3)::int)
FROM generate_series(1, 240000) i;

INSERT INTO billing(id, patient_id, visit_id, amount, status, card_last4)
SELECT i, v.patient_id, CASE WHEN pg_temp.chance(i, 21) < 0.9 THEN v.id END, round((20 * exp(3 * pg_temp.chance(i, 22) * pg_temp.chance(i, 23)))::numeric, 2),
  CASE WHEN pg_temp.chance(i, 24) < 0.85 THEN 'paid' WHEN pg_temp.chance(i, 24) < 0.99 THEN 'open' ELSE 'disputed' END,
  CASE WHEN pg_temp.chance(i, 25) < 0.5 THEN lpad((i % 10000)::text, 4, '0') END
FROM generate_series(1, 200000) i JOIN visits v ON v.id = i;

INSERT INTO appointments(id, starts, room, doctor, patient_id)
SELECT i, timestamptz '2026-01-01 08:00+00' + i * interval '15 minutes', 'R' || floor(pow(pg_temp.chance(i, 31), 2) * 200)::int,
  'dr' || floor(pg_temp.chance(i, 32) * 15)::int, CASE WHEN pg_temp.chance(i, 33) < 0.8 THEN 1 + floor(pow(pg_temp.chance(i, 34), 2) * 60000)::int END
FROM generate_series(1, 60000) i;
INSERT INTO rooms SELECT 'R' || i, i / 20, 1 + i % 3 FROM generate_series(0, 199) i;

INSERT INTO lab_results(id, patient_id, taken_on, code, value)
SELECT i, 1 + floor(pow(pg_temp.chance(i, 41), 2) * 60000)::int, date '2024-07-01' + floor(sqrt(pg_temp.chance(i, 42)) * 900)::int,
  (ARRAY['HB','GLU','CRP','TSH'])[1 + floor(pow(pg_temp.chance(i, 43), 3) * 4)::int],
  -- The range of a value goes with its code.
  CASE WHEN pg_temp.chance(i, 44) < 0.95 THEN round((10 * (1 + floor(pow(pg_temp.chance(i, 43), 3) * 4)) + 10 * pg_temp.chance(i, 45))::numeric, 1) END
FROM generate_series(1, 360000) i;

INSERT INTO audit_log(at, who, tab, op, row_id)
SELECT timestamptz '2025-06-01' + i * interval '3 minutes', CASE WHEN i % 50 = 0 THEN 'clinic_admin' ELSE 'clinic_app' END,
  CASE WHEN pg_temp.chance(i, 51) < 0.7 THEN 'billing' ELSE 'patients' END, (ARRAY['INSERT','UPDATE','UPDATE','DELETE'])[1 + i % 4], i
FROM generate_series(1, 50000) i;
INSERT INTO notes_inbox(body) SELECT 'body ' || i FROM generate_series(1, 500) i;
SELECT setval(pg_get_serial_sequence(name, 'id'), 2000000) FROM unnest(ARRAY['patients', 'visits', 'billing', 'appointments', 'lab_results']) AS name;
REFRESH MATERIALIZED VIEW patient_stats;
"""

# What the clinic lacks: keys that are updated along, defaults, circles, a type that may grow, a schema of its own.
MORE = """
CREATE TABLE wards (code varchar(10) PRIMARY KEY, label text);
CREATE TABLE ward_beds (id int PRIMARY KEY, ward varchar(10) REFERENCES wards(code) ON UPDATE CASCADE ON DELETE SET NULL, label varchar(20), weight numeric(8,2), taken int);
CREATE TABLE departments (id int PRIMARY KEY, parent int REFERENCES departments(id) ON DELETE CASCADE, name text);
INSERT INTO wards SELECT 'W' || i, 'Ward ' || i FROM generate_series(1, 40) i;
INSERT INTO ward_beds SELECT i, 'W' || 1 + i % 40, 'bed ' || i, i % 90, i % 2 FROM generate_series(1, 4000) i;
INSERT INTO departments SELECT i, CASE WHEN i > 9 THEN i / 10 END, 'Department ' || i FROM generate_series(1, 999) i;
CREATE SCHEMA old_years;
CREATE TABLE old_years.visits_2021 AS SELECT id, reason FROM public.visits WHERE id <= 6000;
CREATE TABLE old_years.visits_2022 AS SELECT id, reason FROM public.visits WHERE id BETWEEN 6001 AND 9000;
CREATE VIEW old_years.reasons AS SELECT DISTINCT reason FROM old_years.visits_2021;
CREATE VIEW public.old_reasons AS SELECT reason FROM old_years.reasons;
CREATE TABLE imports (id bigint, body text);
GRANT SELECT, INSERT, UPDATE, DELETE ON wards, ward_beds, departments, imports TO clinic_app;
ALTER ROLE clinic_app PASSWORD '{password}';
"""

# After the statistics were taken.
GROWN = """
SET session_replication_role = replica;
INSERT INTO visits(patient_id, visited_at, reason, doctor)
SELECT 1 + i % 60000, timestamptz '2026-06-01' + i * interval '1 minute', 'telehealth', 'dr99' FROM generate_series(1, 20000) i;
INSERT INTO notes_inbox(body) SELECT 'late ' || i FROM generate_series(1, 9500) i;
INSERT INTO imports SELECT i, 'line ' || i FROM generate_series(1, 5000) i;
"""

# Only where the truth is found out: it is the same there, and sooner.
INDEXES = """
CREATE INDEX ON billing(patient_id); CREATE INDEX ON billing(visit_id);
CREATE INDEX ON lab_results(patient_id); CREATE INDEX ON appointments(patient_id); ANALYZE;
"""

TRUTH = "truth"


def load(postgres):
    """Fills the database, and makes a copy of it to find the truth in."""
    # The clinic's own few thousand rows go again.
    script(postgres, servers.DATABASE, SCHEMA.read_text())
    script(postgres, servers.DATABASE, CHANCE + ROWS)
    script(postgres, servers.DATABASE, MORE.format(password=servers.PASSWORD))
    # `imports` is never analysed.
    script(postgres, servers.DATABASE, "TRUNCATE imports; ANALYZE; UPDATE pg_class SET reltuples = -1 WHERE relname = 'imports';")
    script(postgres, servers.DATABASE, GROWN)
    script(postgres, "postgres", f"CREATE DATABASE {TRUTH} TEMPLATE {servers.DATABASE}")
    script(postgres, TRUTH, INDEXES)
    return int(postgres.client("psql", "-Atc", TOTAL).strip())


TOTAL = """SELECT sum((xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM ONLY %s', oid::regclass), false, true, '')))[1]::text::bigint)
FROM pg_class WHERE relkind = 'r' AND relnamespace IN ('public'::regnamespace, 'old_years'::regnamespace)"""


def script(postgres, database, text):
    command = [str(postgres.bin / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", database]
    done = subprocess.run(command, input=text, env=servers.client_env(postgres.port), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench: the clinic could not be loaded\n{done.stderr}")
