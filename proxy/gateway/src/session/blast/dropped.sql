-- What goes when the objects in $1 are dropped, as one JSON value; $1: pairs of a catalog's name and an oid. Of each what it
-- is, its name, and the relation it is a part of; whether it goes by itself or by CASCADE alone.
WITH RECURSIVE gone(classid, objid, objsubid, forced) AS (
  SELECT (x ->> 0)::regclass::oid, (x ->> 1)::oid, 0, false FROM json_array_elements($1::json) AS x
  UNION
  SELECT next.* FROM gone g, LATERAL (
    SELECT d.classid, d.objid, d.objsubid, g.forced OR d.deptype = 'n'
    FROM pg_catalog.pg_depend d
    WHERE d.refclassid = g.classid AND d.refobjid = g.objid AND (g.objsubid = 0 OR d.refobjsubid = g.objsubid)
      AND (d.classid, d.objid) <> (g.classid, g.objid) AND d.deptype IN ('n', 'a', 'i', 'P', 'S', 'e')
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass::oid, r.ev_class, 0, g.forced FROM pg_catalog.pg_rewrite r
    WHERE g.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = g.objid AND r.rulename = '_RETURN'
  ) AS next
), found AS (
  SELECT classid, objid, objsubid, bool_and(forced) AS forced FROM (SELECT * FROM gone LIMIT 5000) AS bounded
  GROUP BY classid, objid, objsubid
), whole AS (
  SELECT objid FROM found WHERE classid = 'pg_catalog.pg_class'::regclass AND objsubid = 0
), given AS (
  SELECT (x ->> 0)::regclass::oid AS classid, (x ->> 1)::oid AS objid FROM json_array_elements($1::json) AS x
), named(what, namespace, name, of_relation, forced, place) AS (
  SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
      WHEN 'f' THEN 'foreign table' ELSE 'table' END, c.relnamespace, c.relname, NULL::oid, f.forced, 1
  FROM found f JOIN pg_catalog.pg_class c ON f.classid = 'pg_catalog.pg_class'::regclass AND c.oid = f.objid
  WHERE f.objsubid = 0 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  UNION ALL
  SELECT 'column', NULL, a.attname, a.attrelid, f.forced, 2
  FROM found f JOIN pg_catalog.pg_attribute a ON f.classid = 'pg_catalog.pg_class'::regclass AND a.attrelid = f.objid AND a.attnum = f.objsubid
  WHERE f.objsubid > 0 AND a.attrelid NOT IN (SELECT objid FROM whole)
  UNION ALL
  SELECT CASE k.contype WHEN 'f' THEN 'foreign key' ELSE 'constraint' END, NULL, k.conname, k.conrelid, f.forced, 3
  FROM found f JOIN pg_catalog.pg_constraint k ON f.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = f.objid
  WHERE k.conrelid <> 0 AND k.conparentid = 0 AND k.conrelid NOT IN (SELECT objid FROM whole)
  UNION ALL
  SELECT 'policy', NULL, p.polname, p.polrelid, f.forced, 4
  FROM found f JOIN pg_catalog.pg_policy p ON f.classid = 'pg_catalog.pg_policy'::regclass AND p.oid = f.objid
  WHERE p.polrelid NOT IN (SELECT objid FROM whole)
  UNION ALL
  SELECT 'trigger', NULL, t.tgname, t.tgrelid, f.forced, 5
  FROM found f JOIN pg_catalog.pg_trigger t ON f.classid = 'pg_catalog.pg_trigger'::regclass AND t.oid = f.objid
  WHERE NOT t.tgisinternal AND t.tgrelid NOT IN (SELECT objid FROM whole)
  UNION ALL
  SELECT 'rule', NULL, r.rulename, r.ev_class, f.forced, 6
  FROM found f JOIN pg_catalog.pg_rewrite r ON f.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = f.objid
  WHERE r.ev_class NOT IN (SELECT objid FROM whole)
  UNION ALL
  SELECT 'default of column', NULL, a.attname, d.adrelid, f.forced, 7
  FROM found f JOIN pg_catalog.pg_attrdef d ON f.classid = 'pg_catalog.pg_attrdef'::regclass AND d.oid = f.objid
  JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  WHERE d.adrelid NOT IN (SELECT objid FROM whole)
  UNION ALL
  SELECT 'function', p.pronamespace, p.proname, NULL, f.forced, 8
  FROM found f JOIN pg_catalog.pg_proc p ON f.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = f.objid
  UNION ALL
  SELECT 'type', t.typnamespace, t.typname, NULL, f.forced, 9
  FROM found f JOIN pg_catalog.pg_type t ON f.classid = 'pg_catalog.pg_type'::regclass AND t.oid = f.objid
  LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
  WHERE t.typtype IN ('d', 'e', 'r') OR c.relkind = 'c'
)
SELECT json_build_object(
  'tables', (
    SELECT json_agg(DISTINCT c.oid::int8) FROM found f
    JOIN pg_catalog.pg_class c ON f.classid = 'pg_catalog.pg_class'::regclass AND c.oid = f.objid
    WHERE c.relkind IN ('r', 'p', 'm')),
  'objects', (
    SELECT json_agg(json_build_object('what', o.what, 'schema', coalesce(n.nspname, m.nspname), 'name', o.name, 'of', c.relname, 'forced', o.forced)
      ORDER BY o.place, o.name)
    FROM (
      SELECT * FROM named o
      -- Not what the statement itself names.
      WHERE NOT EXISTS (
        SELECT FROM given g JOIN pg_catalog.pg_class c ON g.classid = 'pg_catalog.pg_class'::regclass AND c.oid = g.objid
        WHERE o.place = 1 AND c.relnamespace = o.namespace AND c.relname = o.name)
      AND NOT EXISTS (
        SELECT FROM given g JOIN pg_catalog.pg_type t ON g.classid = 'pg_catalog.pg_type'::regclass AND t.oid = g.objid
        WHERE o.place = 9 AND t.typnamespace = o.namespace AND t.typname = o.name)
      LIMIT 1000) AS o
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = o.namespace
    LEFT JOIN pg_catalog.pg_class c ON c.oid = o.of_relation
    LEFT JOIN pg_catalog.pg_namespace m ON m.oid = c.relnamespace),
  'cut', (SELECT count(*) >= 5000 FROM found)
)
