//! The blast radius in words: one wording for chat cards, console pages and `explain`.
//!
//! Plain text without markup; whoever renders it escapes it.

mod several;

use super::{Access, Blast, CascadeAction, Estimate, EstimateSource, Rewrite, Undo};

pub use several::{largest, together};

/// Entries of a list that are named in a line; the rest are counted.
const NAMED_MAX: usize = 6;

/// What it would do besides changing its own rows, a line each, what matters most first. What makes no
/// difference is left out; what is unknown is said.
#[must_use]
pub fn lines(blast: &Blast) -> Vec<String> {
    effects(blast).into_iter().map(Effect::line).collect()
}

/// One of [`effects`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    pub text: String,
    /// What the text goes on with, where that is several things.
    pub each: Vec<String>,
}

impl Effect {
    fn line(self) -> String {
        if self.each.is_empty() {
            return self.text;
        }
        format!("{} {}", self.text, named(self.each.into_iter()))
    }
}

impl From<String> for Effect {
    fn from(text: String) -> Self {
        let each = Vec::new();
        Self { text, each }
    }
}

/// As [`lines`], with several things by themselves, for pages that have the room.
#[must_use]
pub fn effects(blast: &Blast) -> Vec<Effect> {
    let mut lines: Vec<Effect> = Vec::new();
    let listed = |text: &str, each: Vec<String>| Effect {
        text: text.to_owned(),
        each,
    };
    match &blast.cascades {
        Some(cascades) if cascades.is_empty() => {}
        Some(cascades) => {
            let each = |cascade: &super::Cascade| {
                let rows = estimate(&cascade.rows);
                format!("{} {}: {rows}", cascade.relation, action(cascade.action))
            };
            lines.push(listed("takes along", cascades.iter().map(each).collect()));
        }
        None => lines.push("unknown what foreign keys take along".to_owned().into()),
    }
    if blast.undo != Undo::Nothing || blast.transactional == Some(false) {
        lines.push(undo(blast.undo, blast.transactional).to_owned().into());
    }
    match (blast.blocks_now, blast.waits_for) {
        (Some(0), _) => {}
        (Some(all), Some(0)) => {
            let waiting = counted(all, "session");
            lines.push(format!("{waiting} waits for locks it conflicts with").into());
        }
        (Some(all), holding) => {
            let holding = holding.map_or_else(String::new, |holding| {
                format!("; it would wait for {holding} of them")
            });
            let sessions = counted(all, "session");
            lines.push(format!("in the way of {sessions} now{holding}").into());
        }
        (None, _) => lines.push("unknown which sessions it would block".to_owned().into()),
    }
    lines.extend(rewrite(blast.rewrite, blast.rewrite_bytes).map(Effect::from));
    lines.extend(
        access(blast.access)
            .filter(|_| blast.access == Access::FullScan)
            .map(|text| text.to_owned().into()),
    );
    if let Some(cap) = blast.rows_cap {
        lines.push(format!("rolled back if it changes more than {}", rows(cap)).into());
    }
    match &blast.triggers {
        Some(triggers) if triggers.is_empty() => {}
        Some(triggers) => lines.push(listed("fires", triggers.clone())),
        None => lines.push("unknown which triggers fire".to_owned().into()),
    }
    let locks = blast
        .locks
        .iter()
        .flatten()
        .filter(|lock| !lock.mode.starts_with("ROW "));
    let locks: Vec<String> = locks
        .map(|lock| format!("{} ({})", lock.relation, lock.mode))
        .collect();
    if !locks.is_empty() {
        lines.push(listed("locks", locks));
    }
    lines.extend(blast.notes.iter().cloned().map(Effect::from));
    lines
}

fn named(all: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = all.collect();
    let more = all.len().saturating_sub(NAMED_MAX);
    all.truncate(NAMED_MAX);
    let all = all.join(", ");
    if more > 0 {
        format!("{all} and {more} more")
    } else {
        all
    }
}

