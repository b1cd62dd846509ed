-- psql at its normal work. Run as: psql -X -f work.sql
\set VERBOSITY verbose
\dt rooms
\d rooms
\df patient_ssn
\du app_scram
SELECT room, beds FROM rooms WHERE floor = 1 ORDER BY room;
SELECT count(*) AS n FROM rooms \gset
\echo rooms :n
\x on
SELECT * FROM rooms WHERE room = 'R1';
\x off
INSERT INTO rooms VALUES ('psql', 80, 2) RETURNING *;
SELECT 1 \; SELECT 2 \; SELECT 3;
\copy (SELECT room, floor FROM rooms WHERE floor = 0 ORDER BY room) TO STDOUT
\copy rooms FROM STDIN
c1	81	1
c2	81	2
\.
COPY rooms TO STDOUT;
COPY rooms FROM STDIN;
c3	81	3
\.
SELEC 1;
SELECT 1/0;
BEGIN;
SELECT 1/0;
SELECT 1;
COMMIT;
BEGIN;
\set ON_ERROR_ROLLBACK on
INSERT INTO rooms VALUES ('R1', 1);
INSERT INTO rooms VALUES ('kept', 82);
\set ON_ERROR_ROLLBACK off
COMMIT;
SELECT room FROM rooms WHERE floor = 82;
\set FETCH_COUNT 10
SELECT i FROM generate_series(1, 25) i;
\set FETCH_COUNT 0
PREPARE p(int) AS SELECT $1 * 2;
EXECUTE p(21);
SELECT 'CREATE TABLE made (a int)' \gexec
\d made
DO $$ BEGIN RAISE NOTICE 'hello'; END $$;
SELECT pg_sleep(0.01), 'slept';
\timing off
\echo done
