-- What hides a write behind a name that only the catalog explains. Loaded over the clinic's schema.
-- Every trap ends in trap(), which writes a row.
CREATE TABLE trapped (at timestamptz DEFAULT clock_timestamp(), how text);
CREATE FUNCTION trap(how text) RETURNS int LANGUAGE plpgsql VOLATILE AS $f$ BEGIN INSERT INTO public.trapped(how) VALUES (how); RETURN 1; END $f$;

-- Calls with an argument that pg_catalog's function of that name does not take as it is.
CREATE FUNCTION public.lower(int) RETURNS text LANGUAGE sql AS $$ SELECT 'x' FROM public.trap('lower(int)') $$;
CREATE FUNCTION public.length(int) RETURNS int LANGUAGE sql AS $$ SELECT public.trap('length(int)') $$;
CREATE FUNCTION public.abs(text) RETURNS int LANGUAGE sql AS $$ SELECT public.trap('abs(text)') $$;
CREATE FUNCTION public.round(int, text) RETURNS int LANGUAGE sql AS $$ SELECT public.trap('round(int, text)') $$;
CREATE FUNCTION public.coalesce_all(VARIADIC int[]) RETURNS int LANGUAGE sql AS $$ SELECT public.trap('variadic') $$;
CREATE FUNCTION public.sum(int, int) RETURNS int LANGUAGE sql AS $$ SELECT public.trap('sum(int, int)') $$;
CREATE FUNCTION public.with_default(a int, b int DEFAULT public.trap('argument default')) RETURNS int LANGUAGE sql AS $$ SELECT a $$;

-- Rows that are called like columns.
CREATE FUNCTION shout(rooms) RETURNS text LANGUAGE sql AS $$ SELECT 'x' FROM public.trap('rooms.shout') $$;
CREATE FUNCTION beds_all(rooms) RETURNS SETOF int LANGUAGE sql AS $$ SELECT public.trap('rooms.beds_all') $$;
CREATE FUNCTION age_of(appointments) RETURNS interval LANGUAGE sql AS $$ SELECT interval '1 day' * public.trap('appointments.age_of') $$;
CREATE FUNCTION name(rooms) RETURNS text LANGUAGE sql AS $$ SELECT 'x' FROM public.trap('rooms.name') $$;

