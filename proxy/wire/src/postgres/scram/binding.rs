//! What a SCRAM exchange can be bound to: the server's certificate (RFC 5929, section 4).

use sha2::{Digest, Sha256, Sha384, Sha512};

/// What the TLS layer can vouch for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ChannelBinding {
    /// No TLS, or a certificate whose hash is not defined.
    #[default]
    None,
    /// Hash of the server's certificate, from [`tls_server_end_point`].
    TlsServerEndPoint(Vec<u8>),
}

impl ChannelBinding {
    /// The binding that a server certificate gives.
    #[must_use]
    pub fn from_certificate(der: &[u8]) -> Self {
        tls_server_end_point(der).map_or(Self::None, Self::TlsServerEndPoint)
    }

    pub(super) fn is_some(&self) -> bool {
        matches!(self, Self::TlsServerEndPoint(_))
    }
}

/// Hashes a certificate with the hash of its own signature, SHA-256 in place of MD5 and SHA-1.
/// `None` for signatures that have no one hash (Ed25519, RSA-PSS) and for what is no certificate.
#[must_use]
pub fn tls_server_end_point(certificate_der: &[u8]) -> Option<Vec<u8>> {
    Some(match signature_hash(certificate_der)? {
        Hash::Sha256 => Sha256::digest(certificate_der).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate_der).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate_der).to_vec(),
    })
}

enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, .. }, .. }
fn signature_hash(der: &[u8]) -> Option<Hash> {
    const SEQUENCE: u8 = 0x30;
    const OBJECT_ID: u8 = 0x06;
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA_SHA2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    const ECDSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];
    let (certificate, _) = element(der, SEQUENCE)?;
    let (_, behind_tbs) = element(certificate, SEQUENCE)?;
    let (algorithm, _) = element(behind_tbs, SEQUENCE)?;
    let (oid, _) = element(algorithm, OBJECT_ID)?;
    if oid == ECDSA_SHA1 {
        return Some(Hash::Sha256);
    }
    let (last, family) = oid.split_last()?;
    match (family, last) {
        // md5, sha1 and sha256 WithRSAEncryption; ecdsa-with-SHA256.
        (RSA, 4 | 5 | 11) | (ECDSA_SHA2, 2) => Some(Hash::Sha256),
        (RSA, 12) | (ECDSA_SHA2, 3) => Some(Hash::Sha384),
        (RSA, 13) | (ECDSA_SHA2, 4) => Some(Hash::Sha512),
        _ => None,
    }
}

/// Contents of the DER element at the front, which must have `tag`, and what is behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&have, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let len = digits
                .iter()
                .fold(0_usize, |len, digit| (len << 8) | usize::from(*digit));
            (len, rest)
        }
        _ => return None,
    };
    (have == tag).then(|| rest.split_at_checked(len)).flatten()
}
