//! Block Kit: what Slack takes and what it refuses.
//!
//! Knows messages and modals as JSON, nothing of channels or people. Stricter than the published types, because
//! those know no lengths, and stricter than the SDKs, because those know no counts over the whole message.
//! A block or element type missing from [`schema`] is refused, even if Slack has it.

mod checker;
mod normal;
mod rich_text;
mod schema;

use serde_json::Value;

use checker::Checker;
pub(crate) use normal::{block_text, fill_in, texts};

pub(crate) const MESSAGE_BLOCKS_MAX: usize = 50;
pub(crate) const VIEW_BLOCKS_MAX: usize = 100;
/// Slack publishes no figure; whole messages fail at about this many characters of block text.
pub(crate) const BLOCK_TEXT_MAX: usize = 13_000;
pub(crate) const VIEW_BYTES_MAX: usize = 250_000;

/// Why blocks or a view were refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not a JSON array of objects at all.
    Format,
    /// One line a fault, with a JSON pointer, as Slack words them.
    Invalid(Vec<String>),
    /// Every block is fine, but together they are too long.
    TooLong,
}

/// Checks the `blocks` of a message.
pub(crate) fn check_message(blocks: &Value) -> Result<(), Refusal> {
    let Some(list) = blocks.as_array() else {
        return Err(Refusal::Format);
    };
    if !list.iter().all(Value::is_object) {
        return Err(Refusal::Format);
    }
    let mut checker = Checker::default();
    if list.len() > MESSAGE_BLOCKS_MAX {
        checker.fail(
            "/blocks",
            &format!("no more than {MESSAGE_BLOCKS_MAX} items allowed"),
        );
    }
    checker.blocks(list, "/blocks", checker::Surface::Message);
    checker.finish()?;
    if block_text(blocks).chars().count() > BLOCK_TEXT_MAX {
        return Err(Refusal::TooLong);
    }
    Ok(())
}

/// Checks the `view` of `views.open` and its like.
pub(crate) fn check_view(view: &Value) -> Result<(), Refusal> {
    if !view.is_object() {
        return Err(Refusal::Format);
    }
    let mut checker = Checker::default();
    checker.view(view);
    checker.finish()?;
    if view.to_string().len() > VIEW_BYTES_MAX {
        return Err(Refusal::TooLong);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
