//! What ran in a transaction that is reviewed at its COMMIT, and how reviewers see it.

use abeyance_api::{BindingDigest, Blast, Estimate, RedactedStatement};

use crate::session::blast::rows_summed;

/// A statement that ran, perhaps several times in a row.
#[derive(Debug)]
pub(super) struct Shape {
    statement: RedactedStatement,
    /// By the server's command tags.
    rows: u64,
    /// What the same batch changed besides: writes inside WITH, rules, cascades, triggers.
    besides: u64,
    times: u32,
}

/// What ran in the open transaction and is not approved.
#[derive(Debug)]
pub(in crate::session) struct Deferred {
    pub(super) rule: String,
    pub(super) route: String,
    pub(super) reasons: Vec<String>,
    pub(super) statements: Vec<Shape>,
    /// What ran, byte for byte, and what came of it.
    pub(super) digest: BindingDigest,
    /// Of the rules that let it run.
    pub(super) policy: String,
    /// What it means, values left out where they only choose rows; `None`: not known of all of it.
    pub(super) shape: Option<BindingDigest>,
    /// Definitions changed while some of it ran: it may have done another thing than it shows.
    pub(super) overtaken: bool,
}

impl Deferred {
    /// What the permit for the COMMIT is bound to besides its own bytes.
    pub(in crate::session) fn digest(&self) -> BindingDigest {
        self.digest
    }

    /// The shape of what ran, and then of what is still to come.
    pub(in crate::session) fn shape_with(&self, rest: BindingDigest) -> Option<BindingDigest> {
        self.shape.map(|ran| joined(ran, rest))
    }

    /// Takes note of what a batch means that is about to run.
    pub(super) fn means(&mut self, shape: Option<BindingDigest>) {
        self.shape = shape.and_then(|shape| self.shape_with(shape));
    }

    /// What ran, as reviewers see it.
    pub(in crate::session) fn shown(&self) -> Vec<RedactedStatement> {
        self.statements.iter().map(Shape::shown).collect()
    }

    /// Nothing is estimated any more.
    pub(in crate::session) fn blast(&self) -> Blast {
        let mut blast = Blast::of_rows(Estimate::exact(self.rows()));
        blast.transactional = Some(true);
        blast
            .notes
            .push("the statements ran already; the counts are the server's own".to_owned());
        blast
    }

    /// The same beside `rest`, which a batch with the COMMIT would do and has not done yet.
    pub(in crate::session) fn blast_with(&self, mut rest: Blast) -> Blast {
        let (rows, plural) = (self.rows(), plural(self.rows()));
        rest.rows = rows_summed(&[Estimate::exact(rows), rest.rows]);
        rest.notes.push(format!(
            "{rows} row{plural} of these changed already, by statements that ran; all else is still to come"
        ));
        rest
    }

    fn rows(&self) -> u64 {
        let told =
            |sum: u64, shape: &Shape| sum.saturating_add(shape.rows).saturating_add(shape.besides);
        self.statements.iter().fold(0, told)
    }

    pub(super) fn add(&mut self, statement: RedactedStatement, rows: u64, besides: u64) {
        match self.statements.last_mut() {
            Some(last) if last.statement.fingerprint == statement.fingerprint => {
                last.rows = last.rows.saturating_add(rows);
                last.besides = last.besides.saturating_add(besides);
                last.times = last.times.saturating_add(1);
            }
            _ => self.statements.push(Shape {
                statement,
                rows,
                besides,
                times: 1,
            }),
        }
    }
}

impl Shape {
    fn shown(&self) -> RedactedStatement {
        let mut statement = self.statement.clone();
        let (rows, besides) = (self.rows, self.besides);
        let mut ran = format!("-- ran: {rows} row{}", plural(rows));
        if besides > 0 {
            ran += &format!(", {besides} more by what it carries or sets off");
        }
        if self.times > 1 {
            ran += &format!(", {} times", self.times);
        }
        statement.text = format!("{ran}\n{}", statement.text);
        statement
    }
}

fn joined(one: BindingDigest, other: BindingDigest) -> BindingDigest {
    let (one, other) = (one.to_string(), other.to_string());
    BindingDigest::over([one.as_bytes(), other.as_bytes()])
}

fn plural(rows: u64) -> &'static str {
    if rows == 1 { "" } else { "s" }
}
