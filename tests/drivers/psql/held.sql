-- Statements that policy holds; somebody approves them. Run as: psql -X -v ON_ERROR_STOP=1 -f held.sql
DELETE FROM rooms WHERE floor = 0;
SELECT count(*) FROM rooms;
BEGIN;
INSERT INTO rooms VALUES ('last', 3);
DELETE FROM rooms WHERE floor = 3 RETURNING room;
COMMIT;
SELECT count(*) FROM rooms \; DELETE FROM rooms WHERE floor = 1 \; SELECT count(*) FROM rooms;
