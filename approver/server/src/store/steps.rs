//! The steps of holds: which are due, and what firing one leaves behind, all in one transaction: the hold's
//! change, its audit event, the cards of those who get one of their own, and what is said under the card.

use abeyance_api::{ChatKind, HoldId, NoticeBody, PersonRef};
use abeyance_holds::{
    Event,
    escalation::{Escalation, Plan},
};
use chrono::{DateTime, Utc};

use super::{
    HoldRecord, Store, StoreError,
    db::{Conn, Row, sql},
    holds::{self, Stepped},
    notices,
    row::{hold_id_at, instant_at, json, maybe_instant_at, micros, parse, to_i64},
    writer::Scope,
};
use crate::{limits, signals::Touched};

/// Whom a step tells, and how.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// Channels, and people's own places, that get a card.
    pub(crate) cards: Vec<String>,
    /// The channel whose card gets a word under it, and the word.
    pub(crate) thread: Option<(String, Called)>,
}

/// Who is called to a hold.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    pub(crate) who: String,
    pub(crate) people: Vec<PersonRef>,
    pub(crate) expires_at: DateTime<Utc>,
}

pub(super) fn of(row: &Row) -> Result<Escalation, StoreError> {
    let text: &str = row.try_get("escalation")?;
    // Holds from before routes had steps have none written down.
    if text.is_empty() {
        return Ok(Escalation::begin(
            Plan::default(),
            instant_at(row, "created_at")?,
        ));
    }
    parse(text)
}

pub(super) async fn save(conn: &mut Conn, record: &HoldRecord) -> Result<(), StoreError> {
    sql("UPDATE hold SET escalation = $1, step_at = $2 WHERE id = $3")
        .bind(json(&record.hold.escalation)?)
        .bind(record.hold.step_at().map(micros))
        .bind(record.id.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

impl Store {
    /// Holds whose next step is due.
    pub(crate) async fn steps_due(&self, now: DateTime<Utc>) -> Result<Vec<HoldId>, StoreError> {
        let rows = sql(
            "SELECT id FROM hold WHERE step_at IS NOT NULL AND step_at <= $1 ORDER BY step_at LIMIT $2",
        )
        .bind(micros(now))
        .bind(limits::EXPIRE_BATCH)
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(|row| hold_id_at(row, "id")).collect()
    }

    /// When the next step of any hold is due.
    pub(crate) async fn next_step(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let row = sql("SELECT min(step_at) AS next FROM hold WHERE step_at IS NOT NULL")
            .fetch_one(&mut self.reader().await?)
            .await?;
        maybe_instant_at(&row, "next")
    }

    /// Fires `step`, unless another approver was faster or it is not due any more.
    pub(crate) async fn hold_ask(
        &self,
        id: &HoldId,
        event: Event,
        told: Told,
        now: DateTime<Utc>,
    ) -> Result<Stepped, StoreError> {
        let id = id.clone();
        self.writer
            .write(move |scope| Box::pin(async move { ask(scope, &id, event, told, now).await }))
            .await
    }
}

/// The same inside a transaction that does more.
pub(super) async fn ask(
    scope: &mut Scope,
    id: &HoldId,
    event: Event,
    told: Told,
    now: DateTime<Utc>,
) -> Result<Stepped, StoreError> {
    match super::record::load(&mut scope.conn, id).await? {
        Some(record) => Box::pin(ask_of(scope, record, event, told, now)).await,
        None => Ok(Stepped::NotFound),
    }
}

/// The same of a hold that was read, or made, in this transaction.
pub(super) async fn ask_of(
    scope: &mut Scope,
    record: HoldRecord,
    event: Event,
    told: Told,
    now: DateTime<Utc>,
) -> Result<Stepped, StoreError> {
    let (id, before) = (record.id.clone(), record.hold.version);
    let stepped = holds::step_on(scope, record, event, None, now).await?;
    let Stepped::Done(record) = &stepped else {
        return Ok(stepped);
    };
    if record.hold.version == before {
        return Ok(stepped);
    }
    for place in &told.cards {
        card(&mut scope.conn, record, place, now).await?;
    }
    if let Some((channel, called)) = told.thread {
        let body = NoticeBody::Asked {
            hold: id.clone(),
            who: called.who,
            people: called.people,
            expires_at: called.expires_at,
        };
        let notice = notices::NewNotice::thread(&channel, &id, &body);
        notices::insert(&mut scope.conn, &notice, now).await?;
    }
    scope.touch(Touched::Cards);
    Ok(stepped)
}

/// A card in another place, unless there is one already.
async fn card(
    conn: &mut Conn,
    record: &HoldRecord,
    place: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sql(
        "INSERT INTO card (hold, chat, channel, wanted_version, next_try_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (hold, chat, channel) DO NOTHING",
    )
    .bind(record.id.as_str())
    .bind(ChatKind::Slack.as_str())
    .bind(place)
    .bind(to_i64(record.hold.version))
    .bind(micros(now))
    .execute(conn)
    .await?;
    Ok(())
}
