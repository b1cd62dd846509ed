//! SQLSTATE codes, as PostgreSQL's appendix A names them.

use std::fmt;

/// Five characters that say what kind of error this is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState([u8; 5]);

impl SqlState {
    pub const CONNECTION_FAILURE: Self = Self(*b"08006");
    pub const CANNOT_CONNECT: Self = Self(*b"08001");
    pub const PROTOCOL_VIOLATION: Self = Self(*b"08P01");
    pub const FEATURE_NOT_SUPPORTED: Self = Self(*b"0A000");
    pub const ACTIVE_SQL_TRANSACTION: Self = Self(*b"25001");
    pub const READ_ONLY_TRANSACTION: Self = Self(*b"25006");
    pub const NO_ACTIVE_TRANSACTION: Self = Self(*b"25P01");
    pub const IN_FAILED_SQL_TRANSACTION: Self = Self(*b"25P02");
    pub const INVALID_STATEMENT_NAME: Self = Self(*b"26000");
    pub const INVALID_AUTHORIZATION: Self = Self(*b"28000");
    pub const INVALID_PASSWORD: Self = Self(*b"28P01");
    pub const INVALID_CURSOR_NAME: Self = Self(*b"34000");
    pub const INVALID_CATALOG_NAME: Self = Self(*b"3D000");
    pub const INSUFFICIENT_PRIVILEGE: Self = Self(*b"42501");
    pub const SYNTAX_ERROR: Self = Self(*b"42601");
    pub const NAME_TOO_LONG: Self = Self(*b"42622");
    pub const RESERVED_NAME: Self = Self(*b"42939");
    pub const DUPLICATE_STATEMENT: Self = Self(*b"42P05");
    pub const TOO_MANY_CONNECTIONS: Self = Self(*b"53300");
    pub const PROGRAM_LIMIT_EXCEEDED: Self = Self(*b"54000");
    pub const OBJECT_NOT_IN_PREREQUISITE_STATE: Self = Self(*b"55000");
    pub const QUERY_CANCELED: Self = Self(*b"57014");
    pub const ADMIN_SHUTDOWN: Self = Self(*b"57P01");
    pub const CANNOT_CONNECT_NOW: Self = Self(*b"57P03");
    pub const IDLE_SESSION_TIMEOUT: Self = Self(*b"57P05");
    pub const SUCCESSFUL: Self = Self(*b"00000");
    pub const WARNING: Self = Self(*b"01000");
    pub const INVALID_PARAMETER_VALUE: Self = Self(*b"22023");
    pub const INTERNAL_ERROR: Self = Self(*b"XX000");

    /// Reads five digits or capitals; anything else is no SQLSTATE.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let code: [u8; 5] = bytes.try_into().ok()?;
        code.iter()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
            .then_some(Self(code))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII can get in, so the fallback is never taken.
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }

    /// The first two characters: the class of the error.
    #[must_use]
    pub fn class(&self) -> &str {
        self.as_str().get(..2).unwrap_or_default()
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqlState({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_five_digits_or_capitals_are_a_state() {
        assert_eq!(
            SqlState::from_bytes(b"42501"),
            Some(SqlState::INSUFFICIENT_PRIVILEGE)
        );
        for bad in [&b""[..], b"4250", b"425011", b"42p01", b"42\xff01"] {
            assert_eq!(SqlState::from_bytes(bad), None, "{bad:?}");
        }
        assert_eq!(SqlState::CANNOT_CONNECT_NOW.class(), "57");
    }
}
