//! What PostgreSQL brings along that is known to be harmless. Lists of what may pass, never of
//! what may not: a name that is missing here is a doubt.
//!
//! `functions.txt` began as the functions, aggregates and window functions of `pg_catalog` in
//! PostgreSQL 15 that have no volatile overload, take and return nothing internal, and run no
//! SQL from their arguments. Volatile ones were added by hand where they change nothing
//! (`random`, `pg_relation_size`), as were additions up to PostgreSQL 18; entries that show other
//! sessions' statements or sampled column values were taken out.

use std::{collections::HashSet, sync::LazyLock};

static FUNCTIONS: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("builtin/functions.txt").lines().collect());
static OUTPUTS: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("builtin/outputs.txt").lines().collect());
static OPERATORS: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| OPERATOR_LIST.split_whitespace().collect());
static TYPES: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| TYPE_LIST.split_whitespace().collect());
static SETTINGS: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| SETTING_LIST.split_whitespace().collect());
static SETS: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| SET_LIST.split_whitespace().collect());
static REVEALING: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| REVEALING_LIST.split_whitespace().collect());

/// A function that reads at most rows it is given and changes nothing.
pub(super) fn is_function(schema: Option<&str>, name: &str) -> bool {
    match schema {
        None | Some("pg_catalog") => FUNCTIONS.contains(name),
        // What drivers use to take index columns apart.
        Some("information_schema") => name == "_pg_expandarray",
        Some(_) => false,
    }
}

/// A built-in function that gives another value for every row.
pub(super) fn is_volatile(name: &str) -> bool {
    matches!(
        name,
        "clock_timestamp"
            | "gen_random_uuid"
            | "nextval"
            | "random"
            | "random_normal"
            | "timeofday"
            | "uuidv4"
            | "uuidv7"
    )
}

/// An aggregate whose one value may hold those of all rows, or of as many as its arguments say.
pub(super) fn gathers(name: &str) -> bool {
    name.ends_with("_agg")
        || name.contains("_agg_")
        || matches!(name, "xmlagg" | "percentile_cont" | "percentile_disc")
}

/// A built-in function that gives any number of rows, where its name stands in an expression.
pub(super) fn may_return_set(name: &str) -> bool {
    SETS.contains(name)
}

/// An operator whose every built-in variant is harmless.
pub(super) fn is_operator(schema: Option<&str>, name: &str) -> bool {
    matches!(schema, None | Some("pg_catalog")) && OPERATORS.contains(name)
}

/// A type whose input and cast functions are built in.
pub(super) fn is_type(schema: Option<&str>, name: &str) -> bool {
    let element = name.strip_prefix('_').unwrap_or(name);
    match schema {
        None | Some("pg_catalog") => TYPES.contains(name) || TYPES.contains(element),
        Some("information_schema") => INFORMATION_SCHEMA_TYPES.contains(&name),
        Some(_) => false,
    }
}

/// The server's own name of a type, when it is one.
pub(super) fn type_named(schema: Option<&str>, name: &str) -> Option<&'static str> {
    match schema {
        None | Some("pg_catalog") => TYPES.get(name).copied(),
        Some(_) => None,
    }
}

/// A sampling method of TABLESAMPLE.
pub(super) fn is_sampling_method(schema: Option<&str>, name: &str) -> bool {
    matches!(schema, None | Some("pg_catalog")) && matches!(name, "bernoulli" | "system")
}

/// A setting that changes nobody's rights and no statement's meaning, whatever its value.
pub(super) fn is_harmless_setting(name: &str) -> bool {
    SETTINGS.contains(name) || name.starts_with("enable_") || name.starts_with("abeyance.")
}

/// A setting whose name may be told although it came as a literal: one the server has.
pub(super) fn is_known_setting(name: &str) -> bool {
    SETTINGS.contains(name) || RISKY_SETTINGS.contains(&name)
}

