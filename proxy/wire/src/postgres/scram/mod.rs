//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677, RFC 5929), both sides.
//!
//! Each side is a chain of states that consume themselves: [`ScramServer`], [`ScramServerFinal`],
//! [`ScramAuthenticated`]; [`ScramClient`], [`ScramClientFirst`], [`ScramClientFinal`],
//! [`ScramServerProved`]. The two proof values have no other constructor, so a session that holds one
//! went through the verification.
//!
//! Refuses to know where verifiers and passwords are kept. PBKDF2 costs milliseconds to hundreds of
//! them; callers run [`ScramClientFirst::server_first`] where that hurts nobody.

mod binding;
mod client;
mod error;
mod message;
mod mock;
mod password;
mod server;
mod verifier;

#[cfg(test)]
mod tests;

pub use binding::{ChannelBinding, tls_server_end_point};
pub use client::{ScramClient, ScramClientFinal, ScramClientFirst, ScramServerProved};
pub use error::ScramError;
pub use message::Nonce;
pub use mock::{Credential, MockSecret};
pub use password::ScramPassword;
pub use server::{ScramAuthenticated, ScramServer, ScramServerFinal};
pub use verifier::{ITERATIONS_DEFAULT, InvalidVerifier, ScramVerifier};

/// Name of the mechanism without channel binding.
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
/// Name of the mechanism with channel binding.
pub const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";
