//! The outbox: which cards do not show their hold's latest state, and who is mending them.

use abeyance_api::{CardFailure, CardReceipt, ChatKind, HoldId};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    HoldRecord, Store, StoreError,
    db::{Conn, Sql, sql},
    record,
    row::{count_at, hold_id_at, micros, to_i64},
};
use crate::{limits, signals::Touched};

/// A stale card with its hold.
#[derive(Debug, Clone)]
pub(crate) struct StaleCard {
    pub(crate) channel: String,
    pub(crate) record: HoldRecord,
    pub(crate) message: Option<String>,
    pub(crate) in_doubt: bool,
    pub(crate) failures: u32,
}

/// Which card.
#[derive(Debug, Clone)]
pub(crate) struct CardKey {
    pub(crate) hold: HoldId,
    pub(crate) chat: ChatKind,
    pub(crate) channel: String,
}

pub(super) async fn insert(
    conn: &mut Conn,
    record: &HoldRecord,
    channel: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sql(
        "INSERT INTO card (hold, chat, channel, wanted_version, next_try_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (hold, chat, channel) DO NOTHING",
    )
    .bind(record.id.as_str())
    .bind(ChatKind::Slack.as_str())
    .bind(channel)
    .bind(to_i64(record.hold.version))
    .bind(micros(now))
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn want(conn: &mut Conn, hold: &HoldId, version: u64) -> Result<(), StoreError> {
    sql("UPDATE card SET wanted_version = $1 WHERE hold = $2")
        .bind(to_i64(version))
        .bind(hold.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// Its cards are drawn again although the hold itself did not change.
pub(super) async fn again(conn: &mut Conn, hold: &HoldId) -> Result<(), StoreError> {
    sql(
        "UPDATE card SET rendered_version = 0, next_try_at = coalesce(next_try_at, 0)
         WHERE hold = $1",
    )
    .bind(hold.as_str())
    .execute(conn)
    .await?;
    Ok(())
}

impl Store {
    /// Stale cards whose time has come, leased to the caller. Holds that wait come first.
    pub(crate) async fn cards_lease(
        &self,
        chat: ChatKind,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<Vec<StaleCard>, StoreError> {
        if !self.card_is_due(chat, now).await? {
            return Ok(Vec::new());
        }
        self.writer
            .write(move |scope| {
                Box::pin(async move { lease(&mut scope.conn, chat, limit, now).await })
            })
            .await
    }

    /// A look without the writer: workers ask often, and mostly for nothing.
    async fn card_is_due(&self, chat: ChatKind, now: DateTime<Utc>) -> Result<bool, StoreError> {
        sql(
            "SELECT 1 FROM card WHERE chat = $1 AND rendered_version < wanted_version
                AND next_try_at <= $2 AND leased_until <= $2 LIMIT 1",
        )
        .bind(chat.as_str())
        .bind(micros(now))
        .exists(&mut self.reader().await?)
        .await
    }

    /// When a card that is stale now will be due, by its retry time or by the end of its lease.
    pub(crate) async fn card_next_due(
        &self,
        now: DateTime<Utc>,
    ) -> Result<Option<TimeDelta>, StoreError> {
        let row = sql(
            "SELECT min(CASE WHEN next_try_at > leased_until THEN next_try_at ELSE leased_until END) AS next
             FROM card WHERE rendered_version < wanted_version AND next_try_at IS NOT NULL",
        )
        .fetch_one(&mut self.reader().await?)
        .await?;
        let next: Option<i64> = row.try_get("next")?;
        Ok(next.map(|next| TimeDelta::microseconds(next - micros(now))))
    }

    pub(crate) async fn card_begin(&self, key: CardKey) -> Result<(), StoreError> {
        self.card_update(key, |card| {
            sql(
                "UPDATE card SET posting_begun = TRUE WHERE hold = $1 AND chat = $2 AND channel = $3
                    AND message IS NULL",
            )
            .bind(card.hold.as_str())
            .bind(card.chat.as_str())
            .bind(card.channel.as_str())
        })
        .await
    }

    pub(crate) async fn card_delivered(&self, receipt: CardReceipt) -> Result<(), StoreError> {
        let key = CardKey {
            hold: receipt.hold,
            chat: receipt.chat,
            channel: receipt.channel,
        };
        self.card_update(key, move |card| {
            sql(
                "UPDATE card SET message = $1, rendered_version = CASE WHEN rendered_version > $2 THEN rendered_version ELSE $2 END, posting_begun = FALSE,
                    failures = 0, last_error = NULL, leased_until = 0
                 WHERE hold = $3 AND chat = $4 AND channel = $5",
            )
            .bind(receipt.message.clone())
            .bind(to_i64(receipt.version))
            .bind(card.hold.as_str())
            .bind(card.chat.as_str())
            .bind(card.channel.as_str())
        })
        .await
    }

    pub(crate) async fn card_failed(
        &self,
        failure: CardFailure,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let retry_at = failure
            .retry_in
            .map(|wait| now + TimeDelta::from_std(wait).unwrap_or(TimeDelta::hours(1)));
        let error: String = failure
            .error
            .chars()
            .take(limits::CARD_ERROR_CHARS_MAX)
            .collect();
        let key = CardKey {
            hold: failure.hold,
            chat: failure.chat,
            channel: failure.channel,
        };
        self.card_update(key, move |card| {
            sql(
                "UPDATE card SET posting_begun = (message IS NULL AND $1), failures = failures + 1,
                    last_error = $2, next_try_at = $3, leased_until = 0
                 WHERE hold = $4 AND chat = $5 AND channel = $6",
            )
            .bind(failure.in_doubt)
            .bind(error.clone())
            .bind(retry_at.map(micros))
            .bind(card.hold.as_str())
            .bind(card.chat.as_str())
            .bind(card.channel.as_str())
        })
        .await
    }

    /// At the start, cards that were given up get another chance, since the configuration may have changed.
    /// `alone`: no worker lives that could hold a lease.
    pub(crate) async fn cards_reset(
        &self,
        alone: bool,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |scope| {
                Box::pin(async move {
                    sql("UPDATE card SET next_try_at = coalesce(next_try_at, $1),
                            leased_until = CASE WHEN $2 THEN 0 ELSE leased_until END
                         WHERE rendered_version < wanted_version")
                    .bind(micros(now))
                    .bind(alone)
                    .execute(&mut scope.conn)
                    .await?;
                    scope.touch(Touched::Cards);
                    Ok(())
                })
            })
            .await
    }

    async fn card_update<F>(&self, key: CardKey, update: F) -> Result<(), StoreError>
    where
        F: FnOnce(&CardKey) -> Sql + Send + 'static,
    {
        self.writer
            .write(move |scope| {
                Box::pin(async move {
                    update(&key).execute(&mut scope.conn).await?;
                    scope.touch(Touched::Cards);
                    Ok(())
                })
            })
            .await
    }
}

async fn lease(
    conn: &mut Conn,
    chat: ChatKind,
    limit: u32,
    now: DateTime<Utc>,
) -> Result<Vec<StaleCard>, StoreError> {
    let rows = sql("UPDATE card SET leased_until = $1
         WHERE (hold, chat, channel) IN (
            SELECT card.hold, card.chat, card.channel FROM card JOIN hold ON hold.id = card.hold
            WHERE card.chat = $2 AND card.rendered_version < card.wanted_version
                AND card.next_try_at <= $3 AND card.leased_until <= $3
            ORDER BY hold.state <> 'pending', hold.created_at LIMIT $4)
         RETURNING hold, channel, message, posting_begun, failures")
    .bind(micros(now + limits::CARD_LEASE))
    .bind(chat.as_str())
    .bind(micros(now))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    let mut cards = Vec::with_capacity(rows.len());
    for row in rows {
        let id = hold_id_at(&row, "hold")?;
        let record = record::load(conn, &id)
            .await?
            .ok_or_else(|| StoreError::unreadable("a card's hold"))?;
        let message: Option<String> = row.try_get("message")?;
        cards.push(StaleCard {
            channel: row.try_get("channel")?,
            in_doubt: message.is_none() && row.try_get("posting_begun")?,
            message,
            failures: u32::try_from(count_at(&row, "failures")?).unwrap_or(u32::MAX),
            record,
        });
    }
    cards.sort_by_key(|card| {
        let hold = &card.record.hold;
        (
            hold.state != abeyance_api::HoldState::Pending,
            hold.created_at,
        )
    });
    Ok(cards)
}
