//! Who is on call, at any moment, by schedule and by exception.
//!
//! A schedule has layers; the highest one that covers a moment decides. Within a layer the turns
//! follow one another at *boundaries*: moments given by a cron expression on the wall clock of one
//! time zone. A shift runs from one boundary to the next, so a change of the clocks can make it
//! longer or shorter but never leaves a gap or an overlap. Exceptions are plain spans of UTC.
//!
//! Pure: the moment is an argument. Knows no chat, no store and no holds.

mod count;
mod coverage;
mod event;
mod handoff;
mod schedule;
mod shifts;
mod swap;

pub use coverage::{Coverage, CoverageError};
pub use event::OncallEvent;
pub use handoff::{Handoff, HandoffError, Zone};
pub use schedule::{Duty, DutySource, Exception, Layer, Schedule, ScheduleError};
pub use shifts::{Shift, beginning, shifts};
pub use swap::{NoSwap, swap};
