//! Mistakes in a configuration: collected, not thrown, so that one run shows them all.
//!
//! Knows positions and words, not what a configuration means. Carries the configuration's share of
//! invariant 7: a line is shown with every secret on it blotted out.

use std::{cell::RefCell, fmt::Write as _, ops::Range, path::PathBuf};

/// Where in the file something stands, in bytes.
pub type Span = Range<usize>;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing starts.
    Error,
    /// Worth mending, but everything starts.
    Warning,
}

/// One mistake.
#[derive(Debug, Clone)]
pub struct Problem {
    pub severity: Severity,
    pub span: Span,
    pub message: String,
    pub hint: Option<String>,
    /// The mistake is that something is not there. After a syntax error that may only mean that
    /// the parser lost it, so such findings are then left out.
    pub absence: bool,
}

/// Collects findings while a configuration is read.
#[derive(Debug, Default)]
pub struct Problems {
    found: RefCell<Vec<Problem>>,
    secrets: RefCell<Vec<Span>>,
}

impl Problems {
    /// Notes a mistake and what to do about it.
    pub fn error(&self, span: &Span, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Error, span, message.into(), hint.into(), false);
    }

    /// Notes that something is missing.
    pub fn absent(&self, span: &Span, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Error, span, message.into(), hint.into(), true);
    }

    /// Notes something that does not keep the program from starting.
    pub fn warning(&self, span: &Span, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Warning, span, message.into(), hint.into(), false);
    }

    /// The bytes at `span` must never be shown.
    pub fn conceal(&self, span: &Span) {
        self.secrets.borrow_mut().push(span.clone());
    }

    /// Adds what the TOML parser found. What is only missing because the parser lost it is
    /// forgotten, and so are other findings on the same lines.
    pub fn add_syntax(&self, source: &str, errors: &[toml::de::Error]) {
        if errors.is_empty() {
            return;
        }
        let line_of = |span: &Span| line_of(source, span);
        let spans: Vec<Span> = errors
            .iter()
            .map(|error| error.span().unwrap_or(0..0))
            .collect();
        let lines: Vec<usize> = spans.iter().map(line_of).collect();
        self.found
            .borrow_mut()
            .retain(|problem| !problem.absence && !lines.contains(&line_of(&problem.span)));
        let mut shown = Vec::new();
        for ((error, span), line) in errors.iter().zip(&spans).zip(lines) {
            // One slip often upsets the parser several times on the same line.
            if shown.contains(&line) {
                continue;
            }
            shown.push(line);
            self.conceal_value_on_line(source, span);
            let hint = quotes(Place::find(source, span).text);
            self.error(span, format!("not TOML: {}", error.message()), hint);
        }
    }

    /// A line that is not TOML may hold a secret anywhere behind its first `=`.
    fn conceal_value_on_line(&self, source: &str, span: &Span) {
        let place = Place::find(source, span);
        let Some((key, value)) = place.text.split_once('=') else {
            return;
        };
        let secretive = ["password", "token", "secret", "verifier", "hash", "url"];
        if secretive.iter().any(|word| key.contains(word)) {
            let start = place.start + key.len() + 1;
            self.conceal(&(start..start + value.len()));
        }
    }

    fn push(&self, severity: Severity, span: &Span, message: String, hint: String, absence: bool) {
        let hint = Some(hint).filter(|hint| !hint.is_empty());
        self.found.borrow_mut().push(Problem {
            severity,
            span: span.clone(),
            message,
            hint,
            absence,
        });
    }

    /// Everything found, in the file's order, with its source for showing.
    pub fn into_report(self, path: PathBuf, source: String) -> Report {
        let mut problems = self.found.into_inner();
        problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
        Report {
            path,
            source,
            problems,
            secrets: self.secrets.into_inner(),
        }
    }
}

/// All findings of one file.
#[derive(Debug)]
pub struct Report {
    path: PathBuf,
    source: String,
    problems: Vec<Problem>,
    secrets: Vec<Span>,
}

impl Report {
    /// How many findings keep the program from starting.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many findings do not.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    /// The first finding that keeps the program from starting, in one line.
    #[must_use]
    pub fn first(&self) -> Option<String> {
        let mut errors = self.problems.iter();
        let error = errors.find(|problem| problem.severity == Severity::Error)?;
        Some(error.message.clone())
    }

    /// Every finding that keeps the program from starting, one line each: `file:line:column: message (hint)`.
    #[must_use]
    pub fn error_lines(&self) -> Vec<String> {
        self.lines(Severity::Error)
    }

    /// The same of every finding that does not.
    #[must_use]
    pub fn warning_lines(&self) -> Vec<String> {
        self.lines(Severity::Warning)
    }

    fn lines(&self, severity: Severity) -> Vec<String> {
        let found = self.problems.iter();
        found
            .filter(|problem| problem.severity == severity)
            .map(|problem| {
                let place = Place::find(&self.source, &problem.span);
                let hint = problem.hint.as_ref();
                let hint = hint.map_or_else(String::new, |hint| format!(" ({hint})"));
                format!(
                    "{}:{}:{}: {}{hint}",
                    self.path.display(),
                    place.line,
                    place.column,
                    problem.message
                )
            })
            .collect()
    }

