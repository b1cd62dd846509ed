-- A schema where names hide what they mean. For odd_catalog.json.
SET client_min_messages = warning;
CREATE SCHEMA other;
CREATE TYPE mood AS ENUM ('fine', 'ill');
CREATE DOMAIN short AS text CHECK (length(VALUE) < 10);
CREATE FUNCTION looks(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
CREATE DOMAIN looked AS text CHECK (looks(VALUE));
CREATE TYPE address AS (street text, town text);
CREATE EXTENSION citext;
CREATE EXTENSION pg_trgm;

CREATE TABLE people (id int PRIMARY KEY, secret text, city text, mood mood, home address, code short, odd looked, mail citext);
CREATE TABLE staff (id int PRIMARY KEY, person int REFERENCES people ON DELETE CASCADE ON UPDATE CASCADE, city text, pay int);
CREATE TABLE shifts (staff int REFERENCES staff ON DELETE SET NULL, day date, PRIMARY KEY (staff, day));
CREATE TABLE former () INHERITS (people);
CREATE TABLE other.people (id int, secret text, own text);
CREATE TABLE events (id int, at date, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2000-01-01') TO ('2020-01-01') PARTITION BY RANGE (at);
CREATE TABLE events_older PARTITION OF events_old FOR VALUES FROM ('2000-01-01') TO ('2010-01-01');

CREATE VIEW names AS SELECT id, city, secret AS s, upper(secret) AS u FROM people;
CREATE VIEW names2 AS SELECT * FROM names;
CREATE VIEW names3 AS SELECT id, city FROM names2 WHERE s <> '';
CREATE VIEW tree AS WITH RECURSIVE t(id, up, path) AS (
  SELECT id, person, city FROM staff UNION ALL SELECT s.id, t.up, t.path FROM staff s JOIN t ON s.person = t.id) SELECT * FROM t;
CREATE VIEW distinct_city AS SELECT DISTINCT city FROM people;
CREATE VIEW unnamed AS SELECT count(*), (SELECT max(secret) FROM people) FROM staff;
CREATE MATERIALIZED VIEW kept AS SELECT city, max(secret) AS top FROM people GROUP BY city;

CREATE FUNCTION lower(short) RETURNS text LANGUAGE sql AS 'SELECT ''x''';
CREATE FUNCTION abs(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION gen_random_uuid() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid';
CREATE FUNCTION to_jsonb(people) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
CREATE FUNCTION spy(people) RETURNS text LANGUAGE sql AS 'SELECT $1.secret';
CREATE FUNCTION hidden() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION other.hidden2() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION good(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION eq_spy(mood, mood) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR = (LEFTARG = mood, RIGHTARG = mood, FUNCTION = eq_spy);
CREATE FUNCTION to_mood(int) RETURNS mood LANGUAGE sql AS 'SELECT ''fine''::mood';
CREATE CAST (int AS mood) WITH FUNCTION to_mood(int) AS ASSIGNMENT;

CREATE TABLE guarded (id int PRIMARY KEY DEFAULT hidden(), v text CHECK (looks(v)), plain int);
CREATE TABLE policed (id int, owner text, note text);
ALTER TABLE policed ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON policed USING (owner IN (SELECT city FROM staff WHERE pay > 1));
CREATE VIEW runs AS SELECT hidden() AS h, id FROM staff;
CREATE VIEW writable AS SELECT id AS key, city AS town FROM staff WHERE pay > 0;
CREATE VIEW triggered AS SELECT s.id, p.city FROM staff s JOIN people p ON p.id = s.person;
CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER on_triggered INSTEAD OF UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION instead();
CREATE TRIGGER after_shift AFTER UPDATE ON shifts FOR EACH ROW EXECUTE FUNCTION instead();
CREATE TABLE inbox (id int, body text);
CREATE RULE copy_inbox AS ON INSERT TO inbox DO ALSO INSERT INTO other.people (id, secret) VALUES (NEW.id, NEW.body);
CREATE RULE lose_inbox AS ON DELETE TO inbox WHERE OLD.id > 10 DO INSTEAD NOTHING;
CREATE RULE swap_inbox AS ON UPDATE TO inbox DO INSTEAD UPDATE staff SET city = NEW.body WHERE id = OLD.id;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER away FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE abroad (id int, secret text) SERVER away;
CREATE SEQUENCE counter;
CREATE TYPE weight AS (grams int);
CREATE FUNCTION weigh(weight, weight) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 0; END';
CREATE OPERATOR CLASS by_weight DEFAULT FOR TYPE weight USING btree AS FUNCTION 1 weigh(weight, weight);
CREATE TABLE weighed (id int, w weight);
CREATE TABLE wide (a int, b int, c int);

-- Code that runs without a name in the statement.
CREATE TYPE worn AS (odd looked);
CREATE TABLE parts (id int PRIMARY KEY, odds looked[], worn worn, plain text);
CREATE FUNCTION order_int(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN btint4cmp($1, $2); END';
CREATE OPERATOR CLASS by_order FOR TYPE int USING btree AS
  OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 order_int(int, int);
CREATE TABLE searched (id int, note text);
CREATE INDEX ON searched USING btree (id by_order);
CREATE TABLE divided (id int, note text) PARTITION BY RANGE (id by_order);
CREATE TABLE divided_low PARTITION OF divided FOR VALUES FROM (0) TO (100);
CREATE TYPE span AS RANGE (subtype = int, subtype_opclass = by_order);
CREATE TABLE spans (id int, span span);
CREATE TABLE pairs (a int, b int);
CREATE FUNCTION order_pair(pairs, pairs) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 0; END';
CREATE OPERATOR CLASS by_pair DEFAULT FOR TYPE pairs USING btree AS FUNCTION 1 order_pair(pairs, pairs);
CREATE TYPE shade AS ENUM ('light', 'dark');
CREATE FUNCTION eq_shade(shade, shade) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR = (LEFTARG = shade, RIGHTARG = shade, FUNCTION = eq_shade, HASHES);
CREATE OPERATOR CLASS by_shade DEFAULT FOR TYPE shade USING hash AS OPERATOR 1 =, FUNCTION 1 hashenum(anyenum);
CREATE TABLE shaded (id int, shade shade);
CREATE VIEW filled AS SELECT id, plain FROM parts;
ALTER VIEW filled ALTER COLUMN plain SET DEFAULT hidden()::text;
CREATE TABLE watched (id int PRIMARY KEY, note text);
CREATE TRIGGER on_watched BEFORE UPDATE ON watched FOR EACH ROW WHEN (looks(NEW.note)) EXECUTE FUNCTION instead();
CREATE INDEX ON wide USING gin ((a::text) gin_trgm_ops);
CREATE FUNCTION planned(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE TABLE planned_for (id int, note text, CHECK (planned('x') OR id > 0), CHECK (planned(note)));
CREATE TABLE unplanned (id int DEFAULT hidden(), note text CHECK (planned(note)));
