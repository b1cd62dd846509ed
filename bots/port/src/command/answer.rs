//! What somebody reads, before any vendor's markup.

use crate::{Line, Piece};

/// An answer to one person. All text is untrusted: renderers escape it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub parts: Vec<Part>,
}

/// A part of an answer, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Title(String),
    Line(Line),
    /// Belongs to what is above it.
    Item(Line),
    /// Redacted statements.
    Sql(String),
    /// Small print.
    Note(Line),
}

impl Answer {
    /// One sentence.
    #[must_use]
    pub fn line(said: &str) -> Self {
        let line = vec![Piece::Text(said.to_owned())];
        Self {
            parts: vec![Part::Line(line)],
        }
    }

    pub(super) fn titled(title: impl Into<String>) -> Self {
        Self {
            parts: vec![Part::Title(title.into())],
        }
    }

    pub(super) fn push(&mut self, part: Part) {
        self.parts.push(part);
    }

    pub(super) fn note(&mut self, said: impl Into<String>) {
        self.push(Part::Note(vec![Piece::Text(said.into())]));
    }
}
