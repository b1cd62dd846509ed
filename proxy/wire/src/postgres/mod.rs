//! The PostgreSQL frontend/backend protocol, version 3.0 and 3.2.
//!
//! Reading order: [`startup`] is how a connection begins, [`frame`] cuts the byte stream into
//! messages, [`frontend`] and [`backend`] give them meaning, [`scan`] lets large results pass
//! without cutting them up, [`scram`] and [`md5`] prove who somebody is.
//!
//! Refuses to know what a statement means and where bytes come from. `Debug` output of every type
//! here gives lengths, never statement text, values or secrets (invariant 7).

pub mod backend;
mod cursor;
mod error;
mod error_fields;
pub mod frame;
pub mod frontend;
pub mod limits;
pub mod md5;
mod password;
mod put;
pub mod scan;
pub mod scram;
mod secret;
mod sqlstate;
pub mod startup;
mod text;

#[cfg(test)]
mod tests;

pub use backend::{Authentication, BackendMessage, TransactionStatus};
pub use error::{DecodeError, EncodeError, EntropyError};
pub use error_fields::{ErrorFields, Severity};
pub use frame::{Direction, Frame, FrameError, frame_wanted, split_frame};
pub use frontend::{
    Bind, Execute, Format, FrontendMessage, FunctionCall, Parse, PasswordMessage, Query,
    SaslInitialResponse, Subject,
};
pub use scan::{BackendScanner, Seen};
pub use secret::CancelKey;
pub use sqlstate::SqlState;
pub use startup::{
    CancelRequest, ProtocolVersion, StartupError, StartupMessage, StartupPacket, split_startup,
};
pub use text::WireStr;
