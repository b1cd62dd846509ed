-- A statement that somebody denies, one that a rule denies, and a transaction. Run as: psql -X -f denied.sql
\set VERBOSITY verbose
\set SHOW_CONTEXT never
DELETE FROM rooms;
SELECT count(*) FROM rooms;
TRUNCATE rooms;
SELECT count(*) FROM rooms;
BEGIN;
INSERT INTO rooms VALUES ('undone', 40);
DELETE FROM rooms WHERE floor = 40;
SELECT 1;
COMMIT;
SELECT count(*) FROM rooms WHERE floor = 40;
