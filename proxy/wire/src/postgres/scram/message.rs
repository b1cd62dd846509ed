//! The comma-separated attributes of SCRAM messages (RFC 5802, section 7).

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{ScramError, binding::ChannelBinding};
use crate::postgres::{EntropyError, error::fill_random, limits::SCRAM_MESSAGE_BYTES_MAX};

/// Random bytes in a nonce; PostgreSQL takes as many.
const NONCE_BYTES: usize = 18;

/// One side's contribution to the exchange's nonce: printable, without commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn random() -> Result<Self, EntropyError> {
        let mut bytes = [0; NONCE_BYTES];
        fill_random(&mut bytes)?;
        Ok(Self(STANDARD.encode(bytes)))
    }

    /// A known nonce, for test vectors. `None` when it is empty or holds anything but printable
    /// ASCII without commas.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        is_nonce(text).then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_nonce(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| (0x21..=0x7e).contains(&b) && b != b',')
}

/// A message as text, when it is short enough.
pub(super) fn as_text(data: &[u8]) -> Result<&str, ScramError> {
    if data.len() > SCRAM_MESSAGE_BYTES_MAX {
        return Err(ScramError::Malformed("too long"));
    }
    std::str::from_utf8(data).map_err(|_| ScramError::Malformed("not UTF-8"))
}

/// Takes `key=value` off the front. The key must be the one that is due.
pub(super) fn attribute<'a>(
    rest: &mut &'a str,
    key: &str,
    missing: &'static str,
) -> Result<&'a str, ScramError> {
    let (first, behind) = match rest.split_once(',') {
        Some((first, behind)) => (first, behind),
        None => (*rest, ""),
    };
    let value = first
        .strip_prefix(key)
        .and_then(|rest| rest.strip_prefix('='))
        .ok_or(ScramError::Malformed(missing))?;
    *rest = behind;
    Ok(value)
}

pub(super) fn decode_base64(text: &str, what: &'static str) -> Result<Vec<u8>, ScramError> {
    STANDARD
        .decode(text)
        .map_err(|_| ScramError::Malformed(what))
}

pub(super) fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// What the client says about channel binding in its first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BindingFlag {
    /// `n`: does not support it.
    No,
    /// `y`: supports it and thinks the server does not.
    ServerLacks,
    /// `p=tls-server-end-point`: uses it.
    TlsServerEndPoint,
}

impl BindingFlag {
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::No => "n,,",
            Self::ServerLacks => "y,,",
            Self::TlsServerEndPoint => "p=tls-server-end-point,,",
        }
    }

    /// The `c=` value of the final message: the header again, and what it binds to.
    pub(super) fn input(self, binding: &ChannelBinding) -> String {
        let mut bytes = self.header().as_bytes().to_vec();
        if let (Self::TlsServerEndPoint, ChannelBinding::TlsServerEndPoint(hash)) = (self, binding)
        {
            bytes.extend_from_slice(hash);
        }
        encode_base64(&bytes)
    }
}

/// client-first-message.
pub(super) struct ClientFirst<'a> {
    pub(super) flag: BindingFlag,
    /// The part that is signed.
    pub(super) bare: &'a str,
    pub(super) nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, ScramError> {
        let (flag, behind) = text
            .split_once(',')
            .ok_or(ScramError::Malformed("no channel binding flag"))?;
        let flag = match flag {
            "n" => BindingFlag::No,
            "y" => BindingFlag::ServerLacks,
            "p=tls-server-end-point" => BindingFlag::TlsServerEndPoint,
            _ => return Err(ScramError::Malformed("unknown channel binding")),
        };
        let (identity, bare) = behind
            .split_once(',')
            .ok_or(ScramError::Malformed("no header"))?;
        if !identity.is_empty() || bare.starts_with("m=") {
            return Err(ScramError::Extension);
        }
        let mut rest = bare;
        // The name here is ignored, as PostgreSQL does: the startup packet's counts.
        attribute(&mut rest, "n", "no user name")?;
        let nonce = attribute(&mut rest, "r", "no nonce")?;
        if !is_nonce(nonce) {
            return Err(ScramError::Malformed(
                "non-printable characters in the nonce",
            ));
        }
        Ok(Self { flag, bare, nonce })
    }
}

/// server-first-message.
pub(super) struct ServerFirst<'a> {
    pub(super) nonce: &'a str,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u64,
}

impl<'a> ServerFirst<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, ScramError> {
        if text.starts_with("m=") {
            return Err(ScramError::Extension);
        }
        let mut rest = text;
        let nonce = attribute(&mut rest, "r", "no nonce")?;
        let salt = decode_base64(attribute(&mut rest, "s", "no salt")?, "bad salt")?;
        let iterations = attribute(&mut rest, "i", "no iteration count")?
            .parse()
            .map_err(|_| ScramError::Malformed("bad iteration count"))?;
        if salt.is_empty() {
            return Err(ScramError::Malformed("empty salt"));
        }
        if !is_nonce(nonce) {
            return Err(ScramError::Malformed(
                "non-printable characters in the nonce",
            ));
        }
        Ok(Self {
            nonce,
            salt,
            iterations,
        })
    }
}

/// client-final-message.
pub(super) struct ClientFinal<'a> {
    pub(super) binding: &'a str,
    pub(super) nonce: &'a str,
    /// The part that is signed.
    pub(super) without_proof: &'a str,
    pub(super) proof: [u8; 32],
}

impl<'a> ClientFinal<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, ScramError> {
        let (without_proof, proof) = text
            .rsplit_once(",p=")
            .ok_or(ScramError::Malformed("no proof"))?;
        let mut rest = without_proof;
        let binding = attribute(&mut rest, "c", "no channel binding")?;
        let nonce = attribute(&mut rest, "r", "no nonce")?;
        let proof = decode_base64(proof, "bad proof")?
            .try_into()
            .map_err(|_| ScramError::Malformed("bad proof"))?;
        Ok(Self {
            binding,
            nonce,
            without_proof,
            proof,
        })
    }
}
