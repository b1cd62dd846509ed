-- What columns of the table $1 are, and what they would become, as one JSON value, in the order of $2: pairs of column and
-- new type. Domains are followed to what they are made of; of arrays the cast of their elements counts.
SELECT json_agg(
  CASE WHEN a.atttypid IS NOT NULL AND given.pair ->> 1 IS NOT NULL THEN json_build_object(
    'old', old.base::int8, 'new', new.base::int8, 'old_modifier', old.modifier, 'old_is_domain', old.depth > 0,
    'checked', new.checked,
    'cast', coalesce(
      (SELECT castmethod FROM pg_catalog.pg_cast WHERE castsource = old.base AND casttarget = new.base),
      (SELECT castmethod FROM pg_catalog.pg_cast WHERE castsource = old.element AND casttarget = new.element)),
    'utc', current_setting('TimeZone') IN ('UTC', 'GMT', 'Etc/UTC')
  ) END ORDER BY given.place)
FROM json_array_elements($2::json) WITH ORDINALITY AS given(pair, place)
LEFT JOIN pg_catalog.pg_attribute a
  ON a.attrelid = $1::int8::oid AND a.attname = given.pair ->> 0 AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN LATERAL (
  WITH RECURSIVE chain(oid, modifier, depth) AS (
    SELECT a.atttypid, a.atttypmod, 0
    UNION ALL
    SELECT t.typbasetype, t.typtypmod, c.depth + 1 FROM chain c JOIN pg_catalog.pg_type t ON t.oid = c.oid AND t.typtype = 'd'
  )
  SELECT c.oid AS base, c.modifier, c.depth, nullif(t.typelem, 0) AS element
  FROM chain c LEFT JOIN pg_catalog.pg_type t ON t.oid = c.oid ORDER BY c.depth DESC LIMIT 1
) AS old ON true
LEFT JOIN LATERAL (
  WITH RECURSIVE chain(oid, depth, checked) AS (
    SELECT (given.pair ->> 1)::oid, 0, false
    UNION ALL
    SELECT t.typbasetype, c.depth + 1,
      c.checked OR t.typnotnull OR EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE contypid = t.oid)
    FROM chain c JOIN pg_catalog.pg_type t ON t.oid = c.oid AND t.typtype = 'd'
  )
  SELECT c.oid AS base, c.checked, nullif(t.typelem, 0) AS element
  FROM chain c LEFT JOIN pg_catalog.pg_type t ON t.oid = c.oid ORDER BY c.depth DESC LIMIT 1
) AS new ON true
