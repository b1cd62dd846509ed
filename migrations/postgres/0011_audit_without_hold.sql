-- The record takes what belongs to no hold: an override, a grant taken back, an instance that went away.

ALTER TABLE hold_event ALTER COLUMN hold DROP NOT NULL;
