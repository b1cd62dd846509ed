//! Reading and writing one message at a time, for the parts of a connection that go step by step:
//! start-up, authentication and what the gateway asks of a target on its own account.

use abeyance_wire::postgres::{
    BackendMessage, Direction, ErrorFields, Frame, frame_wanted, split_frame,
};

use crate::{
    error::{SessionError, TargetError},
    io::Link,
};

/// The next message of a client. Cancel-safe.
pub(crate) async fn client_frame(link: &mut Link, max: usize) -> Result<Frame, SessionError> {
    loop {
        if let Some(frame) = split_frame(&mut link.input, Direction::Frontend, max)? {
            return Ok(frame);
        }
        if link.fill().await.map_err(SessionError::ClientIo)? == 0 {
            return Err(SessionError::ClientGone);
        }
    }
}

/// The next message of a target. Cancel-safe.
pub(crate) async fn target_frame(link: &mut Link, max: usize) -> Result<Frame, TargetError> {
    loop {
        let split = split_frame(&mut link.input, Direction::Backend, max);
        if let Some(frame) = split.map_err(|error| TargetError::Malformed(error.to_string()))? {
            return Ok(frame);
        }
        let missing = frame_wanted(&link.input).saturating_sub(link.input.len());
        link.input.reserve(missing.min(max));
        if link.fill().await.map_err(TargetError::Io)? == 0 {
            return Err(TargetError::Gone);
        }
    }
}

/// The next message of a target, with its meaning. Cancel-safe.
pub(crate) async fn target_message(
    link: &mut Link,
    max: usize,
) -> Result<BackendMessage, TargetError> {
    let frame = target_frame(link, max).await?;
    BackendMessage::decode(&frame).map_err(|error| TargetError::Malformed(error.to_string()))
}

/// Sends what is queued for a client.
pub(crate) async fn client_flush(link: &mut Link) -> Result<(), SessionError> {
    link.flush().await.map_err(SessionError::ClientIo)
}

/// Queues a message for a client.
pub(crate) fn client_send(link: &mut Link, message: &BackendMessage) -> Result<(), SessionError> {
    Ok(link.outbox.encode(|out| message.encode(out))?)
}

/// Queues an ErrorResponse for a client.
pub(crate) fn client_send_error(link: &mut Link, fields: &ErrorFields) {
    link.outbox.encode(|out| fields.encode_error(out));
}
