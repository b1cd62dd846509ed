//! How the program ends. The numbers are those of sysexits(3), so that a service manager can tell
//! a wrong configuration, which a restart does not mend, from trouble that may pass.

use std::process::ExitCode;

/// Why the program did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked about is not so, and was shown: 1.
    #[error("the answer is no")]
    Different,
    /// The command line or the configuration is wrong: 64.
    #[error("{0}")]
    Usage(String),
    /// The configuration is wrong and every mistake was shown: 64.
    #[error("the configuration is wrong")]
    Shown,
    /// Some of the input is not what it should be; the rest was done: 65.
    #[error("{0}")]
    Data(String),
    /// A port is taken, a service does not answer: 69.
    #[error("{0}")]
    Unavailable(String),
    /// A part stopped that should have run on: 70.
    #[error("{0}")]
    Internal(String),
    /// A file cannot be read or written, the store among them: 74.
    #[error("{0}")]
    Io(String),
}

impl Failure {
    /// The number the process ends with.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Different => 1,
            Self::Usage(_) | Self::Shown => 64,
            Self::Data(_) => 65,
            Self::Unavailable(_) => 69,
            Self::Internal(_) => 70,
            Self::Io(_) => 74,
        }
    }
}

impl From<&Failure> for ExitCode {
    fn from(failure: &Failure) -> Self {
        failure.code().into()
    }
}
