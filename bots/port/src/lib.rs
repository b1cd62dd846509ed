//! What every chat must do: show a hold as a card, keep the card true, and explain to a person
//! what became of a click or of a command.
//!
//! [`Card`] is the pure projection of a hold; [`Reconciler`] closes the gap between the cards a
//! chat shows and the holds the approver stores; [`ChatPort`] is what a vendor implements; [`command`] answers what
//! people type. Knows no
//! vendor, no markup, no limits of any chat, and never decides who may decide: that is the
//! server's, at the time of the click (invariant 9). Everything shown here arrived redacted
//! (invariant 7) and is plain text: the vendor's renderer escapes it.

mod backoff;
mod card;
pub mod command;
pub mod limits;
mod notice;
mod notify;
mod port;
mod reconcile;
pub mod words;

pub use backoff::backoff;
pub use card::{Button, Card, Fact, Line, Piece, Tone};
pub use notice::notice_line;
pub use notify::Notifier;
pub use port::{ChatPort, PortError};
pub use reconcile::Reconciler;
