//! MD5 authentication towards targets that ask for nothing better.
//!
//! Broken as a hash and offered to no client: only an upstream that insists gets it.

use bytes::Bytes;
use md5::{Digest, Md5};
use std::fmt::Write as _;
use zeroize::Zeroizing;

use super::{error::EncodeError, frontend::PasswordMessage};

/// Answers an MD5 request: `md5` and the hex of `md5(hex(md5(password + user)) + salt)`.
///
/// # Errors
/// Never in practice: the answer is hex.
pub fn md5_password(
    user: &str,
    password: &str,
    salt: [u8; 4],
) -> Result<PasswordMessage, EncodeError> {
    let inner = hex(&[password.as_bytes(), user.as_bytes()]);
    let outer = hex(&[inner.as_bytes(), &salt]);
    PasswordMessage::new(&format!("md5{}", outer.as_str()))
}

fn hex(parts: &[&[u8]]) -> Zeroizing<String> {
    let mut hash = Md5::new();
    parts.iter().for_each(|part| hash.update(part));
    let mut text = Zeroizing::new(String::with_capacity(32));
    for byte in Bytes::copy_from_slice(&hash.finalize()) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_libpq_does() {
        // Computed with Python's hashlib from the formula in the protocol manual.
        let answer = md5_password("md5_user", "password", [0x2a, 0x3d, 0x8f, 0xe0]).unwrap();
        assert_eq!(answer.as_bytes(), b"md562af4dd09bbb41884907a838a3233294");
    }
}
