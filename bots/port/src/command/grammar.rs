//! What can be typed, and how it is written.

use abeyance_api::{GrantId, HoldId, Moment, Named};

/// A command that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Help,
    /// What waits now.
    Holds(Filter),
    /// One hold and its record.
    Show(HoldId),
    /// What ended lately.
    Audit {
        filter: Filter,
        person: Option<Named>,
        hours: u32,
    },
    Oncall {
        schedule: Option<String>,
    },
    Override {
        schedule: String,
        people: Vec<Named>,
        from: Moment,
        until: Moment,
        reason: String,
    },
    Overrides {
        schedule: Option<String>,
    },
    OverrideRemove {
        /// The beginning of one.
        id: String,
        reason: String,
    },
    Swap {
        schedule: String,
        shift: Moment,
        with: Moment,
        reason: String,
    },
    Grants,
    Revoke {
        grant: GrantId,
        reason: String,
    },
}

/// Which holds; empty for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub agent: Option<String>,
    pub target: Option<String>,
}

impl Command {
    /// Its first word, for the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Help => "help",
            Self::Holds(_) => "holds",
            Self::Show(_) => "show",
            Self::Audit { .. } => "audit",
            Self::Oncall { .. } => "oncall",
            Self::Override { .. } => "override",
            Self::Overrides { .. } => "override list",
            Self::OverrideRemove { .. } => "override remove",
            Self::Swap { .. } => "swap",
            Self::Grants => "grants",
            Self::Revoke { .. } => "revoke",
        }
    }
}

/// How a command is written, and what it does.
#[derive(Debug, PartialEq, Eq)]
pub struct Form {
    pub written: &'static str,
    pub does: &'static str,
}

pub(super) const HELP: Form = Form {
    written: "help",
    does: "this page",
};
pub(super) const HOLDS: Form = Form {
    written: "holds [agent NAME] [target NAME]",
    does: "what waits for a decision",
};
pub(super) const SHOW: Form = Form {
    written: "show HLD-7K3Q",
    does: "one hold: what it is, and everything that is written down about it",
};
pub(super) const AUDIT: Form = Form {
    written: "audit [agent NAME] [target NAME] [person NAME] [since 24h]",
    does: "what was decided lately, and by whom",
};
pub(super) const ONCALL: Form = Form {
    written: "oncall [SCHEDULE]",
    does: "who is on call until when, and who comes next",
};
pub(super) const OVERRIDE: Form = Form {
    written: "override SCHEDULE PERSON[,PERSON] from T until T because WHY",
    does: "puts somebody on call for a while",
};
pub(super) const OVERRIDE_LIST: Form = Form {
    written: "override list [SCHEDULE]",
    does: "overrides that are not over",
};
pub(super) const OVERRIDE_REMOVE: Form = Form {
    written: "override remove ID because WHY",
    does: "takes one back",
};
pub(super) const SWAP: Form = Form {
    written: "swap SCHEDULE T with T because WHY",
    does: "lets the shifts of two moments change people",
};
pub(super) const GRANTS: Form = Form {
    written: "grants",
    does: "approvals that hold for a while",
};
pub(super) const REVOKE: Form = Form {
    written: "revoke GRT-7K3Q because WHY",
    does: "ends one",
};

/// Every form, in the order they are told in.
pub(super) const FORMS: [&Form; 11] = [
    &HELP,
    &HOLDS,
    &SHOW,
    &AUDIT,
    &ONCALL,
    &OVERRIDE,
    &OVERRIDE_LIST,
    &OVERRIDE_REMOVE,
    &SWAP,
    &GRANTS,
    &REVOKE,
];
