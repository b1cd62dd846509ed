//! SCRAM verifiers as PostgreSQL stores them, made without the product's code.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// Few iterations: a test's password guards nothing.
const ITERATIONS: u32 = 4096;

fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of every length")
    };
    mac.update(data);
    mac.finalize().into_bytes().into()
}

fn salted(password: &[u8], salt: &[u8]) -> [u8; 32] {
    let mut block = hmac(password, &[salt, &1_u32.to_be_bytes()].concat());
    let mut sum = block;
    for _ in 1..ITERATIONS {
        block = hmac(password, &block);
        for (into, byte) in sum.iter_mut().zip(block) {
            *into ^= byte;
        }
    }
    sum
}

/// `SCRAM-SHA-256$4096:salt$stored:server` for an ASCII password (RFC 5802, section 3).
#[must_use]
pub fn verifier(password: &str) -> String {
    let salt = uuid::Uuid::new_v4().into_bytes();
    let key = salted(password.as_bytes(), &salt);
    let stored = Sha256::digest(hmac(&key, b"Client Key"));
    let server = hmac(&key, b"Server Key");
    format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored),
        STANDARD.encode(server)
    )
}
