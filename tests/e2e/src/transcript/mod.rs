//! Conversations as text: typed messages sent, every reply listed.
//!
//! ```text
//! # a comment
//! > Parse "s1" "SELECT $1::int" [23]
//! > Sync
//! < ParseComplete
//! < ReadyForQuery I
//! ```
//!
//! Lines that start with `>` are sent together; then replies are read up to the last one that the block
//! asks for (`? until CopyInResponse`; without that, a ReadyForQuery for each message that earns one)
//! and must be those after `<`. Lines with `!` act on the world: see [`Act`]. `@ name` talks on another
//! connection. With `TRANSCRIPTS=record` the replies in the file are replaced by what came.

mod render;
mod run;
mod script;

pub use render::{Detail, neutral, render};
pub use run::{Backstage, Player, Recording, hold_in};
pub use script::{Act, Block, Send, Transcript};
