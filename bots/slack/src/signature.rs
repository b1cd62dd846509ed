//! Slack's request signature, version 0, over the raw body
//! (<https://docs.slack.dev/authentication/verifying-requests-from-slack>).
//!
//! [`Signed`] is the proof: only [`Verifier::verify`] makes one, once for each signature, and the form
//! inside can be read only through it.

use std::{collections::HashMap, sync::Mutex};

use axum::http::HeaderMap;
use bytes::Bytes;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::limits;

const TIMESTAMP: &str = "x-slack-request-timestamp";
const SIGNATURE: &str = "x-slack-signature";

type Digest = [u8; 32];

/// A body that Slack signed, lately, and that was not seen before.
#[derive(Debug)]
pub(crate) struct Signed {
    body: Bytes,
}

impl Signed {
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// Why a request is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsigned {
    #[error("the signature or its timestamp is missing or malformed")]
    Malformed,
    #[error("the timestamp is too far from this server's clock")]
    Stale,
    #[error("the signature does not match: check the signing secret")]
    Mismatch,
    #[error("this request was handled before")]
    Replayed,
    #[error("too many requests")]
    Full,
}

/// The parts of the signature that can be checked before the body is read.
#[derive(Debug)]
pub(crate) struct Claimed {
    timestamp: i64,
    /// As it was sent: it is what was signed.
    timestamp_text: String,
    digest: Digest,
}

pub(crate) struct Verifier {
    secret: SecretString,
    seen: Mutex<HashMap<Digest, i64>>,
}

impl Verifier {
    pub fn new(secret: SecretString) -> Self {
        Self {
            secret,
            seen: Mutex::default(),
        }
    }

    /// Reads the headers: cheap, and enough to refuse most noise without reading its body.
    pub fn claim(&self, headers: &HeaderMap, now: i64) -> Result<Claimed, Unsigned> {
        let text = |name| single(headers, name).ok_or(Unsigned::Malformed);
        let timestamp_text = text(TIMESTAMP)?;
        let digits =
            timestamp_text.len() <= 12 && timestamp_text.bytes().all(|b| b.is_ascii_digit());
        let timestamp: i64 = timestamp_text.parse().map_err(|_| Unsigned::Malformed)?;
        let mut digest = Digest::default();
        let signature = text(SIGNATURE)?
            .strip_prefix("v0=")
            .ok_or(Unsigned::Malformed)?;
        hex::decode_to_slice(signature, &mut digest).map_err(|_| Unsigned::Malformed)?;
        if !digits {
            return Err(Unsigned::Malformed);
        }
        if !fresh(timestamp, now) {
            return Err(Unsigned::Stale);
        }
        Ok(Claimed {
            timestamp,
            timestamp_text: timestamp_text.to_owned(),
            digest,
        })
    }

    /// Checks the body against what was claimed, and remembers the signature.
    pub fn verify(&self, claimed: &Claimed, body: Bytes, now: i64) -> Result<Signed, Unsigned> {
        let expected = self
            .digest(&claimed.timestamp_text, &body)
            .ok_or(Unsigned::Mismatch)?;
        if !bool::from(expected.ct_eq(&claimed.digest)) {
            return Err(Unsigned::Mismatch);
        }
        if !fresh(claimed.timestamp, now) {
            return Err(Unsigned::Stale);
        }
        self.remember(claimed, now)?;
        Ok(Signed { body })
    }

    /// Forgets only what the timestamp window refuses anyway. A full memory refuses: forgetting
    /// early would open the door to replays.
    fn remember(&self, claimed: &Claimed, now: i64) -> Result<(), Unsigned> {
        let mut seen = self
            .seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if seen.contains_key(&claimed.digest) {
            return Err(Unsigned::Replayed);
        }
        if seen.len() >= limits::REPLAY_ENTRIES_MAX {
            seen.retain(|_, timestamp| fresh(*timestamp, now));
        }
        if seen.len() >= limits::REPLAY_ENTRIES_MAX {
            return Err(Unsigned::Full);
        }
        seen.insert(claimed.digest, claimed.timestamp);
        Ok(())
    }

    fn digest(&self, timestamp: &str, body: &[u8]) -> Option<Digest> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.secret.expose_secret().as_bytes()).ok()?;
        for part in [b"v0:", timestamp.as_bytes(), b":", body] {
            mac.update(part);
        }
        Some(mac.finalize().into_bytes().into())
    }
}

