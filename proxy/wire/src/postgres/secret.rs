//! The key that lets a client cancel its session's statement.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    error::{EncodeError, EntropyError, fill_random},
    limits::CANCEL_KEY_BYTES,
};

/// A cancel key: 4 bytes in protocol 3.0, up to 256 in 3.2. Compares in constant time, prints
/// as `[redacted]`, and is wiped when dropped.
#[derive(Clone)]
pub struct CancelKey(Zeroizing<Vec<u8>>);

impl CancelKey {
    /// # Errors
    /// When the length is not one the protocol allows.
    pub fn new(bytes: &[u8]) -> Result<Self, EncodeError> {
        if !CANCEL_KEY_BYTES.contains(&bytes.len()) {
            return Err(EncodeError::CancelKeyLength { len: bytes.len() });
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    /// A fresh key for a session that speaks `version`: four bytes before 3.2, 32 from then on.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn random(version: super::ProtocolVersion) -> Result<Self, EntropyError> {
        let len = if version.minor >= 2 { 32 } else { 4 };
        let mut bytes = Zeroizing::new(vec![0; len]);
        fill_random(&mut bytes)?;
        Ok(Self(bytes))
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for CancelKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for CancelKey {}

impl fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CancelKey([redacted])")
    }
}
