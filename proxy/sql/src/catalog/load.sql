-- A target's catalog as one JSON value, in the shape of `Catalog`. For PostgreSQL 13 to 18.
-- Run after LOAD_BEGIN_SQL: with search_path set to nothing every definition comes out qualified,
-- and the session's own path waits in abeyance.search_path. With abeyance.scope = 'temporary' only
-- the session's temporary relations come, with all else empty.
WITH setting AS MATERIALIZED (
  SELECT current_setting('server_version_num')::int AS version,
         COALESCE(current_setting('abeyance.scope', true), '') = 'temporary' AS temporary_only
), kept AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind, c.reltype, c.relowner, c.relrowsecurity, c.relhasrules, c.relhastriggers,
         c.reltuples, c.relpages, n.nspname, n.oid = pg_my_temp_schema() AS temporary
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, setting s
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND (n.nspname NOT IN ('pg_catalog', 'information_schema') OR c.oid >= 16384)
    AND n.nspname NOT LIKE 'pg\_toast%'
    AND (n.oid = pg_my_temp_schema() OR NOT (n.nspname LIKE 'pg\_temp\_%' OR s.temporary_only))
), named_type AS MATERIALIZED (
  SELECT t.oid, json_build_object('schema', n.nspname, 'name', t.typname) AS name
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
), named_routine AS MATERIALIZED (
  SELECT p.oid, json_build_object('schema', n.nspname, 'name', p.proname) AS name,
         p.oid < 16384 AND n.nspname IN ('pg_catalog', 'information_schema') AS built_in
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
), column_lists AS (
  SELECT a.attrelid,
         json_agg(json_build_object('name', a.attname, 'type_name', t.name) ORDER BY a.attnum) AS list
  FROM pg_catalog.pg_attribute a
  JOIN named_type t ON t.oid = a.atttypid
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  WHERE a.attnum > 0 AND NOT a.attisdropped
    AND (a.attrelid IN (SELECT oid FROM kept) OR c.relkind = 'c' AND (c.oid >= 16384 OR c.relnamespace::pg_catalog.regnamespace::pg_catalog.text NOT IN ('pg_catalog', 'information_schema')))
  GROUP BY a.attrelid
), rule_lists AS (
  SELECT r.ev_class,
         json_agg(json_build_object(
           'name', r.rulename,
           'event', CASE r.ev_type WHEN '1' THEN 'SELECT' WHEN '2' THEN 'UPDATE'
                                   WHEN '3' THEN 'INSERT' ELSE 'DELETE' END,
           'instead', r.is_instead,
           'definition', pg_get_ruledef(r.oid)) ORDER BY r.rulename) AS list
  FROM pg_catalog.pg_rewrite r JOIN kept k ON k.oid = r.ev_class
  WHERE r.ev_enabled <> 'D' AND NOT (r.rulename = '_RETURN' AND k.relkind IN ('v', 'm'))
  GROUP BY r.ev_class
), trigger_lists AS (
  SELECT t.tgrelid,
         json_agg(json_build_object(
           'name', t.tgname,
           'function', f.name,
           'events', array_to_json(array_remove(ARRAY[
             CASE WHEN t.tgtype & 4 <> 0 THEN 'INSERT' END, CASE WHEN t.tgtype & 16 <> 0 THEN 'UPDATE' END,
             CASE WHEN t.tgtype & 8 <> 0 THEN 'DELETE' END, CASE WHEN t.tgtype & 32 <> 0 THEN 'TRUNCATE' END], NULL)),
           'enabled', t.tgenabled <> 'D',
           'conditional', CASE WHEN t.tgqual IS NOT NULL THEN pg_get_triggerdef(t.oid) END) ORDER BY t.tgname) AS list
  FROM pg_catalog.pg_trigger t
  JOIN kept k ON k.oid = t.tgrelid
  JOIN named_routine f ON f.oid = t.tgfoid
  WHERE NOT t.tgisinternal
  GROUP BY t.tgrelid
), parent_lists AS (
  SELECT i.inhrelid, json_agg(i.inhparent::bigint ORDER BY i.inhseqno) AS list
  FROM pg_catalog.pg_inherits i JOIN kept k ON k.oid = i.inhrelid
  GROUP BY i.inhrelid
), unique_lists AS (
  SELECT u.indrelid, json_agg(u.names ORDER BY u.indexrelid) AS list
  FROM (
    SELECT i.indrelid, i.indexrelid, json_agg(a.attname ORDER BY key.at) AS names
    FROM pg_catalog.pg_index i
    JOIN kept k ON k.oid = i.indrelid
    CROSS JOIN LATERAL unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS key (attnum, at)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = key.attnum
    WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
      AND key.at <= i.indnkeyatts
    GROUP BY i.indrelid, i.indexrelid
  ) u
  GROUP BY u.indrelid
), key_lists AS (
  SELECT c.conrelid,
         json_agg(json_build_object(
           'name', c.conname,
           'columns', (SELECT json_agg(a.attname ORDER BY x.at)
                       FROM unnest(c.conkey) WITH ORDINALITY AS x (attnum, at)
                       JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = x.attnum),
           'references', c.confrelid::bigint,
           'referenced_columns', (SELECT json_agg(a.attname ORDER BY x.at)
                       FROM unnest(c.confkey) WITH ORDINALITY AS x (attnum, at)
                       JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = x.attnum),
           'on_delete', CASE c.confdeltype WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set_null'
                             WHEN 'd' THEN 'set_default' WHEN 'r' THEN 'restrict' ELSE 'no_action' END,
           'on_update', CASE c.confupdtype WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set_null'
                             WHEN 'd' THEN 'set_default' WHEN 'r' THEN 'restrict' ELSE 'no_action' END)
           ORDER BY c.conname) AS list
  FROM pg_catalog.pg_constraint c JOIN kept k ON k.oid = c.conrelid
  WHERE c.contype = 'f'
  GROUP BY c.conrelid
), read_lists AS (
  SELECT p.polrelid, json_agg(pg_get_expr(p.polqual, p.polrelid) ORDER BY p.polname) AS list
  FROM pg_catalog.pg_policy p JOIN kept k ON k.oid = p.polrelid AND k.relrowsecurity
  WHERE p.polqual IS NOT NULL AND p.polcmd IN ('*', 'r')
  GROUP BY p.polrelid
), write_lists AS (
  SELECT w.relid, json_agg(w.expression) AS list
  FROM (
    SELECT DISTINCT w.relid, w.expression
    FROM (
      SELECT d.adrelid AS relid, pg_get_expr(d.adbin, d.adrelid) AS expression FROM pg_catalog.pg_attrdef d
      UNION ALL
      SELECT c.conrelid, pg_get_expr(c.conbin, c.conrelid) FROM pg_catalog.pg_constraint c
      WHERE c.contype = 'c' AND c.conrelid <> 0
      UNION ALL
      SELECT i.indrelid, pg_get_expr(x.tree, i.indrelid)
      FROM pg_catalog.pg_index i CROSS JOIN LATERAL (VALUES (i.indexprs), (i.indpred)) AS x (tree)
      WHERE x.tree IS NOT NULL
      UNION ALL
      SELECT t.partrelid, pg_get_expr(t.partexprs, t.partrelid) FROM pg_catalog.pg_partitioned_table t
      WHERE t.partexprs IS NOT NULL
      UNION ALL
      SELECT p.polrelid, pg_get_expr(x.tree, p.polrelid)
      FROM pg_catalog.pg_policy p
      JOIN kept k ON k.oid = p.polrelid AND k.relrowsecurity
      CROSS JOIN LATERAL (VALUES (p.polqual), (p.polwithcheck)) AS x (tree)
      WHERE x.tree IS NOT NULL
    ) w
    WHERE w.relid IN (SELECT oid FROM kept) AND w.expression IS NOT NULL
  ) w
  GROUP BY w.relid
), detail_lists AS (
  -- What the lists above leave out: what belongs to which column, whom a policy is for, options.
  SELECT d.relid, encode(sha256(convert_to(string_agg(d.line, E'\n' ORDER BY d.line COLLATE "C"), getdatabaseencoding())), 'hex') AS digest
  FROM (
    SELECT k.oid AS relid, concat_ws(' ', 'options', c.relforcerowsecurity, c.reloptions::pg_catalog.text) AS line
    FROM kept k JOIN pg_catalog.pg_class c ON c.oid = k.oid
    UNION ALL
    SELECT k.oid, concat_ws(' ', 'column', a.attnum, a.attname, a.atttypmod, a.attnotnull, a.attidentity, a.attgenerated,
                            pg_get_expr(x.adbin, x.adrelid))
    FROM kept k JOIN pg_catalog.pg_attribute a ON a.attrelid = k.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_attrdef x ON x.adrelid = a.attrelid AND x.adnum = a.attnum
    UNION ALL
    SELECT k.oid, concat_ws(' ', 'constraint', c.conname, pg_get_constraintdef(c.oid))
    FROM kept k JOIN pg_catalog.pg_constraint c ON c.conrelid = k.oid
    UNION ALL
    SELECT k.oid, concat_ws(' ', 'trigger', t.tgenabled, pg_get_triggerdef(t.oid))
    FROM kept k JOIN pg_catalog.pg_trigger t ON t.tgrelid = k.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT k.oid, concat_ws(' ', 'policy', p.polname, p.polcmd, p.polpermissive, p.polroles::pg_catalog.regrole[]::pg_catalog.text,
                            'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid))
    FROM kept k JOIN pg_catalog.pg_policy p ON p.polrelid = k.oid) d
  GROUP BY d.relid
), class_code AS MATERIALIZED (
  -- What an operator class runs beside the server's own: functions, and those of its operators. `plain`: not in C,
  -- which nobody but a superuser can bring in.
  SELECT DISTINCT o.oid AS opclass, o.opcintype, f.oid AS routine, l.lanname NOT IN ('c', 'internal') AS plain,
         o.opcdefault AND m.amname IN ('btree', 'hash') AS compares
  FROM pg_catalog.pg_opclass o
  JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod
  CROSS JOIN LATERAL (
    SELECT p.amproc::pg_catalog.oid AS oid FROM pg_catalog.pg_amproc p
    WHERE p.amprocfamily = o.opcfamily AND p.amproclefttype = o.opcintype
    UNION ALL
    SELECT q.oprcode::pg_catalog.oid FROM pg_catalog.pg_amop a JOIN pg_catalog.pg_operator q ON q.oid = a.amopopr
    WHERE a.amopfamily = o.opcfamily AND a.amoplefttype = o.opcintype) code
  JOIN pg_catalog.pg_proc f ON f.oid = code.oid
  JOIN pg_catalog.pg_language l ON l.oid = f.prolang
  JOIN named_routine r ON r.oid = f.oid AND NOT r.built_in
), comparing AS MATERIALIZED (
  -- Types whose values are sorted and grouped by code of users.
  SELECT x.opcintype, json_agg(f.name ORDER BY x.routine) AS list, bool_or(x.plain) AS plain
  FROM (SELECT opcintype, routine, bool_or(plain) AS plain FROM class_code WHERE compares GROUP BY 1, 2) x
  JOIN named_routine f ON f.oid = x.routine
  GROUP BY x.opcintype
), scan_lists AS (
  SELECT x.relid, json_agg(f.name ORDER BY x.routine) AS list
  FROM (
    SELECT DISTINCT k.relid, c.routine
    FROM (SELECT i.indrelid AS relid, unnest(i.indclass::pg_catalog.oid[]) AS opclass FROM pg_catalog.pg_index i
          UNION ALL
          SELECT t.partrelid, unnest(t.partclass::pg_catalog.oid[]) FROM pg_catalog.pg_partitioned_table t) k
    JOIN class_code c ON c.opclass = k.opclass AND c.plain
    WHERE k.relid IN (SELECT oid FROM kept)) x
  JOIN named_routine f ON f.oid = x.routine
  GROUP BY x.relid
), relation_list AS (
  SELECT json_agg(json_build_object(
    'oid', k.oid::bigint,
    'name', json_build_object('schema', k.nspname, 'name', k.relname),
    'kind', CASE k.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned' WHEN 'v' THEN 'view'
                 WHEN 'm' THEN 'materialized_view' WHEN 'f' THEN 'foreign' WHEN 'S' THEN 'sequence' ELSE 'other' END,
    'owner', pg_get_userbyid(k.relowner),
    'temporary', k.temporary,
    'columns', COALESCE(columns.list, '[]'),
    'rows', CASE WHEN k.reltuples >= 0 AND (k.relpages > 0 OR k.reltuples > 0 OR s.version >= 140000)
                 THEN k.reltuples::double precision END,
    'pages', greatest(k.relpages, 0),
    'definition', CASE WHEN k.relkind IN ('v', 'm') THEN pg_get_viewdef(k.oid) END,
    'rules', COALESCE(rules.list, '[]'),
    'triggers', COALESCE(triggers.list, '[]'),
    'parents', COALESCE(parents.list, '[]'),
    'unique_keys', COALESCE(uniques.list, '[]'),
    'foreign_keys', COALESCE(keys.list, '[]'),
    'row_security', k.relrowsecurity,
    'on_read', COALESCE(reading.list, '[]'),
    'on_write', COALESCE(writing.list, '[]'),
    'on_compare', COALESCE(comparing.list, '[]'),
    'on_scan', COALESCE(scanning.list, '[]'),
    'detail', detail.digest) ORDER BY k.nspname, k.relname) AS list
  FROM kept k
  CROSS JOIN setting s
  LEFT JOIN column_lists columns ON columns.attrelid = k.oid
  LEFT JOIN rule_lists rules ON rules.ev_class = k.oid
  LEFT JOIN trigger_lists triggers ON triggers.tgrelid = k.oid
  LEFT JOIN parent_lists parents ON parents.inhrelid = k.oid
  LEFT JOIN unique_lists uniques ON uniques.indrelid = k.oid
  LEFT JOIN key_lists keys ON keys.conrelid = k.oid
  LEFT JOIN read_lists reading ON reading.polrelid = k.oid
  LEFT JOIN write_lists writing ON writing.relid = k.oid
  LEFT JOIN comparing ON comparing.opcintype = k.reltype
  LEFT JOIN scan_lists scanning ON scanning.relid = k.oid
  LEFT JOIN detail_lists detail ON detail.relid = k.oid
), routine_list AS (
  SELECT json_agg(json_build_object(
    'oid', p.oid::bigint,
    'name', own.name,
    'arguments', (SELECT COALESCE(json_agg(t.name ORDER BY x.at), '[]')
                  FROM unnest(p.proargtypes::pg_catalog.oid[]) WITH ORDINALITY AS x (typ, at) JOIN named_type t ON t.oid = x.typ),
    'defaults', p.pronargdefaults,
    'variadic', p.provariadic <> 0,
    'returns', result.name,
    'returns_set', p.proretset,
    'volatility', p.provolatile,
    'security_definer', p.prosecdef,
    'language', l.lanname,
    'trusted', l.lanpltrusted,
    'owner', pg_get_userbyid(p.proowner),
    'doubles_built_in', EXISTS (
      SELECT FROM pg_catalog.pg_proc b
      WHERE b.proname = p.proname AND b.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
        AND b.proargtypes = p.proargtypes AND b.oid < 16384),
    'source', CASE WHEN p.prokind = 'a'
      THEN (SELECT a::pg_catalog.text FROM pg_catalog.pg_aggregate a WHERE a.aggfnoid = p.oid)
      ELSE pg_get_functiondef(p.oid) END) ORDER BY n.nspname, p.proname, p.oid) AS list
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  JOIN named_routine own ON own.oid = p.oid
  JOIN named_type result ON result.oid = p.prorettype
  CROSS JOIN setting s
  WHERE NOT own.built_in AND NOT s.temporary_only
    AND (n.oid = pg_my_temp_schema() OR n.nspname NOT LIKE 'pg\_temp\_%')
), operator_list AS (
  SELECT json_agg(json_build_object(
    'name', json_build_object('schema', n.nspname, 'name', o.oprname),
    'left', a.name, 'right', b.name,
    'function', f.name, 'built_in', f.built_in,
    'doubles_built_in', EXISTS (
      SELECT FROM pg_catalog.pg_operator d
      WHERE d.oprname = o.oprname AND d.oprnamespace = 'pg_catalog'::pg_catalog.regnamespace
        AND d.oprleft = o.oprleft AND d.oprright = o.oprright AND d.oid < 16384)) ORDER BY n.nspname, o.oprname, o.oid) AS list
  FROM pg_catalog.pg_operator o
  JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
  JOIN named_routine f ON f.oid = o.oprcode
  LEFT JOIN named_type a ON a.oid = o.oprleft
  LEFT JOIN named_type b ON b.oid = o.oprright
  CROSS JOIN setting s
  -- Not 16384: what a standalone server was told to create has lower numbers, from where the server's own end.
  WHERE (o.oid >= 12000 OR n.nspname <> 'pg_catalog') AND NOT s.temporary_only
), cast_list AS (
  SELECT json_agg(json_build_object(
    'source', a.name, 'target', b.name,
    'function', f.name, 'built_in', COALESCE(f.built_in, true),
    'context', c.castcontext) ORDER BY c.oid) AS list
  FROM pg_catalog.pg_cast c
  JOIN named_type a ON a.oid = c.castsource
  JOIN named_type b ON b.oid = c.casttarget
  LEFT JOIN named_routine f ON f.oid = c.castfunc
  CROSS JOIN setting s
  WHERE c.oid >= 12000 AND NOT s.temporary_only
), range_code AS (
  -- Values of a range are compared when they are made.
  SELECT x.rngtypid, json_agg(f.name ORDER BY x.routine) AS list
  FROM (
    SELECT r.rngtypid, c.routine FROM pg_catalog.pg_range r JOIN class_code c ON c.opclass = r.rngsubopc
    UNION
    SELECT r.rngtypid, y.routine
    FROM pg_catalog.pg_range r
    CROSS JOIN LATERAL (VALUES (r.rngcanonical::pg_catalog.oid), (r.rngsubdiff::pg_catalog.oid)) AS y (routine)) x
  JOIN named_routine f ON f.oid = x.routine AND NOT f.built_in
  GROUP BY x.rngtypid
), type_list AS (
  SELECT json_agg(json_build_object(
    'name', own.name,
    'kind', CASE
      -- One of the server's own, here for how it is compared alone.
      WHEN t.oid < 16384 AND n.nspname = 'pg_catalog' THEN json_build_object('is', 'enum')
      WHEN t.typtype = 'e' THEN json_build_object('is', 'enum')
      WHEN t.typtype = 'd' THEN json_build_object('is', 'domain', 'over', base.name)
      WHEN t.typtype = 'c' THEN json_build_object('is', 'composite', 'columns', COALESCE(columns.list, '[]'))
      WHEN t.typtype = 'r' THEN json_build_object('is', 'range', 'of', sub.name)
      WHEN element.name IS NOT NULL THEN json_build_object('is', 'array', 'of', element.name)
      ELSE json_build_object('is', 'base') END,
    'on_make', CASE WHEN t.typtype = 'd' THEN COALESCE((
      SELECT json_agg(x.expression) FROM (
        SELECT pg_get_expr(c.conbin, 0) AS expression FROM pg_catalog.pg_constraint c
        WHERE c.contypid = t.oid AND c.conbin IS NOT NULL
        UNION ALL
        SELECT pg_get_expr(t.typdefaultbin, 0) WHERE t.typdefaultbin IS NOT NULL) x), '[]') ELSE '[]' END,
    'on_compare', COALESCE(range_code.list, comparing.list, '[]')
    ) ORDER BY n.nspname, t.typname) AS list
  FROM pg_catalog.pg_type t
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  JOIN named_type own ON own.oid = t.oid
  LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
  LEFT JOIN named_type base ON base.oid = t.typbasetype
  LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
  LEFT JOIN named_type sub ON sub.oid = r.rngsubtype
  LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A' AND t.typlen = -1
  LEFT JOIN pg_catalog.pg_class ec ON ec.oid = e.typrelid
  LEFT JOIN named_type element ON element.oid = e.oid
  LEFT JOIN column_lists columns ON columns.attrelid = t.typrelid
  LEFT JOIN comparing ON comparing.opcintype = t.oid
  LEFT JOIN range_code ON range_code.rngtypid = t.oid
  CROSS JOIN setting s
  WHERE (t.oid >= 16384 OR n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') OR comparing.plain)
    AND NOT s.temporary_only
    -- A relation's row type, and arrays of it, are known from the relation.
    AND (t.typrelid = 0 OR c.relkind = 'c')
    AND (e.oid IS NULL OR e.typrelid = 0 OR ec.relkind = 'c')
    AND (n.oid = pg_my_temp_schema() OR n.nspname NOT LIKE 'pg\_temp\_%')
    AND n.nspname NOT LIKE 'pg\_toast%'
)
SELECT json_build_object(
  'server_version', s.version,
  'database', current_database(),
  'user', current_user,
  'search_path', COALESCE(NULLIF(current_setting('abeyance.search_path', true), '')::pg_catalog.json,
                          to_json(current_schemas(true))),
  'relations', COALESCE(relation_list.list, '[]'),
  'routines', COALESCE(routine_list.list, '[]'),
  'operators', COALESCE(operator_list.list, '[]'),
  'casts', COALESCE(cast_list.list, '[]'),
  'types', COALESCE(type_list.list, '[]'))
FROM setting s, relation_list, routine_list, operator_list, cast_list, type_list
