//! A grant: an approval that holds for a while for statements of one shape.
//!
//! Fingerprints, what names stand for, agent, target, database, route and rule have to be those of the hold it was given with; rows and uses
//! are capped; it ends by time, by use or by a word. It counts only while the people who gave it could still
//! give it: the route may have another quorum by now, and people leave. A grant opens no way around a hold:
//! each use is a hold of its own, approved at once, with its own permit and its own record.
//!
//! Pure: time is an argument. Any doubt means that the statement is held as if there were no grant.

use abeyance_api::{
    BindingDigest, GrantId, GrantView, HoldId, HoldRequest, PersonId, PersonRef, Revoked, Vote,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    AuditEvent, Roster,
    alike::{along, counted, fits, roughly},
    eligible, limits,
    quorum::Quorum,
};

/// A grant as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub hold: HoldId,
    pub agent: String,
    /// Who answers for the agent, and for whom it acted.
    #[serde(default)]
    pub owner: Option<PersonId>,
    #[serde(default)]
    pub actor: Option<String>,
    pub target: String,
    pub database: String,
    pub route: String,
    /// The rule that demanded the hold.
    pub rule: String,
    /// What the statements mean, values left out.
    pub meaning: Option<BindingDigest>,
    pub fingerprints: Vec<String>,
    /// The first statement, redacted.
    pub statement: String,
    /// Every statement was understood, and changes rows at most.
    pub plain: bool,
    pub rows_cap: Option<u64>,
    /// How many rows those who gave it were shown, where anybody knew.
    #[serde(default)]
    pub rows_shown: Option<u64>,
    /// The same of rows that foreign keys take along.
    #[serde(default)]
    pub along_shown: Option<u64>,
    pub uses: u32,
    pub used: u32,
    pub by: Vec<PersonRef>,
    /// The vote that completed the quorum it was given by.
    pub vote: Vote,
    pub made_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub revoked: Option<Revoked>,
}

/// What was agreed on when a hold was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    pub minutes: u32,
    pub uses: u32,
    pub rows_cap: Option<u64>,
    pub by: Vec<PersonRef>,
    pub until: DateTime<Utc>,
}

/// Why a grant does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("it is for something else")]
    Other,
    #[error("it is over")]
    Over,
    #[error("more rows than it allows, or nobody knows how many")]
    Rows,
    #[error("the route gives no grant for such statements any more")]
    NotGrantable,
    #[error("those who gave it could not give it any more")]
    Quorum,
    #[error("the clock ran backwards since it was given")]
    ClockBehind,
}

impl Grant {
    /// The grant that was agreed on with the approval of `hold`.
    #[must_use]
    pub fn new(
        hold: &HoldId,
        request: &HoldRequest,
        agreed: &Agreed,
        vote: Vote,
        now: DateTime<Utc>,
    ) -> Self {
        let first = request.statements.first();
        Self {
            hold: hold.clone(),
            agent: request.agent.name.clone(),
            owner: request.agent.owner.clone(),
            actor: request.agent.actor.clone(),
            target: request.target.name.clone(),
            database: request.target.database.clone(),
            route: request.route.clone(),
            rule: request.rule.clone(),
            meaning: request.manner.shape,
            fingerprints: shape(request),
            statement: first.map(|first| first.text.clone()).unwrap_or_default(),
            plain: request.manner.plain,
            rows_cap: agreed.rows_cap,
            rows_shown: counted(&request.blast.rows),
            along_shown: along(&request.blast),
            uses: agreed.uses,
            used: 0,
            by: agreed.by.clone(),
            vote,
            made_at: now,
            expires_at: agreed.until,
            revoked: None,
        }
    }

    #[must_use]
    pub fn id(&self) -> GrantId {
        GrantId::of(&self.hold)
    }

