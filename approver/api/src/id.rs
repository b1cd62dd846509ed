//! Identifiers that cross process borders. Each is parsed once, at the border.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The alphabet of hold ids: digits and capitals without the pairs people confuse
/// when they read an id aloud (no `0 1 I L O U`).
pub(crate) const HOLD_ALPHABET: &[u8; 30] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Fewest and most characters after `HLD-`.
const HOLD_SUFFIX: std::ops::RangeInclusive<usize> = 4..=10;

/// An id was malformed; the text says what a good one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}: expected {expected}")]
pub struct InvalidId {
    pub(crate) what: &'static str,
    pub(crate) expected: &'static str,
}

/// A hold's name, short enough to type on a phone: `HLD-7K3Q`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HoldId(String);

impl HoldId {
    /// Builds an id from random bytes, one character a byte. The store decides whether it is free.
    ///
    /// # Errors
    /// When `entropy` is shorter than four or longer than ten bytes.
    pub fn from_entropy(entropy: &[u8]) -> Result<Self, InvalidId> {
        let suffix: String = entropy
            .iter()
            .map(|byte| char::from(HOLD_ALPHABET[usize::from(*byte) % HOLD_ALPHABET.len()]))
            .collect();
        format!("HLD-{suffix}").parse()
    }

    /// The id as people see it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HoldId {
    type Err = InvalidId;

    /// Accepts what people type: any case, with or without the `HLD-` prefix.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let upper = text.trim().to_ascii_uppercase();
        let suffix = upper.strip_prefix("HLD-").unwrap_or(&upper);
        if HOLD_SUFFIX.contains(&suffix.len()) && suffix.bytes().all(|b| HOLD_ALPHABET.contains(&b))
        {
            Ok(Self(format!("HLD-{suffix}")))
        } else {
            Err(InvalidId {
                what: "hold id",
                expected: "something like HLD-7K3Q",
            })
        }
    }
}

impl TryFrom<String> for HoldId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<HoldId> for String {
    fn from(id: HoldId) -> Self {
        id.0
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One client connection, from handshake to close. Time-ordered (UUID v7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub Uuid);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A person in the roster, by the name the configuration gives them: `ann`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PersonId(String);

impl PersonId {
    /// The id as the configuration writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PersonId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let good = !text.is_empty()
            && text.len() <= 128
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-@+".contains(&b));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId {
                what: "person",
                expected: "1 to 128 letters, digits or any of ._-@+",
            })
        }
    }
}

impl TryFrom<String> for PersonId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<PersonId> for String {
    fn from(id: PersonId) -> Self {
        id.0
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 over everything an approval is bound to: session, target, agent, the exact
/// bytes of the batch and of every prepared statement it refers to. 32 bytes, hex in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BindingDigest([u8; 32]);

impl BindingDigest {
    /// Hashes the parts, each preceded by its length, so that no two different lists of
    /// parts can give the same bytes.
    #[must_use]
    pub fn over<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }
}

impl TryFrom<String> for BindingDigest {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        let mut bytes = [0_u8; 32];
        hex::decode_to_slice(&text, &mut bytes).map_err(|_| InvalidId {
            what: "binding digest",
            expected: "64 hex digits",
        })?;
        Ok(Self(bytes))
    }
}

impl From<BindingDigest> for String {
    fn from(digest: BindingDigest) -> Self {
        hex::encode(digest.0)
    }
}

impl fmt::Display for BindingDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BindingDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BindingDigest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_ids_accept_what_people_type() {
        for text in ["HLD-7K3Q", "hld-7k3q", " 7k3q "] {
            assert_eq!(text.parse::<HoldId>().unwrap().as_str(), "HLD-7K3Q");
        }
        for text in [
            "",
            "HLD-",
            "HLD-7K3",
            "HLD-7K3O",
            "HLD-7K3Q7K3Q7K3",
            "7K3Q;DROP",
        ] {
            assert!(text.parse::<HoldId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn binding_tells_apart_lists_with_the_same_concatenation() {
        let split = BindingDigest::over([b"ab".as_slice(), b"c"]);
        assert_ne!(split, BindingDigest::over([b"a".as_slice(), b"bc"]));
        assert_eq!(split, String::from(split).try_into().unwrap());
    }
}
