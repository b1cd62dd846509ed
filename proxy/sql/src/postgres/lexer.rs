//! PostgreSQL's lexical structure, linear in the input.
//!
//! Follows `scan.l` of PostgreSQL 18 and the manual's chapter 4.1. It decides nothing about
//! meaning: it finds where literals and comments are (redaction) and how much work the
//! grammar will have (bounds). Knows no keywords and no tree.

/// What a token is, as far as redaction and bounds care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// An unquoted identifier or keyword.
    Word,
    /// `"..."` or `U&"..."`.
    QuotedIdent,
    /// A constant in quotes: plain, E, B, X, N, U& or dollar-quoted, with its continuations.
    String,
    Number,
    /// `$1`.
    Param,
    /// One or more operator characters, or `::`, `:=`.
    Operator,
    /// `( ) [ ] , ; . :` and anything else that stands alone.
    Punct(u8),
}

/// A token's place in the input, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
}

impl Token {
    pub(super) fn is_semicolon(self) -> bool {
        self.kind == TokenKind::Punct(b';')
    }

    pub(super) fn text(self, sql: &str) -> &str {
        sql.get(self.start..self.end).unwrap_or_default()
    }
}

/// Why the text has no further token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LexError {
    /// A constant, comment or quoted identifier that never ends.
    Unterminated,
    /// Something the grammar's own lexer would spend more than linear time on.
    Costly { limit: &'static str, value: usize },
}

/// Longest operator; the server knows none over 63 characters.
const OPERATOR_MAX: usize = 64;
/// Longest run of operator characters where a comment opens, such as a ruled line of stars.
const COMMENT_RUN_MAX: usize = 4096;
/// Characters the grammar's lexer looks at again, over the whole text: it reads every run of
/// operator characters to its end wherever a comment opens in it.
const LOOKED_AT_AGAIN_MAX: usize = 500_000;

