//! Between rows and values. A row this program could not have written is corruption, not a default.

use super::{StoreError, db::Row};
use abeyance_api::{BindingDigest, HoldId, HoldState};
use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};

pub(super) fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

pub(super) fn instant(micros: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| StoreError::unreadable("an instant"))
}

pub(super) fn instant_at(row: &Row, column: &str) -> Result<DateTime<Utc>, StoreError> {
    instant(row.try_get(column)?)
}

pub(super) fn maybe_instant_at(
    row: &Row,
    column: &str,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    row.try_get::<Option<i64>>(column)?.map(instant).transpose()
}

pub(super) fn hold_id_at(row: &Row, column: &str) -> Result<HoldId, StoreError> {
    row.try_get::<String>(column)?
        .parse()
        .map_err(|_| StoreError::unreadable("a hold id"))
}

pub(super) fn state_at(row: &Row, column: &str) -> Result<HoldState, StoreError> {
    let name: String = row.try_get(column)?;
    serde_json::from_value(serde_json::Value::String(name))
        .map_err(|_| StoreError::unreadable("a state"))
}

pub(super) fn binding_at(row: &Row, column: &str) -> Result<BindingDigest, StoreError> {
    row.try_get::<String>(column)?
        .try_into()
        .map_err(|_| StoreError::unreadable("a binding"))
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Other(error.to_string()))
}

pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::unreadable("a JSON value"))
}

pub(super) fn maybe_json_at<T: DeserializeOwned>(
    row: &Row,
    column: &str,
) -> Result<Option<T>, StoreError> {
    row.try_get::<Option<String>>(column)?
        .map(|text| parse(&text))
        .transpose()
}

/// Counts in the store never exceed `i64`; a negative one was not written by this program.
pub(super) fn count_at(row: &Row, column: &str) -> Result<u64, StoreError> {
    u64::try_from(row.try_get::<i64>(column)?).map_err(|_| StoreError::unreadable("a count"))
}

pub(super) fn to_i64(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
