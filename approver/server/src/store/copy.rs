//! A SQLite store that becomes a PostgreSQL store: every row of every table, in one transaction, or none.
//!
//! Which tables there are, which columns they have and which refers to which is read from the schemas
//! themselves: a table of a later migration is copied without being named here. Before anything lasts, rows are
//! counted on both sides and the record is walked link by link.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use sqlx::{PgConnection, Row as _, SqliteConnection, sqlite::SqliteRow};
use tokio_stream::StreamExt as _;

use super::{
    AuditReport, OpenError, PostgresStore, StoreError,
    db::{Conn, Handle},
    events, postgres, sqlite,
};

/// Comes with the schema, and holds nothing worth keeping.
const PROBE: &str = "probe";

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Rows of each table.
    pub rows: BTreeMap<String, u64>,
    /// The record, as it was walked in the copy.
    pub audit: AuditReport,
}

/// Nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("there is no store at {0}")]
    Absent(String),
    #[error(
        "the store {0} has a running approver; stop every approver of it, and copy before the first one starts"
    )]
    Running(String),
    #[error(
        "the store {store} is not empty: its table {table} has rows; copy into a database of its own"
    )]
    NotEmpty { store: String, table: String },
    #[error("the record of {store} is broken at row {row}; find out why before it moves")]
    Broken { store: String, row: i64 },
    #[error("the two schemas differ in {0}; this is a mistake of abeyance")]
    Schema(String),
    #[error("{table} has {read} rows and its copy has {written}; nothing was kept")]
    Count {
        table: String,
        read: u64,
        written: u64,
    },
    #[error("the copy failed, nothing was kept: {0}")]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for CopyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Columns of each table, by name, with the type the destination has for them.
type Tables = BTreeMap<String, BTreeMap<String, String>>;

/// Copies the store in `from`, which no approver may have open, into the empty store `to`. The file is
/// upgraded to the schema of this version first, as it would be at a start, and stays as it is otherwise.
///
/// # Errors
/// Why nothing was copied.
pub async fn store_copy(from: &Path, to: &PostgresStore) -> Result<Copied, CopyError> {
    if !from.is_file() {
        return Err(CopyError::Absent(from.display().to_string()));
    }
    let (_, mut file, readers, _lock) = sqlite::open(from).await?;
    readers.close().await;
    let source = events::walk(&mut file).await?;
    if let Some(row) = source.broken_at {
        let store = from.display().to_string();
        return Err(CopyError::Broken { store, row });
    }
    let (_, mut database, readers) = postgres::open(to).await?;
    readers.close().await;
    let result = copy(&mut file, &mut database, to, &source).await;
    // Without COMMIT nothing lasts, whatever becomes of the connection.
    let rows = match result {
        Ok(rows) => rows,
        Err(error) => {
            database.run("ROLLBACK").await.ok();
            return Err(error);
        }
    };
    database.run("COMMIT").await?;
    database.close().await?;
    file.close().await?;
    Ok(Copied {
        rows,
        audit: source,
    })
}

async fn copy(
    file: &mut Conn,
    database: &mut Conn,
    to: &PostgresStore,
    source: &AuditReport,
) -> Result<BTreeMap<String, u64>, CopyError> {
    database.run(postgres::BEGIN).await?;
    let (Conn::Sqlite(from), Conn::Postgres(into)) = (file, &mut *database) else {
        return Err(CopyError::Schema("their engines".to_owned()));
    };
    alone(into, to).await?;
    let tables = tables(from, into).await?;
    let mut rows = BTreeMap::new();
    for table in in_order(into, &tables).await? {
        let columns = tables.get(&table).cloned().unwrap_or_default();
        if count_in_postgres(into, &table).await? > 0 {
            let store = to.to_string();
            return Err(CopyError::NotEmpty { store, table });
        }
        let read = table_copy(from, into, &table, &columns).await?;
        let written = count_in_postgres(into, &table).await?;
        if read != written {
            return Err(CopyError::Count {
                table,
                read,
                written,
            });
        }
        rows.insert(table, read);
    }
    let walked = events::walk(database).await?;
    if walked != *source {
        let row = walked.broken_at.unwrap_or_default();
        let store = to.to_string();
        return Err(CopyError::Broken { store, row });
    }
    Ok(rows)
}

/// Whoever started on the empty database meanwhile would write between the copied rows.
async fn alone(into: &mut Handle<sqlx::Postgres>, to: &PostgresStore) -> Result<(), CopyError> {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
         AND pid <> pg_backend_pid() AND application_name = 'abeyance'";
    let others: i64 = sqlx::query_scalar(others).fetch_one(&mut **into).await?;
    if others > 0 {
        return Err(CopyError::Running(to.to_string()));
    }
    Ok(())
}

