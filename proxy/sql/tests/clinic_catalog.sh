#!/bin/sh
# Makes clinic_catalog.json anew: tests/corpus/clinic.sql loaded into an empty database that psql
# reaches with its own settings (PGHOST, PGPORT, PGUSER, PGDATABASE), and the catalog read from it.
set -eu
here=$(dirname "$0")
psql -X -q -v ON_ERROR_STOP=1 -f "$here/../../../tests/corpus/clinic.sql"
begin=$(sed -n '/LOAD_BEGIN_SQL: &str/,/";$/p' "$here/../src/catalog.rs" | tail -n +2 | sed 's/ \\$/ /; s/";$//')
psql -X -q -At -v ON_ERROR_STOP=1 -c "$begin" -f "$here/../src/catalog/load.sql" -c ROLLBACK |
    sed -n '$p' >"$here/clinic_catalog.json"
