//! Against the server's own lexer: what it calls a constant or a comment must never come out of
//! ours as a word.

use pg_query::protobuf::Token as Theirs;
use proptest::prelude::*;

use super::*;

fn ours(sql: &str) -> Result<Vec<Token>, LexError> {
    let mut lexer = Lexer::new(sql.as_bytes(), true);
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    Ok(tokens)
}

fn is_value(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::String | TokenKind::Number | TokenKind::Param
    )
}

/// Fails when a byte of a constant or comment is part of a token of ours that is shown.
fn compare(sql: &str) {
    let Ok(theirs) = pg_query::scan(sql) else {
        return;
    };
    let ours = match ours(sql) {
        Ok(ours) => ours,
        Err(LexError::Costly { .. }) => return,
        Err(LexError::Unterminated) => panic!("{sql:?}: the server finds an end"),
    };
    for token in &theirs.tokens {
        let hidden = matches!(
            token.token(),
            Theirs::Sconst
                | Theirs::Usconst
                | Theirs::Bconst
                | Theirs::Xconst
                | Theirs::Iconst
                | Theirs::Fconst
                | Theirs::SqlComment
                | Theirs::CComment
        );
        if !hidden {
            continue;
        }
        let span = usize::try_from(token.start).unwrap()..usize::try_from(token.end).unwrap();
        for token in &ours {
            let overlaps = token.start < span.end && span.start < token.end;
            assert!(
                !overlaps || is_value(token.kind),
                "{sql:?}: {:?} is shown at {}..{}, of {:?}",
                token.kind,
                token.start,
                token.end,
                sql.get(span.clone())
            );
        }
    }
}

#[test]
fn agrees_on_every_statement_of_the_table() {
    for line in include_str!("../../../tests/facts_table.txt").lines() {
        compare(line.split(" => ").next().unwrap());
    }
}

#[test]
fn agrees_on_every_statement_of_the_corpus() {
    let corpus = include_str!("../../../../../tests/corpus/open.jsonl");
    for line in corpus.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        compare(row["sql"].as_str().unwrap());
    }
}

#[test]
fn finds_constants_of_every_kind() {
    for sql in [
        "'a''b'",
        "'a\\'",
        r"E'a\'b'",
        "e'a' -- x\n  '\\'b'",
        "'a'\n'b'",
        "'a' \t-- c\r 'b'",
        "B'01'",
        "x'1F'",
        "N'a'",
        "U&'d\\0061'",
        "$$a'b$$",
        "$t$ $$ $t$",
        "$é$a$é$",
        "1",
        "1.5e-3",
        ".5",
        "0x1F",
        "1_000",
    ] {
        let tokens = ours(sql).unwrap();
        assert!(
            tokens.len() == 1 && is_value(tokens[0].kind) && tokens[0].end == sql.len(),
            "{sql:?}: {tokens:?}"
        );
    }
}

#[test]
fn strings_follow_the_session() {
    let sql = r"'a\' || b --'";
    let kinds = |standard| {
        let mut lexer = Lexer::new(sql.as_bytes(), standard);
        let mut kinds = Vec::new();
        while let Ok(Some(token)) = lexer.next() {
            kinds.push(token.kind);
        }
        kinds
    };
    assert_eq!(kinds(false), [TokenKind::String]);
    assert_eq!(
        kinds(true),
        [TokenKind::String, TokenKind::Operator, TokenKind::Word]
    );
}

#[test]
fn costly_texts_are_refused() {
    for unit in ["/*", "*/*", "/******/", "/**//", "+"] {
        let sql = format!("SELECT 1{}", unit.repeat(1024 * 1024 / unit.len()));
        assert!(ours(&sql).is_err(), "{unit}");
    }
}

/// Pieces that open, close or break things.
fn piece() -> impl Strategy<Value = String> {
    let fixed = [
        "'",
        "''",
        "\"",
        "\"\"",
        "\\",
        "$",
        "$$",
        "$a$",
        "$a",
        "$1",
        "--",
        "/*",
        "*/",
        "\n",
        "\r",
        " ",
        "\t",
        "\u{b}",
        "e'",
        "E'",
        "B'",
        "x'",
        "N'",
        "u&'",
        "U&\"",
        "UESCAPE '!'",
        "a",
        "B1",
        "select",
        "from",
        "é",
        "1",
        "0x1f",
        "1.",
        ".5",
        "1e5",
        "1e",
        "..",
        ".",
        "::",
        ":=",
        ":",
        ";",
        ",",
        "(",
        ")",
        "[",
        "]",
        "+",
        "-",
        "*",
        "/",
        "<",
        ">",
        "=",
        "~",
        "!",
        "@",
        "#",
        "%",
        "^",
        "&",
        "|",
        "`",
        "?",
        "_",
        "a$b",
        "a$$b",
    ];
    prop_oneof![
        8 => proptest::sample::select(fixed.to_vec()).prop_map(str::to_owned),
        1 => "[a-z0-9_]{1,4}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn agrees_on_anything(pieces in proptest::collection::vec(piece(), 0..24)) {
        compare(&pieces.concat());
    }

    #[test]
    fn tokens_are_in_order_and_inside(sql in "\\PC{0,60}") {
        if let Ok(tokens) = ours(&sql) {
            let mut at = 0;
            for token in tokens {
                prop_assert!(token.start >= at && token.end > token.start);
                prop_assert!(sql.get(token.start..token.end).is_some());
                at = token.end;
            }
        }
    }
}
