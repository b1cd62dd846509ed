-- A short text that differs whenever anything `load.sql` reads was changed, and cheap beside it:
-- per system catalog the number of rows and the sum of a hash of each row's xmin.
--
-- Why that is enough: a row is new or changed only by a transaction that an earlier snapshot did not see, so its
-- xmin is none of those summed before, and the sum cannot be the same but by a collision of 64-bit
-- hashes; rows that only went make the count smaller. Updates in place (statistics by VACUUM and ANALYZE) change
-- nothing a statement could mean. Temporary relations are left out: they are a session's own, and
-- would change it all the time.
WITH temporary AS MATERIALIZED (
  SELECT oid FROM pg_catalog.pg_class WHERE relpersistence = 't'
), passing AS MATERIALIZED (
  SELECT oid FROM pg_catalog.pg_namespace WHERE nspname LIKE 'pg\_temp\_%' OR nspname LIKE 'pg\_toast\_temp\_%'
)
SELECT concat_ws(' ',
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_class WHERE relpersistence <> 't'),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_attribute WHERE attrelid NOT IN (SELECT oid FROM temporary)),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_attrdef WHERE adrelid NOT IN (SELECT oid FROM temporary)),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_constraint WHERE conrelid NOT IN (SELECT oid FROM temporary)),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_index WHERE indrelid NOT IN (SELECT oid FROM temporary)),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_inherits WHERE inhrelid NOT IN (SELECT oid FROM temporary)),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_partitioned_table WHERE partrelid NOT IN (SELECT oid FROM temporary)),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_policy),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_rewrite WHERE ev_class NOT IN (SELECT oid FROM temporary)),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_trigger WHERE tgrelid NOT IN (SELECT oid FROM temporary)),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_proc),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_aggregate),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_operator),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_cast),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_opclass),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_am),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_amproc),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_amop),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_type WHERE typnamespace NOT IN (SELECT oid FROM passing)),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_range),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_language),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_namespace WHERE oid NOT IN (SELECT oid FROM passing)),
  -- Not read by `load.sql`, but they decide what a new session's search_path comes to.
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_db_role_setting),
  (SELECT concat(count(*), ':', sum(hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, 0))) FROM pg_catalog.pg_auth_members))
