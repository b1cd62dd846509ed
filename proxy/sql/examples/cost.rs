//! What reading a statement costs: `cargo run --release -p abeyance-sql --example cost`.
//!
//! Prints microseconds per statement for ordinary statements and the time that hostile ones take,
//! without and with the clinic's catalog.

#![allow(clippy::print_stdout, reason = "an example that prints a table")]

use std::{hint::black_box, sync::Arc, time::Instant};

use abeyance_sql::{Catalog, ReadOptions, Sight, analyse};

const CLINIC: &[u8] = include_bytes!("../tests/clinic_catalog.json");

const ANALYTIC: &str = "
WITH monthly AS (
    SELECT date_trunc('month', v.visited_at) AS month, v.doctor, count(*) AS visits,
           count(DISTINCT v.patient_id) AS patients
    FROM visits v
    JOIN patients p ON p.id = v.patient_id
    WHERE v.visited_at >= now() - interval '1 year' AND p.city IN ('Ashford', 'Brill', 'Corby')
    GROUP BY 1, 2
), money AS (
    SELECT date_trunc('month', b.created_at) AS month, v.doctor,
           sum(b.amount) FILTER (WHERE b.status = 'paid') AS paid,
           sum(b.amount) FILTER (WHERE b.status <> 'paid') AS open
    FROM billing b
    JOIN visits v ON v.id = b.visit_id
    GROUP BY 1, 2
), ranked AS (
    SELECT m.month, m.doctor, m.visits, m.patients, coalesce(y.paid, 0) AS paid,
           coalesce(y.open, 0) AS open,
           rank() OVER (PARTITION BY m.month ORDER BY m.visits DESC) AS place,
           sum(m.visits) OVER (PARTITION BY m.doctor ORDER BY m.month
                               ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS quarter
    FROM monthly m
    LEFT JOIN money y ON y.month = m.month AND y.doctor = m.doctor
)
SELECT r.month, r.doctor, r.visits, r.patients, r.paid, r.open, r.place,
       round(100.0 * r.paid / nullif(r.paid + r.open, 0), 1) AS paid_share,
       CASE WHEN r.quarter > 300 THEN 'busy' WHEN r.quarter > 100 THEN 'normal' ELSE 'calm' END AS load
FROM ranked r
WHERE r.place <= 10
  AND EXISTS (SELECT 1 FROM appointments a WHERE a.doctor = r.doctor AND a.starts > now())
ORDER BY r.month DESC, r.place
LIMIT 100";

fn main() {
    let plain = ReadOptions::default();
    let sighted = ReadOptions {
        sight: sight(),
        ..ReadOptions::default()
    };
    println!(
        "{:<44} {:>9} {:>12} {:>12}",
        "ordinary", "bytes", "us each", "with catalog"
    );
    let values = vec!["(1, 'name', 3.5, now())"; 100].join(", ");
    let insert = format!("INSERT INTO t (a, b, c, d) VALUES {values}");
    let ordinary = [
        (
            "pgbench select",
            "SELECT abalance FROM pgbench_accounts WHERE aid = 83456;",
        ),
        (
            "select by key",
            "SELECT room FROM appointments WHERE id = 83456;",
        ),
        (
            "select through a view",
            "SELECT id, city FROM patient_directory WHERE id = 42",
        ),
        ("select star", "SELECT * FROM patients WHERE id = 42"),
        ("delete with cascades", "DELETE FROM patients WHERE id = 42"),
        (
            "update by key",
            "UPDATE appointments SET room = $1 WHERE id = $2 RETURNING id",
        ),
        ("BEGIN", "BEGIN"),
        ("analytic, 38 lines", ANALYTIC),
        ("insert of 100 rows", insert.as_str()),
    ];
    for (name, sql) in ordinary {
        println!(
            "{name:<44} {:>9} {:>12.1} {:>12.1}",
            sql.len(),
            micros(sql, &plain),
            micros(sql, &sighted)
        );
    }
    println!(
        "\n{:<44} {:>9} {:>12} {:>12}",
        "hostile", "bytes", "ms", "with catalog"
    );
    for (name, sql) in hostile() {
        let started = Instant::now();
        let analysis = analyse(sql.as_bytes(), plain.clone());
        let elapsed = started.elapsed().as_secs_f64() * 1000.0;
        let started = Instant::now();
        black_box(analyse(sql.as_bytes(), sighted.clone()));
        let resolved = started.elapsed().as_secs_f64() * 1000.0;
        let facts = analysis.statements.first();
        let opaque = facts.and_then(|facts| facts.opaque.as_ref());
        let ending = opaque.map_or_else(|| "read".to_owned(), ToString::to_string);
        println!(
            "{name:<44} {:>9} {elapsed:>12.2} {resolved:>12.2}  {ending}",
            sql.len()
        );
    }
}

fn sight() -> Option<Sight> {
    let catalog = Arc::new(Catalog::from_json(CLINIC).ok()?);
    Some(Sight {
        search_path: catalog.search_path.clone().into(),
        catalog,
        vouched: Arc::default(),
    })
}

fn micros(sql: &str, options: &ReadOptions) -> f64 {
    for _ in 0..200 {
        black_box(analyse(black_box(sql.as_bytes()), options.clone()));
    }
    let mut best = f64::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        for _ in 0..400 {
            black_box(analyse(black_box(sql.as_bytes()), options.clone()));
        }
        best = best.min(started.elapsed().as_secs_f64() * 1e6 / 400.0);
    }
    best
}