    fn count(&self, severity: Severity) -> usize {
        self.problems
            .iter()
            .filter(|problem| problem.severity == severity)
            .count()
    }

    /// The findings as text: message, `file:line:column`, the line, a hint.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        for problem in &self.problems {
            self.render_one(problem, &mut out);
        }
        let (errors, warnings) = (self.errors(), self.warnings());
        if errors > 0 {
            let _ = writeln!(
                out,
                "{}: {}; nothing was started",
                self.path.display(),
                plural(errors, "mistake")
            );
        } else if warnings > 0 {
            let _ = writeln!(
                out,
                "{}: {}",
                self.path.display(),
                plural(warnings, "warning")
            );
        }
        out
    }

    fn render_one(&self, problem: &Problem, out: &mut String) {
        let place = Place::find(&self.source, &problem.span);
        let word = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let gutter = " ".repeat(place.line.to_string().len());
        let (text, mark) = self.shown_line(&place, &problem.span);
        let _ = writeln!(out, "{word}: {}", problem.message);
        let _ = writeln!(
            out,
            "{gutter}--> {}:{}:{}",
            self.path.display(),
            place.line,
            place.column
        );
        let _ = writeln!(out, "{gutter} |");
        let _ = writeln!(out, "{} | {text}", place.line);
        let _ = writeln!(out, "{gutter} | {mark}");
        if let Some(hint) = &problem.hint {
            let _ = writeln!(out, "{gutter} = {hint}");
        }
        out.push('\n');
    }

    /// The line with its secrets blotted out, and the marker below it.
    fn shown_line(&self, place: &Place<'_>, span: &Span) -> (String, String) {
        let line_end = place.start + place.text.len();
        // A place without a length is the letter there.
        let end = span.end.max(span.start + 1);
        let marked = span.start..end.min(line_end);
        let (mut text, mut mark) = (String::new(), String::new());
        let mut blotted_until = 0;
        for (offset, char) in place.text.char_indices() {
            let at = place.start + offset;
            if at < blotted_until {
                continue;
            }
            let secret = self
                .secrets
                .iter()
                .filter(|secret| secret.contains(&at))
                .max_by_key(|secret| secret.end);
            let here = if marked.contains(&at) { "^" } else { " " };
            match secret {
                Some(secret) => {
                    blotted_until = secret.end;
                    let touched = secret.start < marked.end && marked.start < secret.end;
                    text.push_str(BLOT);
                    mark.push_str(&if touched { "^" } else { " " }.repeat(BLOT.len()));
                }
                None => {
                    text.push(if char == '\t' { ' ' } else { char });
                    mark.push_str(here);
                }
            }
        }
        let (text, mark) = (text.trim_end(), mark.trim_end());
        // A parser that ran into the end of a line points behind it.
        let behind = || format!("{}^", " ".repeat(text.chars().count()));
        let mark = Some(mark).filter(|mark| !mark.is_empty());
        (text.to_owned(), mark.map_or_else(behind, str::to_owned))
    }
}

/// What stands where a secret stood.
const BLOT: &str = "[redacted]";

/// A line of the file.
struct Place<'a> {
    /// From 1.
    line: usize,
    /// In characters, from 1.
    column: usize,
    /// Offset of the line's first byte.
    start: usize,
    text: &'a str,
}

impl<'a> Place<'a> {
    fn find(source: &'a str, span: &Span) -> Self {
        let at = floor_char_boundary(source, span.start);
        let before = source.get(..at).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = source.get(start..).unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: before
                .get(start..)
                .map_or(1, |text| text.chars().count() + 1),
            start,
            text: rest.lines().next().unwrap_or_default(),
        }
    }
}

/// What to do about a text that has the quote in it that it is written in; empty when that is not so.
fn quotes(line: &str) -> &'static str {
    let value = line.split_once('=').map_or("", |(_, value)| value.trim());
    let inside = |quote: &str| {
        let whole = value.starts_with(quote) && !value.starts_with(&quote.repeat(3));
        whole && value.matches(quote).count() > 2
    };
    if inside("\"") {
        "a text with double quotes in it stands in single quotes: when = 'agent.name == \"x\"'"
    } else if inside("'") {
        "inside single quotes write double quotes: when = 'agent.name == \"x\"'"
    } else {
        ""
    }
}

/// The line of the file that something begins on, from 1.
pub fn line_of(source: &str, span: &Span) -> usize {
    Place::find(source, span).line
}

fn floor_char_boundary(source: &str, at: usize) -> usize {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// `1 mistake`, `2 mistakes`.
pub fn plural(count: usize, word: &str) -> String {
    if count == 1 {
        format!("1 {word}")
    } else {
        format!("{count} {word}s")
    }
}
