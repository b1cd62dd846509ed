//! No text aborts the process or overflows a stack, and all come back.

mod hostile;

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake},
    thread::Thread,
};

use abeyance_sql::{Analysis, OpaqueReason, ReadOptions, analyse, analyse_async};

/// Texts that nest `n` times, one for every way the grammar can nest or chain.
fn nested(n: usize) -> Vec<String> {
    let around = |open: &str, inside: &str, close: &str| {
        format!("{}{inside}{}", open.repeat(n), close.repeat(n))
    };
    let select = |expression: String| format!("SELECT {expression}");
    vec![
        select(format!("1{}", "+1".repeat(n))),
        select(format!("{} 1", "- ".repeat(n))),
        select(format!("{} true", "NOT ".repeat(n))),
        select(format!("1{}", "::int".repeat(n))),
        select(format!("'a'{}", " COLLATE \"C\"".repeat(n))),
        select(format!("1{}", " IS NULL".repeat(n))),
        select(format!("now(){}", " AT LOCAL".repeat(n))),
        select(format!("{}1", "1 OPERATOR(pg_catalog.+) ".repeat(n))),
        select(format!("{}true", "true OR true AND NOT ".repeat(n))),
        select(around("(", "1", ")")),
        select(around("f(", "1", ")")),
        select(around("ARRAY[", "1", "]")),
        select(around("ROW(", "1", ")")),
        select(around("1 IN (", "1", ")")),
        select(around("1 BETWEEN 1 AND (", "1", ")")),
        select(around("CASE WHEN a THEN ", "1", " END")),
        select(around("CASE WHEN a AND b OR ", "c", " THEN 1 END")),
        select(around("a AND b = (", "1", ")")),
        select(around("sum(1) OVER (ORDER BY ", "1", ")")),
        select(around("coalesce(1, ", "1", ")")),
        select(around("xmlelement(name a, ", "1", ")")),
        select(around("json_array(", "1", ")")),
        select(around("json_object('a': ", "1", ")")),
        around("SELECT (", "SELECT 1", ")"),
        around("SELECT EXISTS (", "SELECT 1", ")"),
        around("SELECT * FROM (", "SELECT 1", ") x"),
        around("WITH a AS (", "SELECT 1", ") SELECT 1"),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(n)),
        format!("SELECT 1{}", " UNION SELECT a, b WHERE c AND d".repeat(n)),
        format!("SELECT 1 FROM a{}", " JOIN b ON c AND d".repeat(n)),
        format!(
            "SELECT 1 FROM {}a{}",
            "(".repeat(n),
            " JOIN b USING (c))".repeat(n)
        ),
        format!(
            "SELECT * FROM json_table('1', '$' COLUMNS ({}a int{}))",
            "NESTED PATH '$' COLUMNS (".repeat(n),
            ")".repeat(n)
        ),
        format!(
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1{}; END",
            "+1".repeat(n)
        ),
        format!("CREATE VIEW v AS SELECT 1{}", "+1".repeat(n)),
        format!("DELETE FROM t WHERE a = 1{}", "+1".repeat(n)),
        format!("DELETE FROM t WHERE {}true", "a OR NOT ".repeat(n)),
    ]
}

fn is_over_a_bound(analysis: &Analysis) -> bool {
    matches!(
        analysis
            .statements
            .first()
            .and_then(|facts| facts.opaque.as_ref()),
        Some(OpaqueReason::TooLarge { .. })
    )
}

#[test]
fn the_deepest_text_that_is_let_in_fits_the_stacks() {
    // Tokio's threads have 2 MB; half of it must do for what is parsed inline.
    let caller = std::thread::Builder::new().stack_size(1024 * 1024);
    let deepest = caller.spawn(|| {
        for shape in 0..nested(1).len() {
            // Every depth up to the first that is refused.
            let refused = (1..).map(|step| step * 16).find(|n| {
                let sql = nested(*n).swap_remove(shape);
                is_over_a_bound(&analyse(sql.as_bytes(), ReadOptions::default()))
                    || sql.len() > 40_000
            });
            for n in [1, 2, 3, 5, 8, 13, 21, refused.unwrap_or(16) - 8] {
                let sql = nested(n).swap_remove(shape);
                std::hint::black_box(analyse(sql.as_bytes(), ReadOptions::default()));
            }
        }
    });
    deepest.unwrap().join().unwrap();
}

