//! The approver over HTTP.
