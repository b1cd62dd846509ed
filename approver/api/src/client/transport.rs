//! One call: send, read within bounds, tell apart what happened.

use std::{sync::atomic::Ordering, time::Duration};

use reqwest::{Method, Response, StatusCode, Url};
use secrecy::ExposeSecret as _;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{HttpDesk, limits, unavailable};
use crate::DeskError;

const REQUEST_ID: &str = "abeyance-request-id";
/// Which proxy asks: its holds end with its lease.
const PROXY_ID: &str = "abeyance-proxy";

/// A call that can be sent again as it is.
#[derive(Debug, Clone)]
pub(super) struct Call {
    method: Method,
    path: String,
    body: Option<Vec<u8>>,
    request_id: Option<Uuid>,
    timeout: Duration,
}

impl Call {
    pub(super) fn get(path: String) -> Self {
        Self {
            method: Method::GET,
            path,
            body: None,
            request_id: None,
            timeout: limits::CALL_TIMEOUT,
        }
    }

    pub(super) fn post<B: Serialize>(path: String, body: &B) -> Result<Self, DeskError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| unavailable(format!("the request is no JSON: {error}")))?;
        Ok(Self {
            method: Method::POST,
            body: Some(body),
            ..Self::get(path)
        })
    }

    /// Under this id a repetition finds what the first try did.
    pub(super) fn with_id(self, id: Uuid) -> Self {
        Self {
            request_id: Some(id),
            ..self
        }
    }

    pub(super) fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
}

/// Why there is no answer. `E` is the error the approver itself answers with.
#[derive(Debug)]
pub(super) enum Failure<E> {
    /// The approver did not see the call.
    Undelivered(String),
    /// The approver may have seen and done it.
    Lost(String),
    /// It was not let in, or not understood: repeating it is no use.
    Refused(String),
    /// The approver's own answer.
    Answered(E),
}

/// An answer, or none yet.
#[derive(Debug)]
pub(super) enum Answer<T> {
    Value(T),
    Nothing,
}

/// What one try came to, and whether another approver might answer better.
struct Tried<T, E> {
    answer: Result<Answer<T>, Failure<E>>,
    elsewhere: bool,
}

impl HttpDesk {
    /// One try.
    pub(super) async fn send<T, E>(&self, call: &Call) -> Result<Answer<T>, Failure<E>>
    where
        T: DeserializeOwned,
        E: DeserializeOwned,
    {
        self.attempt(call).await.answer
    }