#[test]
fn sixty_chained_operators_are_read() {
    let sql = format!(
        "SELECT 1{}, (SELECT count(*) FROM purge(5))",
        "+1".repeat(120)
    );
    let facts = analyse(sql.as_bytes(), ReadOptions::default())
        .statements
        .remove(0);
    assert_eq!(facts.opaque, None);
    assert!(!facts.doubts.is_empty());
}

/// How long each takes is for `cargo run --release -p abeyance-sql --example bounds` to say: a debug build on a
/// busy machine says little. Here: all come back.
#[test]
fn hostile_texts_are_read_or_opaque() {
    for shape in hostile::SHAPES {
        for bytes in [100, 4096, 20_000, 1024 * 1024] {
            let (_, sql) = shape.filling(bytes);
            let analysis = analyse(sql.as_bytes(), ReadOptions::default());
            for facts in &analysis.statements {
                let lost = matches!(&facts.opaque, Some(OpaqueReason::UnknownNode { .. }));
                assert!(!lost, "{} of {bytes} bytes: {:?}", shape.name, facts.opaque);
                assert!(facts.span.end <= sql.len() && !facts.redacted.is_empty());
            }
        }
    }
}

#[test]
fn one_byte_over_is_opaque() {
    let options = ReadOptions {
        bytes_max: 20,
        ..ReadOptions::default()
    };
    assert!(!is_over_a_bound(&analyse(
        b"SELECT 1234567890123",
        options.clone()
    )));
    assert!(is_over_a_bound(&analyse(b"SELECT 12345678901234", options)));
}

#[test]
fn not_text_is_opaque() {
    for sql in [
        &b"SELECT 1\0; DELETE FROM visits"[..],
        b"SELECT '\xff'",
        b"\xc0\x80",
        b"\0",
    ] {
        let facts = analyse(sql, ReadOptions::default()).statements.remove(0);
        assert_eq!(facts.opaque, Some(OpaqueReason::Encoding));
        assert_eq!(facts.span, 0..sql.len());
    }
}

/// The server's comment ends at any line break, a reader's at a line feed.
#[test]
fn comments_that_end_at_a_bare_return_are_doubted() {
    for (sql, doubted) in [
        ("SELECT 1 -- x\rDELETE FROM rooms", true),
        ("SELECT 'x' -- \r, room FROM rooms", true),
        ("SELECT 'x' -- \r 'y'", true),
        ("SELECT 1 -- x\r\n, 2", false),
        ("SELECT 1 -- x\n, 2", false),
        ("SELECT 1 -- x\r", false),
        ("SELECT '-- \r', 2", false),
        ("SELECT 1\r, 2", false),
    ] {
        let facts = analyse(sql.as_bytes(), ReadOptions::default())
            .statements
            .remove(0);
        assert_eq!(facts.is_certain(), !doubted, "{sql:?}");
        assert_eq!(facts.explainable, !doubted, "{sql:?}");
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn async_reading_gives_the_same() {
    let long = format!("SELECT a FROM t WHERE b IN (1{})", ", 2".repeat(3000));
    for sql in ["SELECT 1", "", "SELEC", &long] {
        let now = analyse(sql.as_bytes(), ReadOptions::default());
        let later = block_on(analyse_async(sql.as_bytes(), ReadOptions::default()));
        assert_eq!(format!("{now:?}"), format!("{later:?}"));
    }
}

#[test]
fn many_at_once_all_get_an_answer() {
    let sql = format!("SELECT a FROM t WHERE b IN (1{})", ", 2".repeat(3000));
    let pending: Vec<_> = (0..2000)
        .map(|_| analyse_async(sql.as_bytes(), ReadOptions::default()))
        .collect();
    // Those that find the queue full are opaque; none waits for ever.
    let read = pending
        .into_iter()
        .map(block_on)
        .filter(|analysis| {
            analysis
                .statements
                .iter()
                .all(|facts| facts.opaque.is_none())
        })
        .count();
    assert!(read >= 100, "{read}");
}
