//! Who calls. A handler takes the proof of its caller's scope as an argument, so a call
//! without a check does not compile.

use abeyance_api::PersonId;
use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use secrecy::SecretString;

use super::reply::Unauthorised;
use crate::{
    Approver,
    config::{ApiToken, TokenHash, TokenScope},
};

/// The API's tokens, as hashes: comparing those in constant time tells nothing of the tokens.
#[derive(Debug)]
pub(crate) struct Tokens(Vec<(String, TokenHash, TokenScope)>);

impl Tokens {
    pub(crate) fn new(tokens: &[ApiToken]) -> Self {
        let hashed = tokens.iter().map(|token| {
            (
                token.name.clone(),
                TokenHash::of(&token.secret),
                token.scope,
            )
        });
        Self(hashed.collect())
    }

    /// Looks at every token, whichever matches.
    fn scope_of(&self, presented: &TokenHash) -> Option<(&str, TokenScope)> {
        let mut found = None;
        for (name, hash, scope) in &self.0 {
            if hash.matches(presented) {
                found = Some((name.as_str(), *scope));
            }
        }
        found
    }
}

/// A caller with a proxy's token.
pub(super) struct Proxy(());

/// A caller with a bot's token.
pub(super) struct Bot(());

/// A caller who may look and decide: a bot for the people it authenticated, or a person with
/// their own console token, for themselves alone.
pub(super) enum Decider {
    Bot,
    Person(PersonId),
}

impl FromRequestParts<Approver> for Proxy {
    type Rejection = Unauthorised;
    async fn from_request_parts(parts: &mut Parts, app: &Approver) -> Result<Self, Unauthorised> {
        only(TokenScope::Proxy, parts, app).map(|()| Self(()))
    }
}

impl FromRequestParts<Approver> for Bot {
    type Rejection = Unauthorised;
    async fn from_request_parts(parts: &mut Parts, app: &Approver) -> Result<Self, Unauthorised> {
        only(TokenScope::Bot, parts, app).map(|()| Self(()))
    }
}

impl FromRequestParts<Approver> for Decider {
    type Rejection = Unauthorised;
    async fn from_request_parts(parts: &mut Parts, app: &Approver) -> Result<Self, Unauthorised> {
        match caller(parts, app)? {
            Caller::Token(TokenScope::Bot) => Ok(Self::Bot),
            Caller::Person(id) => Ok(Self::Person(id)),
            Caller::Token(TokenScope::Proxy) => Err(Unauthorised::WrongScope),
        }
    }
}

fn only(wanted: TokenScope, parts: &Parts, app: &Approver) -> Result<(), Unauthorised> {
    match caller(parts, app)? {
        Caller::Token(scope) if scope == wanted => Ok(()),
        Caller::Token(_) | Caller::Person(_) => Err(Unauthorised::WrongScope),
    }
}

enum Caller {
    Token(TokenScope),
    Person(PersonId),
}

fn caller(parts: &Parts, app: &Approver) -> Result<Caller, Unauthorised> {
    let presented = parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or(Unauthorised::NoToken)?;
    let presented = TokenHash::of(&SecretString::from(presented.trim()));
    if let Some((name, scope)) = app.0.tokens.scope_of(&presented) {
        tracing::trace!(token = name, "API call");
        return Ok(Caller::Token(scope));
    }
    if let Some(person) = app.roster().person_by_token(&presented) {
        return Ok(Caller::Person(person.id.clone()));
    }
    tracing::warn!(path = %parts.uri.path(), "an API call with an unknown token");
    Err(Unauthorised::NoToken)
}
