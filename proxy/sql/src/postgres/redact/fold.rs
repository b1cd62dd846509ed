//! Folds lists whose items look alike, keeping their number: IN lists, arrays, rows of VALUES.
//!
//! One pass over the pieces. Items are alike when they differ in constants only, so the first
//! stands for all, in the text and in the fingerprint.

use super::Piece;

/// The pieces with every list of alike items folded to its first.
pub(super) fn fold<'a>(pieces: &[Piece<'a>]) -> Vec<Piece<'a>> {
    Folder {
        pieces,
        closes: closing_brackets(pieces),
        folded: Vec::with_capacity(pieces.len().min(4096)),
    }
    .run()
}

struct Folder<'p, 'a> {
    pieces: &'p [Piece<'a>],
    /// For an opening bracket, where it closes.
    closes: Vec<Option<usize>>,
    folded: Vec<Piece<'a>>,
}

impl<'a> Folder<'_, 'a> {
    fn run(mut self) -> Vec<Piece<'a>> {
        // Ends of lists that were folded: after the first item comes the remark, then the rest.
        let mut pending: Vec<Pending> = Vec::new();
        let mut at = 0;
        while at < self.pieces.len() || pending.last().is_some_and(|list| list.first_end == at) {
            if let Some(list) = pending.pop_if(|list| list.first_end == at) {
                self.folded.push(Piece::Count(list.items, list.of));
                at = list.end;
                continue;
            }
            let Some(piece) = self.pieces.get(at) else {
                break;
            };
            self.folded.push(piece.clone());
            at += 1;
            let list = match piece {
                Piece::Punct(b'(' | b'[') if self.takes_list(at - 1) => self.items(at),
                Piece::Keyword(word) if word == "VALUES" => self.rows(at),
                _ => None,
            };
            pending.extend(list);
        }
        self.folded
    }

    /// The bracket at `open` begins what IN, ANY or ARRAY takes.
    fn takes_list(&self, open: usize) -> bool {
        let before = open.checked_sub(1).and_then(|at| self.pieces.get(at));
        matches!(self.pieces.get(open), Some(Piece::Punct(b'[')))
            || matches!(before, Some(Piece::Keyword(word)) if word == "IN")
    }

    /// A list in brackets, from its first item on.
    fn items(&self, start: usize) -> Option<Pending> {
        let end = self.closes.get(start - 1).copied().flatten()?;
        self.alike(start, end, "values")
    }

    /// Rows after VALUES.
    fn rows(&self, start: usize) -> Option<Pending> {
        self.alike(start, self.pieces.len(), "rows")
    }

    /// How many items from `start` on look like the first; `None` unless there are more than one.
    fn alike(&self, start: usize, end: usize, of: &'static str) -> Option<Pending> {
        let first_end = self.item_end(start, end, of)?;
        let first = self.pieces.get(start..first_end)?;
        let (mut items, mut at) = (1, first_end);
        while at < end && matches!(self.pieces.get(at), Some(Piece::Punct(b','))) {
            let Some(next) = self.item_end(at + 1, end, of) else {
                break;
            };
            let item = self.pieces.get(at + 1..next)?;
            if item.len() != first.len()
                || !item.iter().zip(first).all(|(one, other)| alike(one, other))
            {
                break;
            }
            items += 1;
            at = next;
        }
        let whole = of == "rows" || at == end;
        (items > 1 && whole).then_some(Pending {
            first_end,
            end: at,
            items,
            of,
        })
    }

    /// One past the item that begins at `start`: at a comma, or at the end of the list.
    fn item_end(&self, start: usize, end: usize, of: &'static str) -> Option<usize> {
        if of == "rows" {
            matches!(self.pieces.get(start), Some(Piece::Punct(b'('))).then_some(())?;
            return Some(self.closes.get(start).copied().flatten()? + 1);
        }
        let mut at = start;
        while at < end && self.pieces.get(at) != Some(&Piece::Punct(b',')) {
            at = self.closes.get(at).copied().flatten().unwrap_or(at) + 1;
        }
        (at > start && at <= end).then_some(at)
    }
}

/// A list that is folded to its first item.
struct Pending {
    first_end: usize,
    end: usize,
    items: usize,
    of: &'static str,
}

fn closing_brackets(pieces: &[Piece<'_>]) -> Vec<Option<usize>> {
    let mut closes = vec![None; pieces.len()];
    let mut open = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Punct(b'(' | b'[') => open.push(at),
            Piece::Punct(b')' | b']') => {
                if let Some(slot) = open.pop().and_then(|opened| closes.get_mut(opened)) {
                    *slot = Some(at);
                }
            }
            _ => {}
        }
    }
    closes
}

/// NULL and the truth values are constants like any other. DEFAULT is not: it may run code.
fn alike(one: &Piece<'_>, other: &Piece<'_>) -> bool {
    is_constant(one) && is_constant(other) || one == other
}

fn is_constant(piece: &Piece<'_>) -> bool {
    match piece {
        Piece::Value(_) => true,
        Piece::Keyword(word) => matches!(&**word, "NULL" | "TRUE" | "FALSE"),
        _ => false,
    }
}
