//! The side that proves it knows a password, towards a target.
//!
//! A target may be hostile: iteration counts are bounded, and the exchange ends well only when the target
//! has proved that it knows the password too.

use std::sync::Arc;

use bytes::Bytes;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramError,
    binding::ChannelBinding,
    message::{BindingFlag, Nonce, ServerFirst, as_text, attribute, decode_base64, encode_base64},
    password::ScramPassword,
    verifier::{check_password, hmac, xor},
};
use crate::postgres::{SaslInitialResponse, WireStr, limits::SCRAM_ITERATIONS};

/// Waits for the target's list of mechanisms.
pub struct ScramClient {
    password: Arc<ScramPassword>,
    binding: ChannelBinding,
    nonce: Nonce,
    /// Empty towards PostgreSQL, which takes the name from the startup packet.
    user: &'static str,
}

impl ScramClient {
    /// For one login.
    #[must_use]
    pub fn new(password: &str, binding: ChannelBinding, nonce: Nonce) -> Self {
        Self::with_password(Arc::new(ScramPassword::new(password)), binding, nonce)
    }

    /// With a password that logs in often.
    #[must_use]
    pub fn with_password(
        password: Arc<ScramPassword>,
        binding: ChannelBinding,
        nonce: Nonce,
    ) -> Self {
        Self {
            password,
            binding,
            nonce,
            user: "",
        }
    }

    #[cfg(test)]
    pub(super) fn with_user(self, user: &'static str) -> Self {
        Self { user, ..self }
    }

    /// Chooses the strongest mechanism both sides have; the response goes to the target.
    ///
    /// # Errors
    /// When there is none, or the password could never be accepted.
    pub fn choose(
        self,
        offered: &[WireStr],
    ) -> Result<(ScramClientFirst, SaslInitialResponse), ScramError> {
        check_password(self.password.text())
            .map_err(|_| ScramError::Malformed("unusable password"))?;
        let offers = |name: &str| {
            offered
                .iter()
                .any(|have| have.as_bytes() == name.as_bytes())
        };
        let (mechanism, flag) = match (offers(SCRAM_SHA_256_PLUS), self.binding.is_some()) {
            (true, true) => (SCRAM_SHA_256_PLUS, BindingFlag::TlsServerEndPoint),
            _ if !offers(SCRAM_SHA_256) => return Err(ScramError::NoMechanism),
            (false, true) => (SCRAM_SHA_256, BindingFlag::ServerLacks),
            (_, false) => (SCRAM_SHA_256, BindingFlag::No),
        };
        let bare = format!("n={},r={}", self.user, self.nonce.as_str());
        let data = Bytes::from(format!("{}{bare}", flag.header()));
        let response = SaslInitialResponse {
            mechanism: WireStr::from_static(mechanism),
            data: Some(data),
        };
        let next = ScramClientFirst {
            password: self.password,
            binding_input: flag.input(&self.binding),
            nonce: self.nonce,
            bare,
        };
        Ok((next, response))
    }
}

/// Waits for salt and iteration count.
pub struct ScramClientFirst {
    password: Arc<ScramPassword>,
    binding_input: String,
    nonce: Nonce,
    bare: String,
}

impl ScramClientFirst {
    /// Takes the target's first message; the response goes back with
    /// [`encode_sasl_response`](crate::postgres::frontend::encode_sasl_response). Computes PBKDF2: slow on purpose.
    ///
    /// # Errors
    /// When the message is malformed, replayed or asks for too few or too many iterations.
    pub fn server_first(self, data: &[u8]) -> Result<(ScramClientFinal, Bytes), ScramError> {
        let text = as_text(data)?;
        let first = ServerFirst::parse(text)?;
        let extended = first
            .nonce
            .strip_prefix(self.nonce.as_str())
            .is_some_and(|theirs| !theirs.is_empty());
        if !extended {
            return Err(ScramError::Malformed("nonce does not match"));
        }
        let iterations = u32::try_from(first.iterations)
            .ok()
            .filter(|count| SCRAM_ITERATIONS.contains(count))
            .ok_or(ScramError::Iterations {
                asked: first.iterations,
                min: *SCRAM_ITERATIONS.start(),
                max: *SCRAM_ITERATIONS.end(),
            })?;
        let keys = self.password.keys(&first.salt, iterations);
        let without_proof = format!("c={},r={}", self.binding_input, first.nonce);
        let signed = format!("{},{text},{without_proof}", self.bare);
        let proof = Zeroizing::new(xor(&keys.client, &hmac(&keys.stored(), signed.as_bytes())));
        let response = format!("{without_proof},p={}", encode_base64(proof.as_slice()));
        let next = ScramClientFinal {
            server_signature: hmac(keys.server.as_slice(), signed.as_bytes()),
        };
        Ok((next, Bytes::from(response)))
    }
}

/// Waits for the target's own proof.
pub struct ScramClientFinal {
    server_signature: [u8; 32],
}

impl ScramClientFinal {
    /// Takes the target's final message.
    ///
    /// # Errors
    /// When the target refuses, or does not know the password itself.
    pub fn server_final(self, data: &[u8]) -> Result<ScramServerProved, ScramError> {
        let mut text = as_text(data)?;
        if text.starts_with("e=") {
            return Err(ScramError::Refused);
        }
        let signature = attribute(&mut text, "v", "no server signature")?;
        let signature = decode_base64(signature, "bad server signature")?;
        if bool::from(signature.as_slice().ct_eq(&self.server_signature)) {
            Ok(ScramServerProved(()))
        } else {
            Err(ScramError::ServerNotProved)
        }
    }
}

/// The proof that the target knows the password too. Only verification makes one; an
/// upstream login that skips it has been spoken to by an impostor.
#[derive(Debug)]
pub struct ScramServerProved(());

macro_rules! redacted {
    ($($state:ident),*) => {$(
        impl std::fmt::Debug for $state {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($state), "([redacted])"))
            }
        }
    )*};
}
redacted!(ScramClient, ScramClientFirst, ScramClientFinal);