    /// One try at the present address. One that does not answer, or cannot now, is left for the next.
    async fn attempt<T, E>(&self, call: &Call) -> Tried<T, E>
    where
        T: DeserializeOwned,
        E: DeserializeOwned,
    {
        let turn = self.0.turn.load(Ordering::Relaxed);
        let bases = &self.0.bases;
        let Some(base) = bases.get(turn % bases.len().max(1)) else {
            let answer = Err(Failure::Undelivered("no address is known".to_owned()));
            return Tried {
                answer,
                elsewhere: false,
            };
        };
        let tried = match self.call(base, call).await {
            Ok((status, body)) => Tried {
                elsewhere: status == StatusCode::SERVICE_UNAVAILABLE,
                answer: answer(status, &body),
            },
            Err(failure) => Tried {
                elsewhere: true,
                answer: Err(failure),
            },
        };
        if tried.elsewhere && bases.len() > 1 {
            // Whoever was first moves on; the others follow.
            let next = turn.wrapping_add(1);
            let _moved =
                self.0
                    .turn
                    .compare_exchange(turn, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        tried
    }

    async fn call<E>(&self, base: &Url, call: &Call) -> Result<(StatusCode, Vec<u8>), Failure<E>> {
        let url = format!(
            "{}/api/v1{}",
            base.as_str().trim_end_matches('/'),
            call.path
        );
        let mut request = self
            .0
            .client
            .request(call.method.clone(), url)
            .timeout(call.timeout)
            .header(PROXY_ID, self.0.proxy.to_string())
            .bearer_auth(self.0.token.expose_secret());
        if let Some(id) = call.request_id {
            request = request.header(REQUEST_ID, id.to_string());
        }
        if let Some(body) = &call.body {
            request = request
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        let response = request.send().await.map_err(|error| lost(&error))?;
        let status = response.status();
        Ok((status, read(response).await?))
    }

    /// Tries until there is an answer of an approver's own. For calls that may be repeated.
    pub(super) async fn send_again<T, E>(&self, call: &Call) -> Result<Answer<T>, Failure<E>>
    where
        T: DeserializeOwned,
        E: DeserializeOwned,
    {
        self.send_doubting(call, &mut false).await
    }

    /// The same; `doubt` becomes true when a try may have arrived, and what it did was never heard.
    pub(super) async fn send_doubting<T, E>(
        &self,
        call: &Call,
        doubt: &mut bool,
    ) -> Result<Answer<T>, Failure<E>>
    where
        T: DeserializeOwned,
        E: DeserializeOwned,
    {
        let approvers = u32::try_from(self.0.bases.len()).unwrap_or(u32::MAX);
        let tries_max = limits::TRIES.max(approvers.saturating_mul(2));
        let mut pause = limits::RETRY_PAUSE;
        let mut tries = 1;
        loop {
            let tried = self.attempt(call).await;
            let again = match &tried.answer {
                Err(Failure::Undelivered(_) | Failure::Lost(_)) => true,
                // Its store is away, or it stops: another one may do.
                Err(Failure::Answered(_)) => tried.elsewhere && approvers > 1,
                Ok(_) | Err(Failure::Refused(_)) => false,
            };
            *doubt |= match &tried.answer {
                Err(Failure::Lost(_)) => true,
                // A store that is away may have taken it and not said so.
                Err(Failure::Answered(_)) => tried.elsewhere,
                Ok(_) | Err(Failure::Undelivered(_) | Failure::Refused(_)) => false,
            };
            if !again || tries >= tries_max {
                return tried.answer;
            }
            tracing::debug!(tries, path = %call.path, "trying again");
            if tries % approvers == 0 {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            tries += 1;
        }
    }
}

fn answer<T, E>(status: StatusCode, body: &[u8]) -> Result<Answer<T>, Failure<E>>
where
    T: DeserializeOwned,
    E: DeserializeOwned,
{
    if status == StatusCode::NO_CONTENT {
        return Ok(Answer::Nothing);
    }
    if !status.is_success() {
        return Err(refusal(status, body));
    }
    serde_json::from_slice(body)
        .map(Answer::Value)
        .map_err(|_| {
            Failure::Lost("its answer was not understood; are both of the same version?".into())
        })
}

fn lost<E>(error: &reqwest::Error) -> Failure<E> {
    let why = if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    let cause = innermost(error);
    let detail = format!("{why} ({cause})");
    if error.is_connect() || error.is_builder() {
        Failure::Undelivered(detail)
    } else {
        Failure::Lost(detail)
    }
}

/// The cause at the bottom says most: refused, unknown host, bad certificate.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

async fn read<E>(mut response: Response) -> Result<Vec<u8>, Failure<E>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
        if body.len() + chunk.len() > limits::ANSWER_BYTES_MAX {
            return Err(Failure::Lost("its answer is too large".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The approver's own error, or whatever else the status says.
fn refusal<E: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Failure<E> {
    if let Ok(error) = serde_json::from_slice(body) {
        return Failure::Answered(error);
    }
    let detail = match serde_json::from_slice(body) {
        Ok(DeskError::Refused { detail }) => detail,
        Ok(error) => error.to_string(),
        Err(_) => format!("it answered with status {}", status.as_u16()),
    };
    if status.is_server_error() {
        Failure::Lost(detail)
    } else {
        Failure::Refused(detail)
    }
}
