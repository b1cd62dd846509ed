//! What goes beyond one vote: wishes for a grant, a grant at work, and approving alone in an emergency.
//!
//! Part of the one function that changes a hold; nothing here is reached but through [`super::transition`].

use abeyance_api::{Decision, GrantWish, HoldState, Vote};
use chrono::{DateTime, Utc};

use super::{
    BreakGlass, GrantUse, Refusal, Step, approve, count, may, only_in, refuse_clock_behind, step,
};
use crate::{
    AuditEvent, ByGrant, Hold, Roster,
    grant::{self, Agreed},
    limits,
    quorum::Quorum,
};

/// Whether a reviewer may wish for such a grant.
pub(super) fn grantable(hold: &Hold, decision: Decision, wish: GrantWish) -> Result<(), Refusal> {
    let Some(grantable) = hold.terms.grantable else {
        let why =
            "no grant can be given for this: not what the route allows, or nothing caps its rows";
        return Err(Refusal::NoGrant(why));
    };
    if decision == Decision::Deny {
        return Err(Refusal::NoGrant("a denial gives no grant"));
    }
    if wish.minutes == 0 || wish.minutes > grantable.minutes_max {
        return Err(Refusal::NoGrant("the route gives no grant for so long"));
    }
    if wish.uses == 0 || wish.uses > limits::GRANT_USES_MAX {
        return Err(Refusal::NoGrant("a grant has 1 to 100 uses"));
    }
    Ok(())
}

/// A grant takes as many people as the approval itself, and is what the most careful of them wished.
pub(super) fn agreed(hold: &Hold, quorum: &Quorum, now: DateTime<Utc>) -> Option<Agreed> {
    let grantable = hold.terms.grantable?;
    let wishing = || {
        let approving = hold.votes.iter();
        let approving = approving.filter(|vote| vote.decision == Decision::Approve);
        approving.filter_map(|vote| Some((vote, vote.wish?)))
    };
    if !quorum.is_met_by(wishing().map(|(vote, _)| &vote.person.id)) {
        return None;
    }
    let minutes = wishing().map(|(_, wish)| wish.minutes).min()?;
    Some(Agreed {
        minutes,
        uses: wishing().map(|(_, wish)| wish.uses).min()?,
        rows_cap: grantable.rows_cap,
        by: wishing().map(|(vote, _)| vote.person.clone()).collect(),
        until: grant::until(now, minutes),
    })
}

/// The named group's own: alone, with a reason, and said as loudly as can be.
pub(super) fn break_glass(hold: &Hold, glass: BreakGlass, now: DateTime<Utc>) -> Step {
    let roster = Roster {
        reviewers: &glass.members,
    };
    may(hold, &glass.person, roster).map_err(|refusal| match refusal {
        Refusal::NotAReviewer { route } => Refusal::NoBreakGlass { route },
        other => other,
    })?;
    only_in(hold, HoldState::Pending, now)?;
    refuse_clock_behind(hold, now)?;
    let said = glass.reason.filter(|reason| !reason.trim().is_empty());
    let reason = said.ok_or(Refusal::NoReason)?;
    let vote = Vote {
        person: glass.person.clone(),
        decision: Decision::Approve,
        reason: Some(reason.clone()),
        surface: glass.surface,
        at: now,
        break_glass: true,
        wish: None,
        by_grant: None,
    };
    let mut next = step(hold, now);
    count(&mut next, &vote);
    approve(&mut next, vote, now);
    let by = vec![glass.person.clone()];
    let broken = AuditEvent::GlassBroken {
        person: glass.person,
        reason,
        surface: glass.surface,
    };
    Ok((next, vec![broken, AuditEvent::Approved { by }]))
}

/// Approves a hold that was just made, by people who decided before.
pub(super) fn use_grant(hold: &Hold, used: GrantUse, now: DateTime<Utc>) -> Step {
    only_in(hold, HoldState::Pending, now)?;
    refuse_clock_behind(hold, now)?;
    if hold.version != 1 {
        return Err(Refusal::NoGrant("people were asked already"));
    }
    let GrantUse { grant, left } = used;
    let grant = *grant;
    let id = grant.id();
    let mut next = step(hold, now);
    next.terms.by_grant = Some(ByGrant {
        grant: id.clone(),
        rows_cap: grant.rows_cap,
    });
    let vote = Vote {
        by_grant: Some(id.clone()),
        ..grant.vote
    };
    approve(&mut next, vote, now);
    let by = grant.by;
    let event = AuditEvent::GrantUsed {
        grant: id,
        left,
        by: by.clone(),
    };
    Ok((next, vec![event, AuditEvent::Approved { by }]))
}
