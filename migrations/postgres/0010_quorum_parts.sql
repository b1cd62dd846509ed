-- Which groups the seats of a quorum are for, with the people they had when the hold was made. Empty: all seats are for
-- whomever the route asks.

ALTER TABLE hold ADD COLUMN quorum_parts TEXT NOT NULL DEFAULT '[]';