/// The tables of both, which have to be the same.
async fn tables(from: &mut SqliteConnection, into: &mut PgConnection) -> Result<Tables, CopyError> {
    let listed = "SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let listed: Vec<(String, String)> = sqlx::query_as(listed).fetch_all(from).await?;
    let here: BTreeSet<(String, String)> = listed.into_iter().collect();
    let listed = "SELECT table_name::text, column_name::text, data_type::text
         FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
         WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'";
    let listed: Vec<(String, String, String)> = sqlx::query_as(listed).fetch_all(into).await?;
    let mut tables = Tables::new();
    let mut there = BTreeSet::new();
    for (table, column, kind) in listed {
        there.insert((table.clone(), column.clone()));
        tables.entry(table).or_default().insert(column, kind);
    }
    let ours = |named: &&(String, String)| named.0 != "_sqlx_migrations";
    if let Some((table, column)) = here.symmetric_difference(&there).find(ours) {
        return Err(CopyError::Schema(format!("{table}.{column}")));
    }
    tables.remove("_sqlx_migrations");
    tables.remove(PROBE);
    Ok(tables)
}

/// What a table refers to comes before it.
async fn in_order(into: &mut PgConnection, tables: &Tables) -> Result<Vec<String>, CopyError> {
    let listed = "SELECT DISTINCT c.conrelid::regclass::text, c.confrelid::regclass::text FROM pg_constraint c
         WHERE c.contype = 'f' AND c.conrelid <> c.confrelid";
    let references: Vec<(String, String)> = sqlx::query_as(listed).fetch_all(into).await?;
    let mut ordered: Vec<String> = Vec::new();
    while ordered.len() < tables.len() {
        let ready = tables.keys().find(|table| {
            let mut refers = references.iter().filter(|(from, _)| from == *table);
            !ordered.contains(table) && refers.all(|(_, to)| ordered.contains(to))
        });
        match ready {
            Some(table) => ordered.push(table.clone()),
            None => {
                return Err(CopyError::Schema(
                    "tables that refer to each other".to_owned(),
                ));
            }
        }
    }
    Ok(ordered)
}

async fn count_in_postgres(into: &mut PgConnection, table: &str) -> Result<u64, CopyError> {
    let count = format!("SELECT count(*) FROM {table}");
    let count: i64 = sqlx::query_scalar(&count).fetch_one(into).await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Copies one table, a row at a time. The number of rows read. Names come from the schema, not from people.
async fn table_copy(
    from: &mut SqliteConnection,
    into: &mut PgConnection,
    table: &str,
    columns: &BTreeMap<String, String>,
) -> Result<u64, CopyError> {
    let names: Vec<&str> = columns.keys().map(String::as_str).collect();
    let places: Vec<String> = (1..=names.len()).map(|place| format!("${place}")).collect();
    let names = names.join(", ");
    let insert = format!(
        "INSERT INTO {table} ({names}) VALUES ({})",
        places.join(", ")
    );
    let select = format!("SELECT {names} FROM {table}");
    let mut rows = sqlx::query(&select).fetch(from);
    let mut read = 0;
    while let Some(row) = rows.try_next().await? {
        let row = values(&row, columns)?;
        let insert = row.into_iter().fold(sqlx::query(&insert), bind);
        insert.execute(&mut *into).await?;
        read += 1;
    }
    Ok(read)
}

/// A value as the destination takes it.
enum Taken {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Bool(Option<bool>),
}

fn values(row: &SqliteRow, columns: &BTreeMap<String, String>) -> Result<Vec<Taken>, CopyError> {
    let columns = columns.iter().enumerate();
    columns
        .map(|(index, (name, kind))| {
            Ok(match kind.as_str() {
                "bigint" => Taken::Int(row.try_get(index)?),
                "text" => Taken::Text(row.try_get(index)?),
                "bytea" => Taken::Bytes(row.try_get(index)?),
                "boolean" => Taken::Bool(row.try_get(index)?),
                other => return Err(CopyError::Schema(format!("{name}, a {other}"))),
            })
        })
        .collect()
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind(query: Query<'_>, value: Taken) -> Query<'_> {
    match value {
        Taken::Int(value) => query.bind(value),
        Taken::Text(value) => query.bind(value),
        Taken::Bytes(value) => query.bind(value),
        Taken::Bool(value) => query.bind(value),
    }
}
