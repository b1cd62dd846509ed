//! Unknown users go through the same motions as known ones, so that nobody can list agents by
//! knocking.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::verifier::{ITERATIONS_DEFAULT, Key, SALT_BYTES, ScramVerifier, hmac};
use crate::postgres::{EntropyError, error::fill_random};

/// What a client's proof is checked against.
#[derive(Debug, Clone)]
pub enum Credential {
    /// The user exists.
    Known(ScramVerifier),
    /// Nobody of that name: every step is taken, none can succeed.
    Unknown(ScramVerifier),
}

impl Credential {
    pub(super) fn verifier(&self) -> &ScramVerifier {
        match self {
            Self::Known(verifier) | Self::Unknown(verifier) => verifier,
        }
    }

    pub(super) fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}

/// Where the salts of unknown users come from: the same name gets the same salt each time, as
/// a known one would.
#[derive(Clone)]
pub struct MockSecret {
    key: Zeroizing<Key>,
    iterations: u32,
}

impl MockSecret {
    /// A secret for this process only: salts of unknown users change when it restarts.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn random() -> Result<Self, EntropyError> {
        let mut key = Zeroizing::new([0; 32]);
        fill_random(key.as_mut())?;
        Ok(Self {
            key,
            iterations: ITERATIONS_DEFAULT,
        })
    }

    /// A secret that lasts as long as the roster does: derived from the verifiers in it, which
    /// nobody outside knows. Takes over the iteration count of the first one. `None` for an empty
    /// roster.
    pub fn from_verifiers<'a>(
        verifiers: impl IntoIterator<Item = &'a ScramVerifier>,
    ) -> Option<Self> {
        let mut verifiers = verifiers.into_iter().peekable();
        let iterations = verifiers.peek()?.iterations();
        let mut hash = Sha256::new_with_prefix(b"abeyance mock authentication");
        for verifier in verifiers {
            hash.update(verifier.stored_key());
        }
        Some(Self {
            key: Zeroizing::new(hash.finalize().into()),
            iterations,
        })
    }

    /// What to check an unknown user against.
    #[must_use]
    pub fn credential(&self, user: &str) -> Credential {
        let draw = |label: &[u8]| hmac(self.key.as_ref(), &[label, user.as_bytes()].concat());
        let salt = draw(b"salt\0").iter().take(SALT_BYTES).copied().collect();
        Credential::Unknown(ScramVerifier::from_parts(
            self.iterations,
            salt,
            draw(b"stored\0"),
            draw(b"server\0"),
        ))
    }
}

impl std::fmt::Debug for MockSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MockSecret([redacted])")
    }
}
