-- What hangs on the relations of a statement, as one JSON value: children and partitions, foreign keys,
-- triggers, views. $1: their oids; $2: follow foreign keys whatever they do.
WITH RECURSIVE roots(oid) AS (
  SELECT x::oid FROM json_array_elements_text($1::json) AS x
), reached(oid) AS (
  SELECT oid FROM roots
  UNION
  SELECT next.oid FROM reached, LATERAL (
    SELECT inhrelid AS oid FROM pg_catalog.pg_inherits WHERE inhparent = reached.oid
    UNION ALL
    SELECT conrelid FROM pg_catalog.pg_constraint
    WHERE contype = 'f' AND confrelid = reached.oid
      AND ($2::boolean OR confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))
  ) AS next
), near(oid) AS (
  SELECT oid FROM reached LIMIT 400
), dependents(oid) AS (
  SELECT oid FROM roots
  UNION
  SELECT r.ev_class FROM dependents d
  JOIN pg_catalog.pg_depend p ON p.refclassid = 'pg_catalog.pg_class'::regclass AND p.refobjid = d.oid
    AND p.classid = 'pg_catalog.pg_rewrite'::regclass
  JOIN pg_catalog.pg_rewrite r ON r.oid = p.objid
), keys AS (
  SELECT k.* FROM pg_catalog.pg_constraint k
  WHERE k.contype = 'f'
    AND (k.confrelid IN (SELECT oid FROM near) OR k.conrelid IN (SELECT oid FROM roots))
  LIMIT 2000
)
SELECT json_build_object(
  'relations', (
    SELECT json_agg(json_build_object(
      'oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
      'rows', CASE WHEN c.reltuples >= 0 THEN c.reltuples::float8 END,
      'rules', (SELECT json_agg(ev_type) FROM pg_catalog.pg_rewrite WHERE ev_class = c.oid AND c.relhasrules),
      'row_security', row_security_active(c.oid),
      'policies_differ', EXISTS (
        SELECT FROM pg_catalog.pg_policy WHERE polrelid = c.oid AND polcmd <> '*'),
      'parents', (SELECT json_agg(inhparent::int8) FROM pg_catalog.pg_inherits WHERE inhrelid = c.oid)
    ))
    FROM (SELECT oid FROM near UNION SELECT conrelid FROM keys UNION SELECT confrelid FROM keys) AS named
    JOIN pg_catalog.pg_class c USING (oid)
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace),
  'reached', (SELECT json_agg(oid::int8) FROM near),
  'foreign_keys', (
    SELECT json_agg(json_build_object(
      'oid', oid::int8, 'parent', conparentid::int8, 'from', conrelid::int8, 'to', confrelid::int8,
      'on_delete', confdeltype, 'on_update', confupdtype,
      'columns', (
        SELECT json_agg(a.attname ORDER BY u.i) FROM unnest(conkey) WITH ORDINALITY AS u(n, i)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = conrelid AND a.attnum = u.n),
      'referenced', (
        SELECT json_agg(a.attname ORDER BY u.i) FROM unnest(confkey) WITH ORDINALITY AS u(n, i)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = confrelid AND a.attnum = u.n)
    ))
    FROM keys),
  'triggers', (
    SELECT json_agg(json_build_object(
      'relation', tgrelid::int8, 'name', tgname, 'type', tgtype,
      'schema', n.nspname, 'function', p.proname,
      'columns', (
        SELECT json_agg(a.attname) FROM unnest(tgattr::int2[]) AS u(n)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = tgrelid AND a.attnum = u.n)
    ))
    FROM (
      SELECT * FROM pg_catalog.pg_trigger
      WHERE NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgrelid IN (SELECT oid FROM near)
        -- A trigger of a partitioned table stands for its copies on the partitions.
        AND (tgparentid = 0 OR tgrelid IN (SELECT oid FROM roots))
      LIMIT 1000) AS t
    JOIN pg_catalog.pg_proc p ON p.oid = tgfoid
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace),
  'views', (
    SELECT json_agg(json_build_object('schema', n.nspname, 'name', c.relname))
    FROM (
      SELECT oid FROM dependents EXCEPT SELECT oid FROM roots LIMIT 200) AS d
    JOIN pg_catalog.pg_class c USING (oid)
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace)
)