/// `1240` as `1,240`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 row`, `12 rows`.
#[must_use]
pub fn rows(count: u64) -> String {
    counted(count, "row")
}

/// `1 session`, `1,240 sessions`.
#[must_use]
pub fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(count))
}

/// How many, without how it is known: `12 rows`, `at most 12 rows`, `about 4,100 rows`, `more than 10,000 rows`,
/// `unknown`.
#[must_use]
pub fn amount(estimate: &Estimate) -> String {
    match (estimate.rows, estimate.source) {
        (Some(count), EstimateSource::Exact) => rows(count),
        (Some(count), EstimateSource::AtMost) => format!("at most {}", rows(count)),
        (Some(count), EstimateSource::Estimated) => format!("about {}", rows(rounded(count))),
        (Some(count), EstimateSource::Bounded) => format!("more than {}", rows(count)),
        (_, EstimateSource::Unknown) | (None, _) => "unknown".to_owned(),
    }
}

/// A guess to two significant digits: more would pretend to know.
#[must_use]
pub fn rounded(guess: u64) -> u64 {
    let mut unit = 1;
    while guess / unit >= 100 {
        unit *= 10;
    }
    // Up and down alike; a guess near the end of the range stays what it is.
    match guess.checked_add(unit / 2) {
        Some(up) => up / unit * unit,
        None => guess,
    }
}

/// How a number is known; empty when the amount says it.
#[must_use]
pub fn known(source: EstimateSource) -> &'static str {
    match source {
        EstimateSource::Exact | EstimateSource::AtMost => "counted",
        EstimateSource::Estimated => "planner's estimate",
        EstimateSource::Bounded => "counting stopped there",
        EstimateSource::Unknown => "",
    }
}

/// `12 rows (counted)`, `about 4,100 rows (planner's estimate)`, `more than 10,000 rows`,
/// `unknown: the probe timed out`.
#[must_use]
pub fn estimate(estimate: &Estimate) -> String {
    let amount = amount(estimate);
    let note = estimate.note.as_deref().map(str::trim);
    let note = note.filter(|note| !note.is_empty());
    let source = match estimate.rows {
        Some(_) => estimate.source,
        None => EstimateSource::Unknown,
    };
    match (source, note) {
        (EstimateSource::Unknown, Some(note)) => format!("{amount}: {note}"),
        (EstimateSource::Unknown | EstimateSource::Bounded, None) => amount,
        (EstimateSource::Bounded, Some(note)) => format!("{amount}; {note}"),
        (source, Some(note)) => format!("{amount} ({}); {note}", known(source)),
        (source, None) => format!("{amount} ({})", known(source)),
    }
}

/// What happens to the rows of a cascade: `deletes`, `sets to null in`.
#[must_use]
pub fn action(action: CascadeAction) -> &'static str {
    match action {
        CascadeAction::Delete => "deleted",
        CascadeAction::SetNull => "set to null",
        CascadeAction::SetDefault => "set to their default",
        CascadeAction::Update => "updated",
        CascadeAction::Truncate => "truncated",
        CascadeAction::Drop => "dropped",
    }
}

/// `None` when nothing is written anew.
#[must_use]
pub fn rewrite(rewrite: Rewrite, bytes: Option<u64>) -> Option<String> {
    let size = bytes.map_or_else(String::new, |bytes| format!("{}, ", self::bytes(bytes)));
    let time = match rewrite {
        Rewrite::No => return None,
        Rewrite::Unknown => return Some("unknown whether tables are written anew".to_owned()),
        Rewrite::Moments => "under a second",
        Rewrite::Seconds => "seconds",
        Rewrite::Minutes => "minutes",
        Rewrite::Hours => "hours",
    };
    Some(format!("writes tables anew: {size}{time}"))
}

/// `48 kB`, `1.2 GB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "kB", "MB", "GB", "TB"];
    let mut whole = bytes;
    let mut tenths = 0;
    let mut unit = 0;
    while whole >= 1024 && unit + 1 < UNITS.len() {
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or("bytes");
    if unit > 0 && whole < 10 && tenths > 0 {
        format!("{whole}.{tenths} {name}")
    } else {
        format!("{} {name}", grouped(whole))
    }
}