/// Reads tokens from left to right.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    /// A plain quote starts a string without backslash escapes.
    standard_strings: bool,
    looked_at_again: usize,
    comment_ends_at_return: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8], standard_strings: bool) -> Self {
        Self {
            text,
            at: 0,
            standard_strings,
            looked_at_again: 0,
            comment_ends_at_return: false,
        }
    }

    /// A `--` comment so far ended at a carriage return with no line feed after it: the server reads on
    /// where most programs, and people, still see the comment.
    pub(super) fn comment_ends_at_return(&self) -> bool {
        self.comment_ends_at_return
    }

    /// The next token, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token>, LexError> {
        self.skip_blank()?;
        let start = self.at;
        let Some(byte) = self.peek(0) else {
            return Ok(None);
        };
        let kind = match byte {
            b'\'' => self.string(!self.standard_strings)?,
            b'"' => self.quoted_ident()?,
            b'$' => self.dollar()?,
            b'0'..=b'9' => self.number(),
            b'.' if matches!(self.peek(1), Some(b'0'..=b'9')) => self.number(),
            // Two dots are one token, of PL/pgSQL; a number after them starts anew.
            b'.' if self.peek(1) == Some(b'.') => {
                self.at += 2;
                TokenKind::Operator
            }
            b':' => self.colon(),
            _ if is_word_start(byte) => self.word_or_prefixed()?,
            _ if is_operator(byte) => self.operator()?,
            _ => {
                self.at += 1;
                TokenKind::Punct(byte)
            }
        };
        Ok(Some(Token {
            kind,
            start,
            end: self.at,
        }))
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_blank(&mut self) -> Result<(), LexError> {
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(byte), _) if is_space(byte) => self.at += 1,
                (Some(b'-'), Some(b'-')) => self.line_comment(),
                (Some(b'/'), Some(b'*')) => self.block_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn line_comment(&mut self) {
        let rest = self.rest();
        let length = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        self.at += length.unwrap_or(rest.len());
        self.comment_ends_at_return |=
            self.peek(0) == Some(b'\r') && self.peek(1).is_some_and(|byte| byte != b'\n');
    }

    /// Comments nest.
    fn block_comment(&mut self) -> Result<(), LexError> {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => {
                    self.look_again()?;
                    depth += 1;
                    self.at += 2;
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return Err(LexError::Unterminated),
            }
        }
    }

    /// The run of operator characters here, which the grammar's lexer reads to its end.
    fn look_again(&mut self) -> Result<usize, LexError> {
        let probe = self.rest().iter().take(COMMENT_RUN_MAX + 1);
        let run = probe.take_while(|byte| is_operator(**byte)).count();
        bound("run of operator characters", run, COMMENT_RUN_MAX)?;
        self.looked_at_again += run;
        let total = self.looked_at_again;
        bound("text read twice", total, LOOKED_AT_AGAIN_MAX)?;
        Ok(run)
    }

    fn string(&mut self, escapes: bool) -> Result<TokenKind, LexError> {
        loop {
            self.at += 1;
            self.string_segment(escapes)?;
            let (continues, looked_to, returned) = self.continuation();
            self.comment_ends_at_return |= returned;
            if !continues {
                // What was looked at is read again, here and by the grammar's lexer.
                self.looked_at_again += looked_to - self.at;
                let total = self.looked_at_again;
                bound("text read twice", total, LOOKED_AT_AGAIN_MAX)?;
                return Ok(TokenKind::String);
            }
            self.at = looked_to;
        }
    }

    /// From after the opening quote to after the closing one.
    fn string_segment(&mut self, escapes: bool) -> Result<(), LexError> {
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'\''), Some(b'\'')) => self.at += 2,
                (Some(b'\''), _) => {
                    self.at += 1;
                    return Ok(());
                }
                (Some(b'\\'), Some(_)) if escapes => self.at += 2,
                (Some(_), _) => self.at += 1,
                (None, _) => return Err(LexError::Unterminated),
            }
        }
    }

    /// Whether the string continues after white space with a line break in it, where that was found
    /// out (at the quote if it does), and whether a comment on the way ended at a carriage return.
    fn continuation(&self) -> (bool, usize, bool) {
        let mut look = Self {
            text: self.text,
            at: self.at,
            standard_strings: self.standard_strings,
            looked_at_again: 0,
            comment_ends_at_return: false,
        };
        let mut broken = false;
        loop {
            match (look.peek(0), look.peek(1)) {
                (Some(b'\n' | b'\r'), _) => {
                    broken = true;
                    look.at += 1;
                }
                (Some(byte), _) if is_space(byte) => look.at += 1,
                (Some(b'-'), Some(b'-')) => look.line_comment(),
                (byte, _) => {
                    let continues = broken && byte == Some(b'\'');
                    return (continues, look.at, look.comment_ends_at_return);
                }
            }
        }
    }

    fn quoted_ident(&mut self) -> Result<TokenKind, LexError> {
        self.at += 1;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'"'), Some(b'"')) => self.at += 2,
                (Some(b'"'), _) => {
                    self.at += 1;
                    return Ok(TokenKind::QuotedIdent);
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return Err(LexError::Unterminated),
            }
        }
    }

    fn dollar(&mut self) -> Result<TokenKind, LexError> {
        if matches!(self.peek(1), Some(b'0'..=b'9')) {
            self.at += 1;
            self.skip_while(|byte| byte.is_ascii_digit());
            return Ok(TokenKind::Param);
        }
        let tag = self.rest().get(1..).and_then(|rest| {
            let length = rest.iter().position(|byte| !is_tag(*byte))?;
            let starts_well = rest.first().is_none_or(|byte| !byte.is_ascii_digit());
            (rest.get(length) == Some(&b'$') && starts_well).then_some(length)
        });
        let Some(tag) = tag else {
            self.at += 1;
            return Ok(TokenKind::Punct(b'$'));
        };
        let delimiter = self.rest().get(..tag + 2).unwrap_or_default();
        self.at += delimiter.len();
        loop {
            let rest = self.rest();
            let Some(dollar) = rest.iter().position(|byte| *byte == b'$') else {
                return Err(LexError::Unterminated);
            };
            self.at += dollar;
            if self.rest().starts_with(delimiter) {
                self.at += delimiter.len();
                return Ok(TokenKind::String);
            }
            self.at += 1;
        }
    }

    /// `1`, `1_000`, `0x1F`, `1.5e-3`, `.5`; not the second dot of `1..2`.
    fn number(&mut self) -> TokenKind {
        let radix: Option<fn(u8) -> bool> = match (self.peek(0), self.peek(1)) {
            (Some(b'0'), Some(b'x' | b'X')) => Some(|byte| byte.is_ascii_hexdigit()),
            (Some(b'0'), Some(b'o' | b'O')) => Some(|byte| matches!(byte, b'0'..=b'7')),
            (Some(b'0'), Some(b'b' | b'B')) => Some(|byte| matches!(byte, b'0' | b'1')),
            _ => None,
        };
        if let Some(is_digit) = radix {
            self.at += 2;
            self.digits(is_digit);
            return TokenKind::Number;
        }
        let is_digit = |byte: u8| byte.is_ascii_digit();
        self.digits(is_digit);
        if self.peek(0) == Some(b'.') && self.peek(1) != Some(b'.') {
            self.at += 1;
            self.digits(is_digit);
        }
        if matches!(self.peek(0), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.peek(1), Some(b'+' | b'-')));
            if self.peek(1 + sign).is_some_and(is_digit) {
                self.at += 1 + sign;
                self.digits(is_digit);
            }
        }
        TokenKind::Number
    }

    /// Digits with single underscores before them or between.
    fn digits(&mut self, is_digit: impl Fn(u8) -> bool) {
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(byte), _) if is_digit(byte) => self.at += 1,
                (Some(b'_'), Some(byte)) if is_digit(byte) => self.at += 2,
                _ => return,
            }
        }
    }

    fn colon(&mut self) -> TokenKind {
        match self.peek(1) {
            Some(b':' | b'=') => {
                self.at += 2;
                TokenKind::Operator
            }
            _ => {
                self.at += 1;
                TokenKind::Punct(b':')
            }
        }
    }

    fn word_or_prefixed(&mut self) -> Result<TokenKind, LexError> {
        match (self.peek(0), self.peek(1), self.peek(2)) {
            (Some(b'e' | b'E'), Some(b'\''), _) => {
                self.at += 1;
                self.string(true)
            }
            (Some(b'b' | b'B' | b'x' | b'X'), Some(b'\''), _) => {
                self.at += 1;
                self.string(false)
            }
            (Some(b'n' | b'N'), Some(b'\''), _) => {
                self.at += 1;
                self.string(!self.standard_strings)
            }
            (Some(b'u' | b'U'), Some(b'&'), Some(b'\'')) => {
                self.at += 2;
                self.string(false)
            }
            (Some(b'u' | b'U'), Some(b'&'), Some(b'"')) => {
                self.at += 2;
                self.quoted_ident()
            }
            _ => {
                self.skip_while(is_word);
                Ok(TokenKind::Word)
            }
        }
    }

    /// The longest run of operator characters up to a comment; the manual's rule on trailing
    /// `+` and `-` applies.
    fn operator(&mut self) -> Result<TokenKind, LexError> {
        let length = self.look_again()?;
        let run = self.rest().get(..length).unwrap_or_default();
        let comment = run
            .windows(2)
            .position(|pair| pair == b"--" || pair == b"/*");
        let mut run = run.get(..comment.unwrap_or(run.len())).unwrap_or_default();
        bound("operator length", run.len(), OPERATOR_MAX)?;
        if !run.iter().any(|byte| b"~!@#^&|`?%".contains(byte)) {
            while let [before @ .., b'+' | b'-'] = run
                && !before.is_empty()
            {
                run = before;
            }
        }
        self.at += run.len().max(1);
        Ok(TokenKind::Operator)
    }

    fn skip_while(&mut self, keep: impl Fn(u8) -> bool) {
        let rest = self.rest();
        let length = rest.iter().position(|byte| !keep(*byte));
        self.at += length.unwrap_or(rest.len());
    }
}

fn bound(limit: &'static str, value: usize, max: usize) -> Result<(), LexError> {
    if value > max {
        return Err(LexError::Costly { limit, value });
    }
    Ok(())
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_word(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

fn is_tag(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit()
}

fn is_operator(byte: u8) -> bool {
    b"~!@#^&|`?+-*/%<>=".contains(&byte)
}

#[cfg(test)]
mod tests;