/// A setting that is harmless when set to this value: towards the safe side.
pub(super) fn is_harmless_value(name: &str, value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let on = matches!(value.as_str(), "on" | "true" | "yes" | "1");
    match name {
        "standard_conforming_strings"
        | "row_security"
        | "transaction_read_only"
        | "default_transaction_read_only" => on,
        "client_encoding" | "names" => matches!(value.as_str(), "utf8" | "utf-8" | "unicode"),
        _ => false,
    }
}

/// A system relation that shows statements, secrets or sampled values of other people's rows.
/// Extensions put theirs into any schema, so the schema does not matter.
pub(super) fn is_revealing(schema: Option<&str>, name: &str) -> bool {
    REVEALING.contains(name) || schema == Some("pg_toast")
}

/// Columns of such a relation that show nothing of that, and those that do, in every version. Without the first it
/// shows too much whatever is read of it.
pub(super) fn plain_columns(name: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match name {
        "pg_stat_activity" => (
            &[
                "application_name",
                "backend_start",
                "backend_type",
                "backend_xid",
                "backend_xmin",
                "client_port",
                "datid",
                "datname",
                "leader_pid",
                "pid",
                "query_start",
                "state",
                "state_change",
                "usename",
                "usesysid",
                "wait_event",
                "wait_event_type",
                "xact_start",
            ],
            &["query", "query_id", "client_addr", "client_hostname"],
        ),
        "pg_subscription" => (
            &[
                "oid",
                "subdbid",
                "subname",
                "subowner",
                "subenabled",
                "subpublications",
            ],
            &["subconninfo", "subslotname"],
        ),
        "pg_user_mappings" => (
            &["umid", "srvid", "srvname", "umuser", "usename"],
            &["umoptions"],
        ),
        _ => (&[], &[]),
    }
}

/// A relation that is the server's own.
pub(super) fn is_system_relation(schema: Option<&str>, name: &str) -> bool {
    match schema {
        None => name.starts_with("pg_"),
        Some(schema) => matches!(schema, "pg_catalog" | "pg_toast" | "information_schema"),
    }
}

/// A column of what the functions above give back. None is a function that does harm.
pub(super) fn is_output_column(name: &str) -> bool {
    OUTPUTS.contains(name) || name == "ordinality"
}

/// A function of single values without a name of its own for them: in `FROM unnest(x) a` the
/// column is `a`. Elsewhere the column has the name the function gives it, and `a.a` is a call.
pub(super) fn names_its_column_by_alias(name: &str) -> bool {
    matches!(
        name,
        "generate_series"
            | "generate_subscripts"
            | "json_object_keys"
            | "jsonb_object_keys"
            | "jsonb_path_query"
            | "regexp_matches"
            | "regexp_split_to_table"
            | "string_to_table"
            | "unnest"
    )
}

/// Functions that take a whole row: `p.to_jsonb` calls them when `p` has no such column.
pub(super) fn is_row_function(name: &str) -> bool {
    matches!(
        name,
        "to_json"
            | "to_jsonb"
            | "row_to_json"
            | "num_nulls"
            | "num_nonnulls"
            | "quote_literal"
            | "quote_nullable"
            | "pg_column_size"
            | "json_build_array"
            | "jsonb_build_array"
    )
}

const OPERATOR_LIST: &str = "\
!! !~ !~* !~~ !~~* # ## #- #> #>> % & && &< &<| &> * *< *<= *<> *= *> *>= + - -> ->> -|- / < <-> \
<< <<= <<| <= <> <@ <^ = > >= >> >>= >^ ? ?# ?& ?- ?-| ?| ?|| @ @-@ @> @? @@ ^ ^@ | |&> |/ |>> \
|| ||/ ~ ~* ~<=~ ~<~ ~= ~>=~ ~>~ ~~ ~~*";

