//! One way to speak to either engine. A statement is written once, with `$1`-style placeholders, and runs on
//! SQLite and on PostgreSQL; only where the engines differ does it exist twice ([`Sql::either`]).
//!
//! Types that both have: `i64` (`INTEGER`, `BIGINT`), text, bytes (`BLOB`, `BYTEA`) and `bool` (`INTEGER`,
//! `BOOLEAN`). Nothing narrower: a `SELECT 1` is an `int4` to PostgreSQL and unreadable here.

use std::ops::{Deref, DerefMut};

use sqlx::{
    Connection as _, Database, Decode, Executor as _, PgConnection, PgPool, Postgres, Row as _,
    Sqlite, SqliteConnection, SqlitePool, Type, pool::PoolConnection, postgres::PgRow,
    sqlite::SqliteRow,
};

use super::StoreError;

/// A connection of its own, or one that goes back to its pool.
#[derive(Debug)]
pub(crate) enum Handle<D: Database> {
    Own(D::Connection),
    Pooled(PoolConnection<D>),
}

impl<D: Database> Deref for Handle<D> {
    type Target = D::Connection;
    fn deref(&self) -> &D::Connection {
        match self {
            Self::Own(conn) => conn,
            Self::Pooled(conn) => conn,
        }
    }
}

impl<D: Database> DerefMut for Handle<D> {
    fn deref_mut(&mut self) -> &mut D::Connection {
        match self {
            Self::Own(conn) => conn,
            Self::Pooled(conn) => conn,
        }
    }
}

#[derive(Debug)]
pub(crate) enum Conn {
    Sqlite(Handle<Sqlite>),
    Postgres(Handle<Postgres>),
}

impl From<SqliteConnection> for Conn {
    fn from(conn: SqliteConnection) -> Self {
        Self::Sqlite(Handle::Own(conn))
    }
}

impl From<PgConnection> for Conn {
    fn from(conn: PgConnection) -> Self {
        Self::Postgres(Handle::Own(conn))
    }
}

impl Conn {
    /// Statements without values, separated by semicolons, in one round trip.
    pub(crate) async fn run(&mut self, statements: &'static str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(conn) => (&mut **conn).execute(statements).await.map(|_| ())?,
            Self::Postgres(conn) => (&mut **conn).execute(statements).await.map(|_| ())?,
        }
        Ok(())
    }

    pub(crate) async fn close(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(Handle::Own(conn)) => conn.close().await?,
            Self::Postgres(Handle::Own(conn)) => conn.close().await?,
            Self::Sqlite(Handle::Pooled(_)) | Self::Postgres(Handle::Pooled(_)) => {}
        }
        Ok(())
    }
}

/// The connections that read.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    pub(crate) async fn acquire(&self) -> Result<Conn, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => Conn::Sqlite(Handle::Pooled(pool.acquire().await?)),
            Self::Postgres(pool) => Conn::Postgres(Handle::Pooled(pool.acquire().await?)),
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// A value for a placeholder.
#[derive(Debug)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Bool(bool),
}

macro_rules! value_from {
    ($($from:ty => |$value:ident| $to:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $to
            }
        })*
    };
}

value_from! {
    i64 => |value| Self::Int(Some(value));
    u32 => |value| Self::Int(Some(i64::from(value)));
    Option<i64> => |value| Self::Int(value);
    &str => |value| Self::Text(Some(value.to_owned()));
    &String => |value| Self::Text(Some(value.clone()));
    String => |value| Self::Text(Some(value));
    Option<&str> => |value| Self::Text(value.map(str::to_owned));
    Option<String> => |value| Self::Text(value);
    &[u8] => |value| Self::Bytes(Some(value.to_vec()));
    Vec<u8> => |value| Self::Bytes(Some(value));
    bool => |value| Self::Bool(value);
}

/// A statement with its values.
#[derive(Debug)]
#[must_use]
pub(crate) struct Sql {
    sqlite: &'static str,
    postgres: &'static str,
    values: Vec<Value>,
}

/// A statement that is the same for both engines.
pub(crate) fn sql(text: &'static str) -> Sql {
    Sql::either(text, text)
}

/// The query of one engine with its values.
macro_rules! query {
    ($engine:ty, $text:expr, $values:expr) => {{
        let mut query = sqlx::query::<$engine>($text);
        for value in $values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
                Value::Bool(value) => query.bind(value),
            };
        }
        query
    }};
}

impl Sql {
    /// For what the engines say differently. Both take the same values.
    pub(crate) fn either(sqlite: &'static str, postgres: &'static str) -> Self {
        Self {
            sqlite,
            postgres,
            values: Vec::new(),
        }
    }

    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// The number of rows it changed.
    pub(crate) async fn execute(self, conn: &mut Conn) -> Result<u64, StoreError> {
        Ok(match conn {
            Conn::Sqlite(conn) => query!(Sqlite, self.sqlite, self.values)
                .execute(&mut **conn)
                .await?
                .rows_affected(),
            Conn::Postgres(conn) => query!(Postgres, self.postgres, self.values)
                .execute(&mut **conn)
                .await?
                .rows_affected(),
        })
    }

    pub(crate) async fn fetch_all(self, conn: &mut Conn) -> Result<Vec<Row>, StoreError> {
        Ok(match conn {
            Conn::Sqlite(conn) => {
                let query = query!(Sqlite, self.sqlite, self.values);
                let rows = query.fetch_all(&mut **conn).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Conn::Postgres(conn) => {
                let query = query!(Postgres, self.postgres, self.values);
                let rows = query.fetch_all(&mut **conn).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    pub(crate) async fn fetch_optional(self, conn: &mut Conn) -> Result<Option<Row>, StoreError> {
        Ok(match conn {
            Conn::Sqlite(conn) => query!(Sqlite, self.sqlite, self.values)
                .fetch_optional(&mut **conn)
                .await?
                .map(Row::Sqlite),
            Conn::Postgres(conn) => query!(Postgres, self.postgres, self.values)
                .fetch_optional(&mut **conn)
                .await?
                .map(Row::Postgres),
        })
    }

    pub(crate) async fn fetch_one(self, conn: &mut Conn) -> Result<Row, StoreError> {
        let row = self.fetch_optional(conn).await?;
        row.ok_or_else(|| StoreError::from(sqlx::Error::RowNotFound))
    }

    /// Whether there is a row at all.
    pub(crate) async fn exists(self, conn: &mut Conn) -> Result<bool, StoreError> {
        Ok(self.fetch_optional(conn).await?.is_some())
    }
}

/// A row of either engine.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What a column may be read as.
pub(crate) trait Column<'r>:
    Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}

impl<'r, T> Column<'r> for T where
    T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}

impl Row {
    pub(crate) fn try_get<'r, T: Column<'r>>(&'r self, column: &str) -> Result<T, StoreError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }
}
