//! What was typed as words, people and commas, and the reason behind it.

use std::{collections::VecDeque, mem};

use abeyance_api::Named;

use super::parse::Run;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Comma,
    Person(Named),
}

/// What stands before `because`, and what after it.
#[derive(Debug, Default)]
pub(super) struct Typed {
    pub(super) tokens: VecDeque<Token>,
    pub(super) reason: Option<String>,
}

pub(super) fn typed(runs: &[Run]) -> Typed {
    let mut typed = Typed::default();
    for run in runs {
        match (run, &mut typed.reason) {
            (Run::Text(text), Some(reason)) => reason.push_str(text),
            (Run::Person { shown, .. }, Some(reason)) => reason.push_str(shown),
            (Run::Person { named, .. }, None) => {
                typed.tokens.push_back(Token::Person(named.clone()));
            }
            (Run::Text(text), None) => {
                let (before, after) = at_because(text);
                typed.tokens.extend(tokens(before));
                typed.reason = after.map(ToOwned::to_owned);
            }
        }
    }
    typed
}

/// Splits at the first word `because`.
fn at_because(text: &str) -> (&str, Option<&str>) {
    const BECAUSE: &str = "because";
    let mut at = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        if word.trim().eq_ignore_ascii_case(BECAUSE) {
            return (&text[..at], Some(&text[at + word.len()..]));
        }
        at += word.len();
    }
    (text, None)
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for word in text.split_whitespace() {
        let mut rest = String::new();
        let word_ends = |rest: &mut String, tokens: &mut Vec<Token>| {
            if !rest.is_empty() {
                tokens.push(Token::Word(mem::take(rest)));
            }
        };
        for c in word.chars() {
            if c == ',' {
                word_ends(&mut rest, &mut tokens);
                tokens.push(Token::Comma);
            } else {
                rest.push(c);
            }
        }
        word_ends(&mut rest, &mut tokens);
    }
    tokens
}

pub(super) fn said(token: &Token) -> String {
    match token {
        Token::Word(word) => word.clone(),
        Token::Comma => ",".to_owned(),
        Token::Person(Named::Name { name }) => format!("@{name}"),
        Token::Person(Named::Slack { user }) => format!("@{user}"),
    }
}