    #[must_use]
    pub fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.revoked.is_none() && self.used < self.uses && now < self.expires_at
    }

    /// Whether `request` may run on it. `quorum` and `grantable` are what the route says now.
    ///
    /// # Errors
    /// Says why not.
    pub fn covers(
        &self,
        request: &HoldRequest,
        quorum: &Quorum,
        grantable: bool,
        now: DateTime<Utc>,
    ) -> Result<(), Unfit> {
        let same = self.agent == request.agent.name
            && self.owner == request.agent.owner
            && self.actor == request.agent.actor
            && self.target == request.target.name
            && self.database == request.target.database
            && self.route == request.route
            && self.rule == request.rule
            && self.plain == request.manner.plain
            && self.meaning.is_some()
            && self.meaning == request.manner.shape
            && !request.manner.at_commit
            && self.fingerprints == shape(request);
        if !same {
            return Err(Unfit::Other);
        }
        if !self.is_active(now) {
            return Err(Unfit::Over);
        }
        if now < self.made_at - limits::CLOCK_STEP_BACK_MAX {
            return Err(Unfit::ClockBehind);
        }
        if !grantable {
            return Err(Unfit::NotGrantable);
        }
        self.rows_fit(request)?;
        let reviewers = quorum.people();
        let roster = Roster {
            reviewers: &reviewers,
        };
        let (owner, actor) = (request.agent.owner.as_ref(), request.agent.actor.as_deref());
        let may = |person: &&PersonRef| eligible(person, roster, owner, actor).is_ok();
        let still = self.by.iter().filter(may).map(|person| &person.id);
        if quorum.is_met_by(still) {
            Ok(())
        } else {
            Err(Unfit::Quorum)
        }
    }

    /// What changes rows needs a cap of its own, which says that the run can be guarded at all.
    fn rows_fit(&self, request: &HoldRequest) -> Result<(), Unfit> {
        // No cap counts what goes along.
        if !fits(self.along_shown.map(roughly), along(&request.blast)) {
            return Err(Unfit::Rows);
        }
        let Some(cap) = self.rows_cap else {
            // What is not plain was granted although nothing caps it: the route said so.
            let writes = request.statements.iter().any(|one| !one.writes.is_empty());
            if writes {
                return if self.plain { Err(Unfit::Rows) } else { Ok(()) };
            }
            // LIMIT and bounds are literals: a read is to give no more than was shown. What is not plain is the same text.
            let shown = self.rows_shown.map(roughly);
            let bounded = shown.is_some() || !self.plain;
            let fits = bounded && fits(shown, counted(&request.blast.rows));
            return fits.then_some(()).ok_or(Unfit::Rows);
        };
        let guarded = request.blast.rows_cap.is_some();
        let fits = request.blast.rows.rows.is_some_and(|rows| rows <= cap);
        if guarded && fits {
            Ok(())
        } else {
            Err(Unfit::Rows)
        }
    }

    /// One use less.
    #[must_use]
    pub fn taken(&self) -> Self {
        Self {
            used: self.used.saturating_add(1),
            ..self.clone()
        }
    }

    /// Ends it; `None` when it is over already.
    #[must_use]
    pub fn revoke(
        &self,
        by: PersonRef,
        reason: Option<String>,
        now: DateTime<Utc>,
    ) -> Option<(Self, AuditEvent)> {
        if !self.is_active(now) {
            return None;
        }
        let event = AuditEvent::GrantRevoked {
            grant: self.id(),
            by: by.clone(),
            reason: reason.clone(),
        };
        let revoked = Some(Revoked {
            by,
            reason,
            at: now,
        });
        let next = Self {
            revoked,
            ..self.clone()
        };
        Some((next, event))
    }

    /// The grant as surfaces show it.
    #[must_use]
    pub fn view(&self, now: DateTime<Utc>) -> GrantView {
        GrantView {
            id: self.id(),
            hold: self.hold.clone(),
            agent: self.agent.clone(),
            target: self.target.clone(),
            database: self.database.clone(),
            route: self.route.clone(),
            fingerprints: self.fingerprints.clone(),
            statement: self.statement.clone(),
            rows_cap: self.rows_cap,
            uses: self.uses,
            used: self.used,
            by: self.by.clone(),
            made_at: self.made_at,
            expires_at: self.expires_at,
            revoked: self.revoked.clone(),
            active: self.is_active(now),
        }
    }
}

/// What all statements of a batch are alike by, in order.
#[must_use]
pub fn shape(request: &HoldRequest) -> Vec<String> {
    let statements = request.statements.iter();
    statements.map(|one| one.fingerprint.clone()).collect()
}

/// When a grant that is given now ends.
#[must_use]
pub fn until(now: DateTime<Utc>, minutes: u32) -> DateTime<Utc> {
    now + TimeDelta::minutes(i64::from(minutes))
}
