-- Those of one shape that wait, oldest first, without sorting all of them.
DROP INDEX hold_alike;
CREATE INDEX hold_alike ON hold (alike_key, created_at, id) WHERE state = 'pending';
