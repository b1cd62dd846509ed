//! Rules that were checked together, made ready for judging.

use sha2::{Digest as _, Sha256};

use crate::{
    Decision, Entry, Matcher, Mention, Mode, Pack, Policy, Protection, Rule, RuleError, check,
    pattern::{ColumnPattern, TablePattern},
    reach,
    when::When,
};

/// Rules that were checked together.
#[derive(Debug, Clone)]
pub struct RuleSet {
    pub(crate) rules: Vec<Ready>,
    pub(crate) protections: Vec<ReadyProtection>,
    pub(crate) plain_tables: Vec<TablePattern>,
    /// So many are the policy's own; those of packs come after them.
    pub(crate) own_rules: usize,
    pub(crate) own_protections: usize,
    default: Decision,
    version: String,
    needs_blast: bool,
    needs_moment: bool,
    remarks: Vec<RuleError>,
    mentions: Vec<Mention>,
}

/// A rule with its patterns and condition.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) rule: Rule,
    pub(crate) tables: Option<Vec<TablePattern>>,
    pub(crate) columns: Option<Vec<ColumnPattern>>,
    pub(crate) when: Option<When>,
}

/// A protection with its patterns.
#[derive(Debug, Clone)]
pub(crate) struct ReadyProtection {
    pub(crate) protection: Protection,
    pub(crate) columns: Vec<ColumnPattern>,
    pub(crate) decision: Decision,
    pub(crate) mode: Mode,
}

impl RuleSet {
    /// Rules alone, without packs and protections. See [`Self::build`].
    ///
    /// # Errors
    /// Every mistake found, not only the first.
    pub fn new(rules: Vec<Rule>, default: Decision) -> Result<Self, Vec<RuleError>> {
        Self::build(Policy {
            rules,
            ..Policy::new(default)
        })
    }

    /// Checks a policy: names unique and not empty, lists not empty, statement names, patterns and
    /// conditions known, no rule that can never decide. The packs' rules come after the others.
    ///
    /// # Errors
    /// Every mistake found, not only the first.
    pub fn build(policy: Policy) -> Result<Self, Vec<RuleError>> {
        let mut errors = Vec::new();
        let version = version(&policy);
        check::policy(&policy, &mut errors);
        let mut rules: Vec<Ready> = policy
            .rules
            .iter()
            .enumerate()
            .map(|(index, rule)| check::rule(index, rule, &mut errors))
            .collect();
        let mut protections: Vec<ReadyProtection> = policy
            .protections
            .iter()
            .enumerate()
            .map(|(index, one)| check::protection(index, one, policy.route.as_deref(), &mut errors))
            .collect();
        let plain_tables = check::plain_tables(&policy.plain_tables, &mut errors);
        reach::check(&rules, &mut errors);
        let observed = policy.packs.contains(&Pack::Observe);
        if observed {
            rules
                .iter_mut()
                .for_each(|ready| ready.rule.mode = Mode::Shadow);
        }
        for pack in &policy.packs {
            let parts = pack.parts(policy.route.as_deref());
            let own = observed && *pack != Pack::Observe;
            rules.extend(parts.rules.into_iter().map(|mut ready| {
                if own {
                    ready.rule.mode = Mode::Shadow;
                }
                ready
            }));
            protections.extend(parts.protections);
        }
        if observed {
            protections
                .iter_mut()
                .for_each(|one| one.mode = Mode::Shadow);
        }
        if !errors.is_empty() {
            errors.sort_by_key(|error| error.entry);
            return Err(errors);
        }
        let (remarks, mentions) = told(rules.get(..policy.rules.len()).unwrap_or_default());
        let conditions = || rules.iter().filter_map(|ready| ready.when.as_ref());
        Ok(Self {
            needs_blast: conditions().any(|when| when.uses_blast),
            needs_moment: conditions().any(|when| when.uses_moment),
            own_rules: policy.rules.len(),
            own_protections: policy.protections.len(),
            rules,
            protections,
            plain_tables,
            default: policy.default,
            version,
            remarks,
            mentions,
        })
    }

    /// What can be and will hardly be meant, as mistakes are told: a number that is never its value.
    #[must_use]
    pub fn remarks(&self) -> &[RuleError] {
        &self.remarks
    }

    /// Names in conditions, for whoever knows which there are.
    #[must_use]
    pub fn mentions(&self) -> &[Mention] {
        &self.mentions
    }

    /// The rules in the order given, those of packs last.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &Rule> {
        self.rules.iter().map(|ready| &ready.rule)
    }

    /// The same rules for these surroundings: whatever else of the configuration verdicts rest on, written out. The
    /// version changes with it.
    #[must_use]
    pub fn within(mut self, surroundings: &str) -> Self {
        let mut digest = Sha256::new();
        digest.update(&self.version);
        digest.update(surroundings);
        self.version = hex(digest);
        self
    }

    /// Changes with anything that can change a verdict: 12 hex digits for records.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Some rule asks for [`crate::Blast`]: a verdict that is not *allow* may become weaker with it.
    #[must_use]
    pub fn needs_blast(&self) -> bool {
        self.needs_blast
    }

    /// Some rule asks for [`crate::Moment`]: a verdict that is not *allow* may become weaker with it,
    /// and one that was made with it holds for that moment alone.
    #[must_use]
    pub fn needs_moment(&self) -> bool {
        self.needs_moment
    }

    /// Some columns are protected: their values must not reach an agent, by no way.
    #[must_use]
    pub fn protects(&self) -> bool {
        let mut protections = self.protections.iter();
        protections.any(|one| one.mode == Mode::Enforce)
    }

    /// What applies when no rule matches.
    #[must_use]
    pub fn default_decision(&self) -> &Decision {
        &self.default
    }
}

impl Ready {
    /// The same rule with only those of its conditions that `keep` takes over.
    pub(crate) fn only(&self, keep: fn(&mut Self, &Self)) -> Self {
        let matcher = Matcher::default();
        let mut bare = Self {
            rule: Rule::new(&self.rule.name, matcher, self.rule.decision.clone()),
            tables: None,
            columns: None,
            when: None,
        };
        keep(&mut bare, self);
        bare
    }

    /// No condition at all.
    pub(crate) fn takes_anything(&self) -> bool {
        let matcher: &Matcher = &self.rule.matcher;
        matcher.takes_any_statement() && matcher.takes_anyone() && self.rule.when.is_none()
    }
}

/// What the conditions of rules have to be told of.
fn told(rules: &[Ready]) -> (Vec<RuleError>, Vec<Mention>) {
    let (mut remarks, mut mentions) = (Vec::new(), Vec::new());
    for (index, ready) in rules.iter().enumerate() {
        let Some(when) = &ready.when else { continue };
        let entry = Entry::Rule(index);
        remarks.extend(when.remarks.iter().map(|remark| RuleError {
            entry,
            other: None,
            field: "when",
            within: remark.span.clone(),
            message: remark.message.clone(),
            hint: remark.hint.clone(),
        }));
        let named = when.mentions.iter().cloned();
        mentions.extend(named.map(|(of, name, within)| Mention {
            entry,
            of,
            name,
            within,
        }));
    }
    (remarks, mentions)
}

/// Of the policy as given and of this program's packs.
fn version(policy: &Policy) -> String {
    let mut digest = Sha256::new();
    // Plain data: writing it as TOML or JSON would say the same.
    digest.update(format!("{policy:?}"));
    for pack in &policy.packs {
        digest.update(pack.source());
    }
    hex(digest)
}

fn hex(digest: Sha256) -> String {
    let digest = digest.finalize();
    digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
