-- Locks of other sessions on the relations whose oids are in $1, as one JSON value. Vacuuming by the server itself
-- gives way, so it does not count; a parallel worker counts as its leader.
SELECT coalesce(json_agg(json_build_array(pid, relation, mode, granted)), '[]'::json)
FROM (
  SELECT coalesce(a.leader_pid, l.pid) AS pid, l.relation::int8 AS relation, l.mode, l.granted
  FROM pg_catalog.pg_locks l
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
  WHERE l.locktype = 'relation'
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND l.pid <> pg_backend_pid()
    AND l.relation IN (SELECT x::oid FROM json_array_elements_text($1::json) AS x)
    AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
  LIMIT 20000
) AS held
