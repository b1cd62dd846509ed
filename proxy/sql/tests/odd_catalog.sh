#!/bin/sh
# Makes odd_catalog.json anew from odd.sql, as clinic_catalog.sh does for the clinic.
set -eu
here=$(dirname "$0")
psql -X -q -v ON_ERROR_STOP=1 -f "$here/odd.sql"
begin=$(sed -n '/LOAD_BEGIN_SQL: &str/,/";$/p' "$here/../src/catalog.rs" | tail -n +2 | sed 's/ \\$/ /; s/";$//')
psql -X -q -At -v ON_ERROR_STOP=1 -c "$begin" -f "$here/../src/catalog/load.sql" -c ROLLBACK |
    sed -n '$p' >"$here/odd_catalog.json"
