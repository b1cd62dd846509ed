//! A password that logs in often: the slow part is done once.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use zeroize::Zeroizing;

use super::verifier::Keys;

/// A password and the keys that followed from it the last time. A target gives the same salt each time,
/// so only its first login pays for PBKDF2. Share one for each user of each target.
pub struct ScramPassword {
    text: Zeroizing<String>,
    last: Mutex<Option<Derived>>,
}

/// Keys with what they were derived from.
struct Derived {
    salt: Vec<u8>,
    iterations: u32,
    keys: Arc<Keys>,
}

impl ScramPassword {
    #[must_use]
    pub fn new(password: &str) -> Self {
        Self {
            text: Zeroizing::new(password.to_owned()),
            last: Mutex::new(None),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The keys for a salt and a count that are within bounds.
    pub(super) fn keys(&self, salt: &[u8], iterations: u32) -> Arc<Keys> {
        if let Some(known) = self.known(salt, iterations) {
            return known;
        }
        // Without the lock: logins that come meanwhile derive for themselves rather than queue.
        let keys = Arc::new(Keys::derive(&self.text, salt, iterations));
        let derived = Derived {
            salt: salt.to_vec(),
            iterations,
            keys: keys.clone(),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(derived);
        keys
    }

    fn known(&self, salt: &[u8], iterations: u32) -> Option<Arc<Keys>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref()
            .filter(|last| last.salt == salt && last.iterations == iterations)
            .map(|last| last.keys.clone())
    }
}

impl fmt::Debug for ScramPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramPassword([redacted])")
    }
}
