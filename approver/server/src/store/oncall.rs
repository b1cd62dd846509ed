//! Overrides of schedules, and who was on call when it was last looked. Every change and its audit event are one
//! transaction.

use abeyance_api::{BindingDigest, NoticeBody, Override, OverrideSpan, PersonId, Surface};
use abeyance_holds::oncall::OncallEvent;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Store, StoreError,
    db::{Row, sql},
    events::{Happened, audit_append},
    notices::{self, NewNotice},
    row::{count_at, instant_at, json, micros, parse},
    writer::Scope,
};
use crate::{limits, signals::Touched};

/// Overrides to be made, all or none.
#[derive(Debug)]
pub(crate) struct NewOverrides {
    pub(crate) schedule: String,
    pub(crate) spans: Vec<OverrideSpan>,
    pub(crate) author: PersonId,
    pub(crate) reason: String,
    pub(crate) surface: Surface,
    /// By what the request is known again.
    pub(crate) key: Option<String>,
}

/// What came of them.
#[derive(Debug)]
pub(crate) enum Added {
    Done(Vec<Override>),
    /// The same request made them before; they may have been taken back since.
    Before,
    /// There are as many as there may be.
    Full,
}

impl NewOverrides {
    /// The id of one of the spans: the same for the same request of the same person, else random.
    fn id(&self, index: usize) -> Uuid {
        let Some(key) = &self.key else {
            return Uuid::new_v4();
        };
        let index = index.to_string();
        let parts = [self.author.as_str(), &self.schedule, key, &index];
        let digest = BindingDigest::over(parts.map(str::as_bytes)).to_string();
        let half = digest.get(..32).unwrap_or_default();
        let number = u128::from_str_radix(half, 16).unwrap_or_default();
        uuid::Builder::from_custom_bytes(number.to_be_bytes()).into_uuid()
    }
}

/// Who takes one back.
#[derive(Debug)]
pub(crate) struct Removal {
    pub(crate) id: Uuid,
    pub(crate) by: PersonId,
    pub(crate) reason: String,
    pub(crate) surface: Surface,
}

/// Who has a schedule now.
#[derive(Debug, Clone)]
pub(crate) struct DutyNow {
    pub(crate) schedule: String,
    pub(crate) people: Vec<PersonId>,
    pub(crate) because: String,
    pub(crate) announce: Option<(String, NoticeBody)>,
    /// The group of a chat that follows it.
    pub(crate) follows: Option<String>,
    /// That group and who is in it from now on, unless nobody is.
    pub(crate) group: Option<(String, NoticeBody)>,
}

/// Who had it when it was last looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DutyThen {
    pub(crate) people: Vec<PersonId>,
    pub(crate) group: Option<String>,
}

impl Store {
    /// Overrides that end after `since`, in the order they were made.
    pub(crate) async fn overrides(
        &self,
        since: DateTime<Utc>,
    ) -> Result<Vec<Override>, StoreError> {
        let rows = sql(
            "SELECT * FROM oncall_override WHERE removed_at IS NULL AND until_at > $1
             ORDER BY seq LIMIT $2",
        )
        .bind(micros(since))
        .bind(limits::OVERRIDES_MAX)
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(override_of).collect()
    }

    pub(crate) async fn override_by_id(&self, id: Uuid) -> Result<Option<Override>, StoreError> {
        let row = sql("SELECT * FROM oncall_override WHERE removed_at IS NULL AND id = $1")
            .bind(id.to_string())
            .fetch_optional(&mut self.reader().await?)
            .await?;
        row.as_ref().map(override_of).transpose()
    }

    /// Makes all of them or none.
    pub(crate) async fn overrides_add(
        &self,
        new: NewOverrides,
        now: DateTime<Utc>,
    ) -> Result<Added, StoreError> {
        self.writer
            .write(move |scope| Box::pin(async move { add(scope, &new, now).await }))
            .await
    }

    /// False when there is none to take back.
    pub(crate) async fn override_remove(
        &self,
        removal: Removal,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.writer
            .write(move |scope| Box::pin(async move { remove(scope, removal, now).await }))
            .await
    }

    pub(crate) async fn duty_then(&self, schedule: &str) -> Result<Option<DutyThen>, StoreError> {
        let row = sql("SELECT people, slack_group FROM oncall_duty WHERE schedule = $1")
            .bind(schedule)
            .fetch_optional(&mut self.reader().await?)
            .await?;
        row.as_ref().map(duty_of).transpose()
    }

    /// Writes down who has a schedule now and puts what is to be told into the outbox, once: another approver
    /// may have been faster.
    pub(crate) async fn duty_note(
        &self,
        new: DutyNow,
        then: Option<DutyThen>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.writer
            .write(move |scope| Box::pin(async move { note(scope, &new, then, now).await }))
            .await
    }
}

fn override_of(row: &Row) -> Result<Override, StoreError> {
    let id: &str = row.try_get("id")?;
    let author: String = row.try_get("author")?;
    Ok(Override {
        id: id
            .parse()
            .map_err(|_| StoreError::unreadable("an override's id"))?,
        schedule: row.try_get("schedule")?,
        from: instant_at(row, "from_at")?,
        until: instant_at(row, "until_at")?,
        people: parse(row.try_get("people")?)?,
        author: author
            .parse()
            .map_err(|_| StoreError::unreadable("an override's author"))?,
        reason: row.try_get("reason")?,
        made_at: instant_at(row, "made_at")?,
    })
}