-- Operators: new names, and known names for other types.
CREATE FUNCTION op_int_text(int, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('int = text'); RETURN true; END $$;
CREATE OPERATOR public.= (LEFTARG = int, RIGHTARG = text, FUNCTION = op_int_text);
CREATE OPERATOR public.|| (LEFTARG = int, RIGHTARG = text, FUNCTION = op_int_text);
CREATE FUNCTION op_text_text(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('text <-> text'); RETURN true; END $$;
CREATE OPERATOR public.<-> (LEFTARG = text, RIGHTARG = text, FUNCTION = op_text_text);
CREATE FUNCTION op_minus(text) RETURNS int LANGUAGE sql AS $$ SELECT public.trap('- text') $$;
CREATE OPERATOR public.- (RIGHTARG = text, FUNCTION = op_minus);

-- Types of our own: domains whose checks run, composites, enums with casts, ranges.
CREATE FUNCTION checked(text) RETURNS boolean LANGUAGE sql AS $$ SELECT public.trap('domain check') = 1 $$;
CREATE DOMAIN checked_text AS text CHECK (public.checked(VALUE));
CREATE DOMAIN checked_array AS int[] CHECK (public.checked(VALUE::text));
CREATE TYPE pair AS (a int, b checked_text);
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE FUNCTION mood_int(mood) RETURNS int LANGUAGE sql AS $$ SELECT public.trap('cast mood to int') $$;
CREATE CAST (mood AS int) WITH FUNCTION mood_int(mood) AS IMPLICIT;
CREATE FUNCTION text_mood(text) RETURNS mood LANGUAGE sql AS $$ SELECT 'good'::public.mood FROM public.trap('cast text to mood') $$;
CREATE CAST (text AS mood) WITH FUNCTION text_mood(text) AS ASSIGNMENT;
CREATE FUNCTION mood_date(mood) RETURNS date LANGUAGE sql AS $$ SELECT current_date FROM public.trap('cast mood to date') $$;
CREATE CAST (mood AS date) WITH FUNCTION mood_date(mood);
CREATE FUNCTION bool_date(boolean) RETURNS date LANGUAGE sql AS $$ SELECT current_date FROM public.trap('cast boolean to date') $$;
CREATE CAST (boolean AS date) WITH FUNCTION bool_date(boolean);
CREATE FUNCTION point_int(point) RETURNS int LANGUAGE sql AS $$ SELECT public.trap('cast point to int') $$;
-- Not AS IMPLICIT: between two types of the server's it would put every statement in doubt.
CREATE CAST (point AS int) WITH FUNCTION point_int(point);
CREATE TABLE moods (id int PRIMARY KEY, m mood, c text, p pair, pt point);
INSERT INTO moods VALUES (1, 'good', 'a', NULL, '(1,1)'), (2, 'bad', 'b', NULL, '(2,2)');

-- An ordering of our own that writes, as the default of a type.
CREATE TYPE weight AS (grams int);
CREATE FUNCTION weight_cmp(weight, weight) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.trap('weight_cmp'); RETURN $1.grams - $2.grams; END $$;
CREATE FUNCTION weight_lt(weight, weight) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.trap('weight <'); RETURN $1.grams < $2.grams; END $$;
CREATE FUNCTION weight_eq(weight, weight) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.trap('weight ='); RETURN $1.grams = $2.grams; END $$;
CREATE OPERATOR public.< (LEFTARG = weight, RIGHTARG = weight, FUNCTION = weight_lt);
CREATE OPERATOR public.= (LEFTARG = weight, RIGHTARG = weight, FUNCTION = weight_eq, MERGES);
CREATE OPERATOR public.> (LEFTARG = weight, RIGHTARG = weight, FUNCTION = weight_lt);
CREATE OPERATOR public.<= (LEFTARG = weight, RIGHTARG = weight, FUNCTION = weight_lt);
CREATE OPERATOR public.>= (LEFTARG = weight, RIGHTARG = weight, FUNCTION = weight_lt);
CREATE OPERATOR CLASS weight_ops DEFAULT FOR TYPE weight USING btree AS OPERATOR 1 public.<, OPERATOR 2 public.<=, OPERATOR 3 public.=, OPERATOR 4 public.>=, OPERATOR 5 public.>,
  FUNCTION 1 weight_cmp(weight, weight);
CREATE TABLE parcels (id int PRIMARY KEY, w weight, note text);
INSERT INTO parcels VALUES (1, ROW(1), 'x'), (2, ROW(2), 'y'), (3, ROW(1), 'z');

-- Views, and what stands behind them.
CREATE VIEW trap_view AS SELECT r.room, public.trap('view') AS t FROM rooms r;
CREATE VIEW trap_view_2 AS SELECT room FROM trap_view WHERE t > 0;
CREATE VIEW trap_operator_view AS SELECT room FROM rooms WHERE beds = 'x'::text;
CREATE VIEW trap_cast_view AS SELECT true::date AS d FROM rooms;
CREATE VIEW lazy_view AS SELECT room, floor, (SELECT public.trap('lazy view') LIMIT 1) AS unused FROM rooms;
CREATE MATERIALIZED VIEW calm_rooms AS SELECT room, floor FROM rooms;
CREATE VIEW calm_view AS SELECT room, floor + 1 AS next FROM rooms WHERE floor >= 0;

-- Policies run for everybody but the owner.
CREATE TABLE guarded (id int, note text);
INSERT INTO guarded VALUES (1, 'a');
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
CREATE POLICY watching ON guarded USING (public.trap('policy') = 1);

-- A partition and a child with their own.
CREATE TABLE parent (id int, note text);
CREATE TABLE child (extra text) INHERITS (parent);
INSERT INTO child VALUES (1, 'n', 'e');

-- Aggregates and windows of our own.

CREATE FUNCTION ends(text) RETURNS text LANGUAGE sql AS $$ SELECT $1 FROM public.trap('final function') $$;
CREATE AGGREGATE tidy_text(text) (SFUNC = textcat, STYPE = text, FINALFUNC = ends, INITCOND = '');

CREATE FUNCTION pick(weight, weight) RETURNS weight LANGUAGE sql AS $$ SELECT $1 FROM public.trap('max(weight)') $$;
CREATE AGGREGATE max(weight) (SFUNC = pick, STYPE = weight);

-- Code that no word of a statement names: domains inside arrays and rows, operator classes of indexes, partitions, ranges and rows.
CREATE FUNCTION trapped(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('inner domain'); RETURN true; END $$;
CREATE DOMAIN watched_text AS text CHECK (public.trapped(VALUE));
CREATE TYPE watched_pair AS (x watched_text, n int);
CREATE TABLE watched_rows (id int, many watched_text[], one watched_pair, note text);
INSERT INTO watched_rows (id, note) VALUES (1, 'a'), (2, 'b');
CREATE FUNCTION order_int(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.trap('operator class'); RETURN btint4cmp($1, $2); END $$;
CREATE OPERATOR CLASS trap_int_ops FOR TYPE int USING btree AS OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=,
  OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>, FUNCTION 1 order_int(int, int);
CREATE TABLE searched (id int, note text);
INSERT INTO searched SELECT n, 'n' FROM generate_series(1, 2000) n;
CREATE INDEX ON searched USING btree (id trap_int_ops);
CREATE TABLE divided (id int, note text) PARTITION BY RANGE (id trap_int_ops);
CREATE TABLE divided_low PARTITION OF divided FOR VALUES FROM (0) TO (100);
CREATE TABLE divided_high PARTITION OF divided FOR VALUES FROM (100) TO (200);
CREATE TYPE trap_range AS RANGE (subtype = int, subtype_opclass = trap_int_ops);
CREATE TABLE ranged (id int, r trap_range);
INSERT INTO ranged VALUES (1, '[1,5)');
CREATE TABLE pairs (a int, b int);
INSERT INTO pairs VALUES (1, 2), (2, 3), (3, 4);
CREATE FUNCTION order_pairs(pairs, pairs) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.trap('row class'); RETURN 0; END $$;
CREATE OPERATOR CLASS trap_row_ops DEFAULT FOR TYPE pairs USING btree AS FUNCTION 1 order_pairs(pairs, pairs);

-- Sequences and large objects.
CREATE SEQUENCE tickets;
SELECT lo_create(424242);
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
