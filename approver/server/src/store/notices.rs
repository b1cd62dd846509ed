//! The outbox of notices. One is there until it was delivered, given up, or came to be of no use to anybody.

use abeyance_api::{ChatKind, HoldId, NoticeBody, NoticeFailure, NoticeTask, NoticeTo};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    Store, StoreError,
    db::{Conn, Row, sql},
    row::{count_at, instant_at, json, micros, parse},
};
use crate::{limits, signals::Touched};

const THREAD: &str = "thread";
const CHANNEL: &str = "channel";
const GROUP: &str = "group";

/// What a notice is made from.
#[derive(Debug)]
pub(super) struct NewNotice<'a> {
    kind: &'static str,
    place: &'a str,
    hold: Option<&'a HoldId>,
    body: &'a NoticeBody,
}

impl<'a> NewNotice<'a> {
    /// Under the card of a hold in a channel, once there is one.
    pub(super) fn thread(channel: &'a str, hold: &'a HoldId, body: &'a NoticeBody) -> Self {
        Self {
            kind: THREAD,
            place: channel,
            hold: Some(hold),
            body,
        }
    }

    pub(super) fn channel(channel: &'a str, body: &'a NoticeBody) -> Self {
        Self {
            kind: CHANNEL,
            place: channel,
            hold: None,
            body,
        }
    }

    /// Who is in a group from now on; what was said of it before does not matter any more.
    pub(super) fn group(group: &'a str, body: &'a NoticeBody) -> Self {
        Self {
            kind: GROUP,
            place: group,
            hold: None,
            body,
        }
    }
}