/// Functions above that return sets. Others are doubts wherever they are called.
const SET_LIST: &str = "\
_pg_expandarray aclexplode generate_series generate_subscripts json_array_elements json_array_elements_text \
json_each json_each_text json_object_keys json_populate_recordset json_to_recordset jsonb_array_elements \
jsonb_array_elements_text jsonb_each jsonb_each_text jsonb_object_keys jsonb_path_query jsonb_path_query_tz \
jsonb_populate_recordset jsonb_to_recordset pg_available_extension_versions pg_available_extensions pg_config \
pg_extension_update_paths pg_get_keywords pg_get_publication_tables pg_get_replication_slots pg_listening_channels \
pg_lock_status pg_options_to_table pg_partition_ancestors pg_partition_tree pg_show_all_settings pg_snapshot_xip \
pg_stat_get_backend_idset pg_timezone_abbrevs pg_timezone_names regexp_matches regexp_split_to_table \
string_to_table ts_debug ts_parse ts_token_type txid_snapshot_xip unnest";

const TYPE_LIST: &str = "\
aclitem anyarray bit bool box bpchar bytea char cid cidr circle cstring date datemultirange \
daterange float4 float8 inet int2 int2vector int4 int4multirange int4range int8 int8multirange \
int8range interval json jsonb jsonpath line lseg macaddr macaddr8 money name numeric \
nummultirange numrange oid oidvector path pg_lsn pg_node_tree pg_snapshot point polygon record \
refcursor regclass regcollation regconfig regdictionary regnamespace regoper regoperator regproc \
regprocedure regrole regtype text tid time timestamp timestamptz timetz tsmultirange tsquery \
tsrange tstzmultirange tstzrange tsvector txid_snapshot unknown uuid varbit varchar void xid xid8 \
xml";

const INFORMATION_SCHEMA_TYPES: [&str; 5] = [
    "cardinal_number",
    "character_data",
    "sql_identifier",
    "time_stamp",
    "yes_or_no",
];

const SETTING_LIST: &str = "\
application_name bytea_output client_min_messages constraint_exclusion cpu_index_tuple_cost \
cpu_operator_cost cpu_tuple_cost cursor_tuple_fraction datestyle default_transaction_deferrable \
default_transaction_isolation effective_cache_size escape_string_warning extra_float_digits \
from_collapse_limit geqo geqo_effort geqo_generations geqo_pool_size geqo_seed \
geqo_selection_bias geqo_threshold gin_fuzzy_search_limit idle_in_transaction_session_timeout \
idle_session_timeout intervalstyle jit jit_above_cost jit_inline_above_cost \
jit_optimize_above_cost join_collapse_limit lc_monetary lc_numeric lc_time lock_timeout \
max_parallel_workers_per_gather parallel_setup_cost parallel_tuple_cost plan_cache_mode \
quote_all_identifiers random_page_cost recursive_worktable_factor seq_page_cost \
statement_timeout synchronize_seqscans timezone timezone_abbreviations transaction_deferrable transaction_isolation \
transaction_timeout xmlbinary xmloption";

/// Settings that the judgement of later statements rests on, or that switch safety off.
const RISKY_SETTINGS: [&str; 16] = [
    "backslash_quote",
    "client_encoding",
    "default_transaction_read_only",
    "dynamic_library_path",
    "local_preload_libraries",
    "log_statement",
    "role",
    "row_security",
    "search_path",
    "session_authorization",
    "session_preload_libraries",
    "session_replication_role",
    "standard_conforming_strings",
    "synchronous_commit",
    "transaction_read_only",
    "work_mem",
];

const REVEALING_LIST: &str = "\
_pg_user_mappings pg_authid pg_buffercache pg_cursors pg_file_settings pg_hba_file_rules pg_ident_file_mappings pg_largeobject \
pg_prepared_statements pg_shadow pg_stat_activity pg_stat_replication pg_stat_statements \
pg_stat_subscription pg_stat_wal_receiver pg_statistic pg_statistic_ext_data pg_stats \
pg_stats_ext pg_stats_ext_exprs pg_subscription pg_user_mapping pg_user_mappings \
user_mapping_options";
