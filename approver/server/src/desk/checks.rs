//! Bounds of what callers send, before anything is stored (invariant 10).

use abeyance_api::{DecideError, DeskError, HoldRequest};

use super::refused;
use crate::limits;

/// Proxies bound what they send; a request past these bounds is a defect or an attack.
pub(super) fn check_request(request: &HoldRequest) -> Result<(), DeskError> {
    let count = request.statements.len();
    if count == 0 || count > limits::STATEMENTS_MAX {
        return refused(format!(
            "a held batch has 1 to {} statements, this one has {count}",
            limits::STATEMENTS_MAX
        ));
    }
    let agent_reason = request.agent_reason.as_deref().unwrap_or_default();
    if agent_reason.chars().count() > limits::REASON_CHARS_MAX {
        return refused(format!(
            "the agent's reason is longer than {} characters",
            limits::REASON_CHARS_MAX
        ));
    }
    let bytes = serde_json::to_vec(request).map_or(usize::MAX, |json| json.len());
    if bytes > limits::REQUEST_BYTES_MAX {
        return refused(format!(
            "the batch is too large to be shown to a reviewer ({bytes} bytes, at most {})",
            limits::REQUEST_BYTES_MAX
        ));
    }
    Ok(())
}

/// One line, no control characters, bounded; nothing when it says nothing.
pub(crate) fn clean_reason(reason: Option<String>) -> Result<Option<String>, DecideError> {
    let Some(reason) = reason else {
        return Ok(None);
    };
    let spaced: String = reason
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let reason = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    if reason.chars().count() > limits::REASON_CHARS_MAX {
        return Err(DecideError::Invalid {
            detail: format!(
                "the reason is longer than {} characters; shorten it",
                limits::REASON_CHARS_MAX
            ),
        });
    }
    Ok(Some(reason).filter(|reason| !reason.is_empty()))
}
