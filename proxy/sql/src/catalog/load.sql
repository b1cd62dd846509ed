SELECT json_build_object(
  'server_version', current_setting('server_version_num')::int,
  'database', current_database(),
  'user', current_user,
  'search_path', to_json(current_schemas(true)),
  'relations', '[]'::json, 'routines', '[]'::json, 'operators', '[]'::json, 'casts', '[]'::json, 'types', '[]'::json)