fn hostile() -> Vec<(&'static str, String)> {
    const MEGABYTE: usize = 1024 * 1024;
    let fill = |head: &str, unit: &str, tail: &str| {
        let count = (MEGABYTE - head.len() - tail.len()) / unit.len();
        format!("{head}{}{tail}", unit.repeat(count))
    };
    vec![
        ("nested comments, unclosed", fill("", "/*", "")),
        (
            "nested comments, closed",
            format!("{}{}SELECT 1", "/*".repeat(200_000), "*/".repeat(200_000)),
        ),
        ("shallow comments", fill("SELECT ", "/*x*/", "1")),
        ("comments with stars", fill("SELECT ", "/******/", "1")),
        ("nested comments in stars", fill("SELECT /*", "*/*", "")),
        ("plus signs", fill("SELECT 1", "+", "1")),
        ("pluses with blanks", fill("SELECT 1", "+ ", "1")),
        ("chain of sums", fill("SELECT 1", "+1", "")),
        (
            "operators of 60 characters",
            fill(
                "SELECT 1",
                "<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<< ",
                "1",
            ),
        ),
        ("open brackets", fill("SELECT ", "(", "")),
        (
            "brackets",
            format!("SELECT {}1{}", "(".repeat(400_000), ")".repeat(400_000)),
        ),
        ("one long string", fill("SELECT '", "x", "'")),
        ("doubled quotes", fill("SELECT '", "''", "'")),
        ("dollar signs", fill("SELECT ", "$a", "")),
        ("dollar quotes, unclosed", fill("SELECT $x$", "$y$", "")),
        ("list of numbers", fill("SELECT 1", ",1", "")),
        (
            "list of numbers under the bound",
            format!("SELECT 1{}", ",1".repeat(19_000)),
        ),
        (
            "IN list under the bound",
            format!("SELECT 1 WHERE a IN (1{})", ",1".repeat(19_000)),
        ),
        (
            "rows under the bound",
            format!("INSERT INTO t VALUES (1){}", ",(1)".repeat(9_000)),
        ),
        ("statements under the bound", "SELECT 1;".repeat(13_000)),
        (
            "OR chain under the bound",
            format!("SELECT 1 WHERE a{}", " OR a".repeat(19_000)),
        ),
        (
            "columns under the bound",
            format!("SELECT a.b{}", ",a.b".repeat(9_000)),
        ),
        (
            "casts under the bound",
            format!("SELECT 1::int{}", ",1::int".repeat(9_000)),
        ),
        (
            "calls under the bound",
            format!("SELECT f(){}", ",f()".repeat(9_000)),
        ),
        (
            "aliases under the bound",
            format!("SELECT 1 a{}", ",1 a".repeat(13_000)),
        ),
        (
            "CTEs under the bound",
            format!("WITH {} SELECT 1", vec!["a AS (SELECT 1)"; 5_500].join(",")),
        ),
        (
            "FROM items under the bound",
            format!(
                "SELECT a.id{} FROM patients a{}",
                ", ssn".repeat(4_000),
                ", patients b".repeat(4_000)
            ),
        ),
        (
            "stars of stars",
            format!(
                "WITH a0 AS (SELECT * FROM patients){} SELECT * FROM a11",
                (1..12)
                    .map(|at| format!(", a{at} AS (SELECT *, * FROM a{})", at - 1))
                    .collect::<String>()
            ),
        ),
        (
            "recursion in recursion",
            format!(
                "{}SELECT 1{}",
                "WITH RECURSIVE r(a) AS (SELECT 1 UNION ALL SELECT a FROM r WHERE a IN ("
                    .repeat(18),
                ")) SELECT a FROM r".repeat(18)
            ),
        ),
        (
            "joins by USING",
            format!(
                "SELECT * FROM patients{}",
                " JOIN patients USING (id)".repeat(250)
            ),
        ),
        (
            "natural joins",
            format!(
                "SELECT * FROM patients{}",
                " NATURAL JOIN patients".repeat(250)
            ),
        ),
        ("long name", fill("SELECT ", "x", "")),
        ("quoted name", fill("SELECT \"", "x", "\"")),
        ("semicolons", fill("", ";", "")),
        (
            "depth at the bound",
            format!("SELECT 1{}", "+1".repeat(398)),
        ),
        (
            "CASE at the bound",
            format!(
                "SELECT {}1{}",
                "CASE WHEN a THEN ".repeat(190),
                " END".repeat(190)
            ),
        ),
    ]
}