fn fresh(timestamp: i64, now: i64) -> bool {
    now.abs_diff(timestamp) <= limits::TIMESTAMP_WINDOW_SECS.unsigned_abs()
}

/// A header that is there exactly once.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of Slack's documentation.
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const STAMP: &str = "1531420618";
    const NOW: i64 = 1_531_420_618;
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const GOOD: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    fn headers(stamp: &str, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(TIMESTAMP, stamp.parse().unwrap());
        headers.insert(SIGNATURE, signature.parse().unwrap());
        headers
    }

    fn check(
        verifier: &Verifier,
        headers: &HeaderMap,
        body: &str,
        now: i64,
    ) -> Result<(), Unsigned> {
        let claimed = verifier.claim(headers, now)?;
        verifier
            .verify(&claimed, Bytes::copy_from_slice(body.as_bytes()), now)
            .map(drop)
    }

    fn verifier() -> Verifier {
        Verifier::new(SECRET.into())
    }

    #[test]
    fn the_documented_example_verifies_once() {
        let verifier = verifier();
        assert_eq!(check(&verifier, &headers(STAMP, GOOD), BODY, NOW), Ok(()));
        assert_eq!(
            check(&verifier, &headers(STAMP, GOOD), BODY, NOW + 60),
            Err(Unsigned::Replayed)
        );
        let shouted = GOOD.to_uppercase().replace("V0=", "v0=");
        assert_eq!(
            check(&verifier, &headers(STAMP, &shouted), BODY, NOW),
            Err(Unsigned::Replayed)
        );
    }

    #[test]
    fn anything_else_does_not() {
        let flipped = GOOD.replace("a2114", "a2115");
        let cases = [
            (headers(STAMP, &flipped), BODY, NOW, Unsigned::Mismatch),
            (headers(STAMP, GOOD), &BODY[1..], NOW, Unsigned::Mismatch),
            (headers("1531420619", GOOD), BODY, NOW, Unsigned::Mismatch),
            (headers("01531420618", GOOD), BODY, NOW, Unsigned::Mismatch),
            (headers(STAMP, GOOD), BODY, NOW + 301, Unsigned::Stale),
            (headers(STAMP, GOOD), BODY, NOW - 301, Unsigned::Stale),
            (headers("-1531420618", GOOD), BODY, NOW, Unsigned::Malformed),
            (headers("+1531420618", GOOD), BODY, NOW, Unsigned::Malformed),
            (
                headers("99999999999999999999", GOOD),
                BODY,
                NOW,
                Unsigned::Malformed,
            ),
            (headers(STAMP, &GOOD[3..]), BODY, NOW, Unsigned::Malformed),
            (headers(STAMP, "v0=abcd"), BODY, NOW, Unsigned::Malformed),
            (
                headers(STAMP, &format!("{GOOD}00")),
                BODY,
                NOW,
                Unsigned::Malformed,
            ),
            (HeaderMap::new(), BODY, NOW, Unsigned::Malformed),
        ];
        for (headers, body, now, want) in cases {
            assert_eq!(
                check(&verifier(), &headers, body, now),
                Err(want),
                "{headers:?}"
            );
        }
        let mut twice = headers(STAMP, GOOD);
        twice.append(SIGNATURE, GOOD.parse().unwrap());
        assert_eq!(
            check(&verifier(), &twice, BODY, NOW),
            Err(Unsigned::Malformed)
        );
        let other = Verifier::new("another".into());
        assert_eq!(
            check(&other, &headers(STAMP, GOOD), BODY, NOW),
            Err(Unsigned::Mismatch)
        );
    }

    #[test]
    fn the_memory_is_bounded_and_never_forgets_what_could_be_replayed() {
        let verifier = verifier();
        let fill = |at: i64| {
            let mut seen = verifier.seen.lock().unwrap();
            for n in 0..limits::REPLAY_ENTRIES_MAX as u64 {
                let mut digest = Digest::default();
                digest[..8].copy_from_slice(&n.to_be_bytes());
                seen.insert(digest, at);
            }
        };
        fill(NOW);
        assert_eq!(
            check(&verifier, &headers(STAMP, GOOD), BODY, NOW),
            Err(Unsigned::Full)
        );
        fill(NOW - 400);
        assert_eq!(check(&verifier, &headers(STAMP, GOOD), BODY, NOW), Ok(()));
        assert_eq!(verifier.seen.lock().unwrap().len(), 1);
    }
}
