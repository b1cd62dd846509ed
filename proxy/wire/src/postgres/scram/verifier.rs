//! What is stored instead of a password, in PostgreSQL's own form:
//! `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, all but the count in base64.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::SCRAM_SHA_256;
use crate::postgres::{
    error::fill_random,
    limits::{PASSWORD_BYTES_MAX, SCRAM_ITERATIONS},
};

/// Iterations of a new verifier: PostgreSQL's default and RFC 7677's minimum.
pub const ITERATIONS_DEFAULT: u32 = 4_096;

/// Random bytes in a new salt.
pub(super) const SALT_BYTES: usize = 16;

/// Longest salt accepted in a verifier.
const SALT_BYTES_MAX: usize = 256;

pub(super) type Key = [u8; 32];

/// Not a verifier. The text says what is wrong, never what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVerifier {
    #[error("expected SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>")]
    Shape,
    #[error("the {0} is not valid base64 of the right length")]
    Base64(&'static str),
    #[error("the iteration count has to be {} to {}", SCRAM_ITERATIONS.start(), SCRAM_ITERATIONS.end())]
    Iterations,
    #[error("the password has to be 1 to {PASSWORD_BYTES_MAX} bytes long, without a zero byte")]
    Password,
    #[error("the operating system gave no random bytes")]
    Entropy,
}

/// Enough to check a password, not enough to be the client.
#[derive(Clone)]
pub struct ScramVerifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Zeroizing<Key>,
    server_key: Zeroizing<Key>,
}

impl ScramVerifier {
    /// Makes the verifier of a password with a known salt.
    ///
    /// # Errors
    /// When password, salt or iteration count is out of bounds.
    pub fn from_password(
        password: &str,
        salt: &[u8],
        iterations: u32,
    ) -> Result<Self, InvalidVerifier> {
        if salt.is_empty() || salt.len() > SALT_BYTES_MAX {
            return Err(InvalidVerifier::Base64("salt"));
        }
        if !SCRAM_ITERATIONS.contains(&iterations) {
            return Err(InvalidVerifier::Iterations);
        }
        check_password(password)?;
        let keys = Keys::derive(password, salt, iterations);
        Ok(Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: Zeroizing::new(keys.stored()),
            server_key: keys.server.clone(),
        })
    }

    /// Makes the verifier of a password with a random salt and the default iteration count.
    ///
    /// # Errors
    /// When the password is out of bounds or there are no random bytes.
    pub fn generate(password: &str) -> Result<Self, InvalidVerifier> {
        let mut salt = [0; SALT_BYTES];
        fill_random(&mut salt).map_err(|_| InvalidVerifier::Entropy)?;
        Self::from_password(password, &salt, ITERATIONS_DEFAULT)
    }

    /// Whether `password` is the one this was made from.
    #[must_use]
    pub fn matches(&self, password: &str) -> bool {
        check_password(password).is_ok()
            && Keys::derive(password, &self.salt, self.iterations)
                .stored()
                .ct_eq(self.stored_key.as_ref())
                .into()
    }

    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    pub(super) fn from_parts(iterations: u32, salt: Vec<u8>, stored: Key, server: Key) -> Self {
        Self {
            iterations,
            salt,
            stored_key: Zeroizing::new(stored),
            server_key: Zeroizing::new(server),
        }
    }

    pub(super) fn salt(&self) -> &[u8] {
        &self.salt
    }

    pub(super) fn stored_key(&self) -> &Key {
        &self.stored_key
    }

    /// Whether `proof` over `auth_message` was made with the password.
    pub(super) fn proof_holds(&self, auth_message: &str, proof: &Key) -> bool {
        let signature = hmac(self.stored_key.as_ref(), auth_message.as_bytes());
        let client_key = Zeroizing::new(xor(&signature, proof));
        let stored: Key = Sha256::digest(client_key.as_slice()).into();
        stored.ct_eq(self.stored_key.as_ref()).into()
    }

    pub(super) fn server_signature(&self, auth_message: &str) -> Key {
        hmac(self.server_key.as_ref(), auth_message.as_bytes())
    }
}

impl FromStr for ScramVerifier {
    type Err = InvalidVerifier;

    fn from_str(text: &str) -> Result<Self, InvalidVerifier> {
        let (head, keys) = text
            .strip_prefix(SCRAM_SHA_256)
            .and_then(|rest| rest.strip_prefix('$'))
            .and_then(|rest| rest.split_once('$'))
            .ok_or(InvalidVerifier::Shape)?;
        let (iterations, salt) = head.split_once(':').ok_or(InvalidVerifier::Shape)?;
        let (stored, server) = keys.split_once(':').ok_or(InvalidVerifier::Shape)?;
        let iterations = iterations
            .parse()
            .ok()
            .filter(|count| SCRAM_ITERATIONS.contains(count))
            .ok_or(InvalidVerifier::Iterations)?;
        let salt = STANDARD
            .decode(salt)
            .ok()
            .filter(|salt| (1..=SALT_BYTES_MAX).contains(&salt.len()))
            .ok_or(InvalidVerifier::Base64("salt"))?;
        Ok(Self {
            iterations,
            salt,
            stored_key: key(stored, "stored key")?,
            server_key: key(server, "server key")?,
        })
    }
}

impl fmt::Display for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{SCRAM_SHA_256}${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key.as_ref()),
            STANDARD.encode(self.server_key.as_ref())
        )
    }
}

impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramVerifier([redacted])")
    }
}

fn key(text: &str, what: &'static str) -> Result<Zeroizing<Key>, InvalidVerifier> {
    STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .map(Zeroizing::new)
        .ok_or(InvalidVerifier::Base64(what))
}

pub(super) fn check_password(password: &str) -> Result<(), InvalidVerifier> {
    let good = (1..=PASSWORD_BYTES_MAX).contains(&password.len()) && !password.contains('\0');
    good.then_some(()).ok_or(InvalidVerifier::Password)
}

/// The two keys that follow from a password.
pub(super) struct Keys {
    pub(super) client: Zeroizing<Key>,
    pub(super) server: Zeroizing<Key>,
}

impl Keys {
    pub(super) fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        let prepared = Zeroizing::new(prepare(password));
        let mut salted = Zeroizing::new([0_u8; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(prepared.as_bytes(), salt, iterations, salted.as_mut());
        Self {
            client: Zeroizing::new(hmac(salted.as_ref(), b"Client Key")),
            server: Zeroizing::new(hmac(salted.as_ref(), b"Server Key")),
        }
    }

    pub(super) fn stored(&self) -> Key {
        Sha256::digest(self.client.as_slice()).into()
    }
}

/// SASLprep; text it cannot prepare is used as it is, as PostgreSQL does.
fn prepare(password: &str) -> String {
    stringprep::saslprep(password).map_or_else(|_| password.to_owned(), Into::into)
}

pub(super) fn hmac(key: &[u8], data: &[u8]) -> Key {
    // HMAC takes keys of any length, so the other arm is never taken.
    Hmac::<Sha256>::new_from_slice(key).map_or([0; 32], |mac| {
        mac.chain_update(data).finalize().into_bytes().into()
    })
}

pub(super) fn xor(left: &Key, right: &Key) -> Key {
    let mut out = *left;
    out.iter_mut()
        .zip(right)
        .for_each(|(out, byte)| *out ^= byte);
    out
}
