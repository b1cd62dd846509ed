//! The ready file: where the process listens, for whoever started it with port 0.

use std::{net::SocketAddr, path::Path};

use serde::Serialize;

use crate::exit::Failure;

/// What the file holds. A part that does not run has no key.
#[derive(Debug, Serialize)]
pub struct Ready {
    pub pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approver: Option<SocketAddr>,
}

/// Writes the file in one step, so that a reader never sees half of it.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(path: &Path, ready: &Ready) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::Io(format!("the ready file {}: {error}", path.display()))
    };
    let text = serde_json::to_string(ready).map_err(|error| failed(&error))?;
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    std::fs::write(&part, text).map_err(|error| failed(&error))?;
    std::fs::rename(&part, path).map_err(|error| failed(&error))
}