pub(super) async fn insert(
    conn: &mut Conn,
    notice: &NewNotice<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if notice.kind == GROUP {
        sql("DELETE FROM notice WHERE kind = 'group' AND place = $1")
            .bind(notice.place)
            .execute(conn)
            .await?;
    }
    sql(
        "INSERT INTO notice (id, chat, kind, place, hold, body, made_at, next_try_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(Uuid::now_v7().to_string())
    .bind(ChatKind::Slack.as_str())
    .bind(notice.kind)
    .bind(notice.place)
    .bind(notice.hold.map(HoldId::as_str))
    .bind(json(notice.body)?)
    .bind(micros(now))
    .bind(micros(now))
    .execute(conn)
    .await?;
    Ok(())
}

impl Store {
    /// Notices whose time has come, leased to the caller. What is said under a card waits for the card.
    pub(crate) async fn notices_lease(
        &self,
        chat: ChatKind,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<Vec<NoticeTask>, StoreError> {
        if !self.notice_is_due(chat, now).await? {
            return Ok(Vec::new());
        }
        self.writer
            .write(move |scope| {
                Box::pin(async move { lease(&mut scope.conn, chat, limit, now).await })
            })
            .await
    }

    async fn notice_is_due(&self, chat: ChatKind, now: DateTime<Utc>) -> Result<bool, StoreError> {
        sql("SELECT 1 FROM notice WHERE chat = $1 AND next_try_at <= $2 AND leased_until <= $2 LIMIT 1")
            .bind(chat.as_str())
            .bind(micros(now))
            .exists(&mut self.reader().await?)
            .await
    }

    /// When a notice will be due, by its retry time or by the end of its lease.
    pub(crate) async fn notice_next_due(
        &self,
        now: DateTime<Utc>,
    ) -> Result<Option<TimeDelta>, StoreError> {
        let row = sql(
            "SELECT min(CASE WHEN next_try_at > leased_until THEN next_try_at ELSE leased_until END) AS next
             FROM notice WHERE kind <> 'thread' OR EXISTS (
                SELECT 1 FROM card WHERE card.hold = notice.hold AND card.chat = notice.chat
                    AND card.channel = notice.place AND card.message IS NOT NULL)",
        )
        .fetch_one(&mut self.reader().await?)
        .await?;
        let next: Option<i64> = row.try_get("next")?;
        Ok(next.map(|next| TimeDelta::microseconds(next - micros(now))))
    }

    pub(crate) async fn notice_begin(&self, id: Uuid) -> Result<(), StoreError> {
        self.writer
            .write(move |scope| {
                Box::pin(async move {
                    sql("UPDATE notice SET begun = TRUE WHERE id = $1")
                        .bind(id.to_string())
                        .execute(&mut scope.conn)
                        .await?;
                    Ok(())
                })
            })
            .await
    }

    /// Delivered, or given up.
    pub(crate) async fn notice_done(&self, id: Uuid) -> Result<(), StoreError> {
        self.writer
            .write(move |scope| {
                Box::pin(async move {
                    sql("DELETE FROM notice WHERE id = $1")
                        .bind(id.to_string())
                        .execute(&mut scope.conn)
                        .await?;
                    Ok(())
                })
            })
            .await
    }

    pub(crate) async fn notice_failed(
        &self,
        failure: NoticeFailure,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let Some(wait) = failure.retry_in else {
            return self.notice_done(failure.id).await;
        };
        let retry_at = now + TimeDelta::from_std(wait).unwrap_or(TimeDelta::hours(1));
        let error = failure.error.chars();
        let error: String = error.take(limits::CARD_ERROR_CHARS_MAX).collect();
        self.writer
            .write(move |scope| {
                Box::pin(async move {
                    sql(
                        "UPDATE notice SET begun = $1, failures = failures + 1, last_error = $2,
                            next_try_at = $3, leased_until = 0 WHERE id = $4",
                    )
                    .bind(failure.in_doubt)
                    .bind(error)
                    .bind(micros(retry_at))
                    .bind(failure.id.to_string())
                    .execute(&mut scope.conn)
                    .await?;
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
) -> Result<Vec<NoticeTask>, StoreError> {
    // Nobody is called to what is decided.
    sql("DELETE FROM notice WHERE hold IN (SELECT id FROM hold WHERE state <> 'pending')")
        .execute(conn)
        .await?;
    let rows = sql(
        "SELECT notice.id, notice.kind, notice.place, notice.body, notice.made_at, notice.begun, notice.failures,
                card.message
         FROM notice LEFT JOIN card ON card.hold = notice.hold AND card.chat = notice.chat
            AND card.channel = notice.place
         WHERE notice.chat = $1 AND notice.next_try_at <= $2 AND notice.leased_until <= $2
            AND (notice.kind <> 'thread' OR card.message IS NOT NULL)
         ORDER BY notice.next_try_at, notice.id LIMIT $3",
    )
    .bind(chat.as_str())
    .bind(micros(now))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    let mut tasks = Vec::with_capacity(rows.len());
    for row in &rows {
        let task = task(row, chat)?;
        sql("UPDATE notice SET leased_until = $1 WHERE id = $2")
            .bind(micros(now + limits::CARD_LEASE))
            .bind(task.id.to_string())
            .execute(conn)
            .await?;
        tasks.push(task);
    }
    Ok(tasks)
}

fn task(row: &Row, chat: ChatKind) -> Result<NoticeTask, StoreError> {
    let id: &str = row.try_get("id")?;
    let place: String = row.try_get("place")?;
    let message: Option<String> = row.try_get("message")?;
    let to = match (row.try_get::<&str>("kind")?, message) {
        (THREAD, Some(message)) => NoticeTo::Thread {
            channel: place,
            message,
        },
        (CHANNEL, _) => NoticeTo::Channel { channel: place },
        (GROUP, _) => NoticeTo::UserGroup { group: place },
        _ => return Err(StoreError::unreadable("a notice's kind")),
    };
    Ok(NoticeTask {
        id: id
            .parse()
            .map_err(|_| StoreError::unreadable("a notice's id"))?,
        chat,
        to,
        body: parse(row.try_get("body")?)?,
        made_at: instant_at(row, "made_at")?,
        in_doubt: row.try_get("begun")?,
        failures: u32::try_from(count_at(row, "failures")?).unwrap_or(u32::MAX),
    })
}