fn duty_of(row: &Row) -> Result<DutyThen, StoreError> {
    Ok(DutyThen {
        people: parse(row.try_get("people")?)?,
        group: row.try_get("slack_group")?,
    })
}

async fn add(
    scope: &mut Scope,
    new: &NewOverrides,
    now: DateTime<Utc>,
) -> Result<Added, StoreError> {
    let made_before = sql("SELECT id FROM oncall_override WHERE id = $1")
        .bind(new.id(0).to_string())
        .fetch_optional(&mut scope.conn)
        .await?;
    if made_before.is_some() {
        return Ok(Added::Before);
    }
    let row = sql(
        "SELECT count(*) AS open FROM oncall_override WHERE removed_at IS NULL AND until_at > $1",
    )
    .bind(micros(now))
    .fetch_one(&mut scope.conn)
    .await?;
    let open = count_at(&row, "open")? + u64::try_from(new.spans.len()).unwrap_or(u64::MAX);
    if open > u64::from(limits::OVERRIDES_MAX) {
        return Ok(Added::Full);
    }
    let row = sql("SELECT coalesce(max(seq), 0) AS last FROM oncall_override")
        .fetch_one(&mut scope.conn)
        .await?;
    let mut seq: i64 = row.try_get("last")?;
    let mut made = Vec::with_capacity(new.spans.len());
    for (index, span) in new.spans.iter().enumerate() {
        seq += 1;
        let one = Override {
            id: new.id(index),
            schedule: new.schedule.clone(),
            from: span.from,
            until: span.until,
            people: span.people.clone(),
            author: new.author.clone(),
            reason: new.reason.clone(),
            made_at: now,
        };
        insert(scope, &one, seq).await?;
        let event = OncallEvent::OverrideAdded {
            id: one.id,
            schedule: one.schedule.clone(),
            from: one.from,
            until: one.until,
            people: one.people.clone(),
            author: one.author.clone(),
            reason: one.reason.clone(),
            surface: new.surface,
        };
        write_down(scope, &event, now).await?;
        made.push(one);
    }
    scope.touch(Touched::Cards);
    Ok(Added::Done(made))
}

async fn insert(scope: &mut Scope, one: &Override, seq: i64) -> Result<(), StoreError> {
    sql(
        "INSERT INTO oncall_override (id, seq, schedule, from_at, until_at, people, author, reason, made_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(one.id.to_string())
    .bind(seq)
    .bind(&one.schedule)
    .bind(micros(one.from))
    .bind(micros(one.until))
    .bind(json(&one.people)?)
    .bind(one.author.as_str())
    .bind(&one.reason)
    .bind(micros(one.made_at))
    .execute(&mut scope.conn)
    .await?;
    Ok(())
}

async fn remove(
    scope: &mut Scope,
    removal: Removal,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let row = sql("SELECT schedule FROM oncall_override WHERE id = $1 AND removed_at IS NULL")
        .bind(removal.id.to_string())
        .fetch_optional(&mut scope.conn)
        .await?;
    let Some(row) = row else { return Ok(false) };
    sql("UPDATE oncall_override SET removed_at = $1 WHERE id = $2")
        .bind(micros(now))
        .bind(removal.id.to_string())
        .execute(&mut scope.conn)
        .await?;
    let event = OncallEvent::OverrideRemoved {
        id: removal.id,
        schedule: row.try_get("schedule")?,
        by: removal.by,
        reason: removal.reason,
        surface: removal.surface,
    };
    write_down(scope, &event, now).await?;
    scope.touch(Touched::Cards);
    Ok(true)
}

async fn note(
    scope: &mut Scope,
    new: &DutyNow,
    then: Option<DutyThen>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let stored = sql("SELECT people, slack_group FROM oncall_duty WHERE schedule = $1")
        .bind(&new.schedule)
        .fetch_optional(&mut scope.conn)
        .await?;
    let stored = stored.as_ref().map(duty_of).transpose()?;
    if stored != then {
        return Ok(());
    }
    sql(
        "INSERT INTO oncall_duty (schedule, people, slack_group, changed_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (schedule) DO UPDATE SET people = excluded.people, slack_group = excluded.slack_group,
            changed_at = excluded.changed_at",
    )
    .bind(&new.schedule)
    .bind(json(&new.people)?)
    .bind(new.follows.as_deref())
    .bind(micros(now))
    .execute(&mut scope.conn)
    .await?;
    let before = then.map(|then| then.people);
    if before.as_ref() != Some(&new.people) {
        let event = OncallEvent::HandedOver {
            schedule: new.schedule.clone(),
            people: new.people.clone(),
            before: before.unwrap_or_default(),
            because: new.because.clone(),
        };
        write_down(scope, &event, now).await?;
        if let Some((channel, body)) = &new.announce {
            let notice = NewNotice::channel(channel, body);
            notices::insert(&mut scope.conn, &notice, now).await?;
        }
    }
    if let Some((group, body)) = &new.group {
        notices::insert(&mut scope.conn, &NewNotice::group(group, body), now).await?;
    }
    scope.touch(Touched::Cards);
    Ok(())
}

async fn write_down(
    scope: &mut Scope,
    event: &OncallEvent,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let happened = Happened {
        hold: None,
        version: 0,
        name: event.name(),
        policy_version: None,
    };
    audit_append(scope, &happened, event, now).await
}
