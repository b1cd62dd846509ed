//! What a batch did, for the report of an approved one. Tags, counts and SQLSTATEs; never rows or texts.

use std::time::Duration;

use abeyance_api::Outcome;

use super::tracker::error_of;
use crate::error::TargetError;

/// Command tags that are kept of one batch.
const TAGS_MAX: usize = 64;

/// Command tags and errors of one batch.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    tags: Vec<String>,
    rows: Option<u64>,
    last: String,
    sqlstate: Option<String>,
    /// Why everything was rolled back although the target refused nothing.
    pub(crate) undone: Option<String>,
    /// The target said that it ends the connection.
    pub(crate) fatal: bool,
}

impl Ran {
    /// Takes the body of a CommandComplete; gives the tag without its counts.
    pub(super) fn completed(&mut self, body: &[u8]) -> &str {
        let text = body.strip_suffix(&[0]).unwrap_or(body);
        let text = std::str::from_utf8(text).unwrap_or_default();
        let words = text.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ');
        if words.len() < text.len() {
            let count = text.rsplit(' ').next().and_then(|count| count.parse().ok());
            if let Some(count) = count {
                self.rows = Some(self.rows.unwrap_or(0).saturating_add(count));
            }
        }
        if self.tags.len() < TAGS_MAX {
            self.tags.push(text.to_owned());
        }
        words.clone_into(&mut self.last);
        &self.last
    }

    /// Takes the body of an ErrorResponse.
    pub(super) fn failed(&mut self, body: &[u8]) -> Result<(), TargetError> {
        let (fatal, sqlstate) = error_of(body)?;
        self.fatal |= fatal;
        self.sqlstate.get_or_insert(sqlstate);
        Ok(())
    }

    /// The command tags, in order, as many as are kept.
    pub(super) fn tags(&self) -> &[String] {
        &self.tags
    }

    /// All of it ran, and nothing was taken back.
    pub(crate) fn succeeded(&self) -> bool {
        self.sqlstate.is_none() && self.undone.is_none()
    }

    /// One ROLLBACK ran, and nothing else: naming or binding one rolls nothing back.
    pub(super) fn rolled_back(&self) -> bool {
        self.succeeded() && self.tags == ["ROLLBACK"]
    }

    /// The account of a batch that ended.
    pub(crate) fn into_outcome(self, elapsed: Duration) -> Outcome {
        if let Some(reason) = self.undone {
            return Outcome::RolledBack { reason, elapsed };
        }
        match self.sqlstate {
            Some(sqlstate) => Outcome::Failed { sqlstate, elapsed },
            None => Outcome::Executed {
                rows: self.rows,
                tags: self.tags,
                elapsed,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_summed_over_tags_that_have_a_count() {
        let mut ran = Ran::default();
        assert_eq!(ran.completed(b"BEGIN\0"), "BEGIN");
        assert_eq!(ran.completed(b"INSERT 0 3\0"), "INSERT");
        assert_eq!(ran.completed(b"DELETE 12\0"), "DELETE");
        let Outcome::Executed { rows, tags, .. } = ran.into_outcome(Duration::ZERO) else {
            panic!("not executed");
        };
        assert_eq!(rows, Some(15));
        assert_eq!(tags, ["BEGIN", "INSERT 0 3", "DELETE 12"]);
    }
}