/// `None` when it makes no difference.
#[must_use]
pub fn access(access: Access) -> Option<&'static str> {
    match access {
        Access::Unknown | Access::NotApplicable => None,
        Access::Index => Some("by index"),
        Access::FullScan => Some("reads the whole table"),
    }
}

#[must_use]
pub fn undo(undo: Undo, transactional: Option<bool>) -> &'static str {
    match (undo, transactional) {
        (Undo::Nothing, _) => "nothing to undo",
        (Undo::Never, _) | (_, Some(false)) => "cannot be undone: it takes effect at once",
        (Undo::Counterpart, _) => "another statement can restore it",
        (Undo::UntilCommit, _) => "cannot be undone once committed",
        (Undo::Unknown, _) => "unknown whether it can be undone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_says_how_it_is_known() {
        let noted = |mut said: Estimate, note: &str| {
            said.note = Some(note.to_owned());
            said
        };
        let cases = [
            (Estimate::exact(12), "12 rows (counted)"),
            (Estimate::exact(1), "1 row (counted)"),
            (Estimate::exact(0), "0 rows (counted)"),
            (
                Estimate::estimated(4_123),
                "about 4,100 rows (planner's estimate)",
            ),
            (Estimate::estimated(1), "about 1 row (planner's estimate)"),
            (Estimate::more_than(10_000), "more than 10,000 rows"),
            (
                noted(Estimate::at_most(3), "rows in conflict are left out"),
                "at most 3 rows (counted); rows in conflict are left out",
            ),
            (
                Estimate::unknown("the probe timed out"),
                "unknown: the probe timed out",
            ),
            (
                noted(Estimate::exact(3), "a trigger may skip rows"),
                "3 rows (counted); a trigger may skip rows",
            ),
            (
                Estimate {
                    rows: None,
                    source: EstimateSource::Exact,
                    note: None,
                },
                "unknown",
            ),
        ];
        for (said, want) in cases {
            assert_eq!(estimate(&said), want);
        }
    }

    #[test]
    fn guesses_are_rounded_and_counts_are_not() {
        for (guess, want) in [(0, 0), (7, 7), (99, 99), (104, 100), (4_150, 4_200)] {
            assert_eq!(rounded(guess), want);
        }
        assert_eq!(rounded(u64::MAX), u64::MAX);
        assert_eq!(amount(&Estimate::exact(4_123)), "4,123 rows");
    }

    #[test]
    fn sizes_read_well() {
        let cases = [
            (0, "0 bytes"),
            (8_192, "8 kB"),
            (1_300_000_000, "1.2 GB"),
            (53_000_000, "50 MB"),
        ];
        for (size, want) in cases {
            assert_eq!(bytes(size), want);
        }
    }

    #[test]
    fn what_is_taken_along_is_a_list_and_a_line() {
        let cascade = |relation: &str, rows| crate::blast::Cascade {
            relation: relation.to_owned(),
            rows: Estimate::exact(rows),
            action: CascadeAction::Delete,
        };
        let mut blast = Blast::of_rows(Estimate::exact(1));
        blast.cascades = Some(vec![cascade("a", 1), cascade("b", 2)]);
        let first = effects(&blast).remove(0);
        assert_eq!(first.text, "takes along");
        assert_eq!(
            first.each,
            ["a deleted: 1 row (counted)", "b deleted: 2 rows (counted)"]
        );
        assert_eq!(
            lines(&blast).remove(0),
            "takes along a deleted: 1 row (counted), b deleted: 2 rows (counted)"
        );
    }

    #[test]
    fn what_cannot_be_rolled_back_says_so() {
        assert!(undo(Undo::Counterpart, Some(false)).starts_with("cannot be undone"));
        assert!(undo(Undo::Never, None).starts_with("cannot be undone"));
        assert_eq!(
            undo(Undo::Unknown, None),
            "unknown whether it can be undone"
        );
    }
}
