//! Texts that cost the most for their size, one shape for every way we know.

/// A shape that grows.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub name: &'static str,
    pub make: fn(usize) -> String,
}

impl Shape {
    /// The largest text of this shape that is not longer than `bytes`, and its `n`.
    pub fn filling(&self, bytes: usize) -> (usize, String) {
        let (mut fits, mut over) = (0, bytes);
        while over - fits > 1 {
            let n = usize::midpoint(fits, over);
            // Every unit takes a byte at least, and most take more: small steps for what is surely small enough.
            if self.length(n) > bytes {
                over = n;
            } else {
                fits = n;
            }
        }
        (fits, (self.make)(fits))
    }

    fn length(&self, n: usize) -> usize {
        // Units are of nearly one length; a sample spares making hundreds of megabytes.
        const SAMPLE: usize = 2000;
        if n <= SAMPLE {
            return (self.make)(n).len();
        }
        let (one, two) = ((self.make)(SAMPLE).len(), (self.make)(2 * SAMPLE).len());
        one + (two - one) * (n - SAMPLE) / SAMPLE + n / 20
    }
}

fn around(before: &str, open: &str, inside: &str, close: &str, n: usize) -> String {
    format!("{before}{}{inside}{}", open.repeat(n), close.repeat(n))
}

fn listed(before: &str, unit: &str, n: usize, after: &str) -> String {
    format!("{before}{}{after}", vec![unit; n.max(1)].join(","))
}

fn numbered(n: usize, unit: impl Fn(usize) -> String) -> String {
    (0..n.max(1)).map(unit).collect::<Vec<_>>().join(",")
}

macro_rules! shapes {
    ($($name:literal: |$n:ident| $make:expr;)+) => {
        /// Every shape.
        pub const SHAPES: &[Shape] = &[$(Shape { name: $name, make: |$n| $make }),+];
    };
}

shapes! {
    // Comments, quotes, names: the lexer's.
    "nested comments, never closed": |n| "/*".repeat(n);
    "nested comments": |n| around("SELECT 1 ", "/*", "", "*/", n);
    "nested comments with blanks": |n| around("SELECT 1 ", "/* ", "", " */", n);
    "comments beside each other": |n| format!("SELECT {}1", "/*x*/".repeat(n));
    "comments of stars": |n| format!("SELECT {}1", "/******/".repeat(n));
    "comments opened in stars": |n| format!("SELECT /*{}", "*/*".repeat(n));
    "line comments": |n| format!("SELECT 1{}", " -- x\n".repeat(n));
    "blank lines": |n| format!("SELECT{}1", "\n".repeat(n));
    "one long string": |n| format!("SELECT '{}'", "x".repeat(n));
    "string of doubled quotes": |n| format!("SELECT '{}'", "''".repeat(n));
    "string of lines": |n| format!("SELECT 'a'{}", "\n'a'".repeat(n));
    "string of lines and comments": |n| format!("SELECT 'a'{}", " -- \n 'a'".repeat(n));
    "string that seems to go on": |n| format!("SELECT 'a'{}", " --\n".repeat(n));
    "strings that seem to go on": |n| listed("SELECT ", "'a' --\n--\n--\n--\n", n, "");
    "E string of escapes": |n| format!("SELECT E'{}'", "\\n".repeat(n));
    "E string of unicode escapes": |n| format!("SELECT E'{}'", "\\u0061".repeat(n));
    "E string of octal escapes": |n| format!("SELECT E'{}'", "\\141".repeat(n));
    "U& string of escapes": |n| format!("SELECT U&'{}'", "\\0061".repeat(n));
    "U& string of surrogate pairs": |n| format!("SELECT U&'{}'", "\\D83D\\DE00".repeat(n));
    "U& name of escapes": |n| format!("SELECT U&\"{}\"", "\\0061".repeat(n));
    "U& strings": |n| listed("SELECT ", "U&'\\0061'", n, "");
    "bit string": |n| format!("SELECT B'{}'", "1".repeat(n));
    "dollar quote": |n| format!("SELECT $${}$$", "x".repeat(n));
    "dollar quote of dollars": |n| format!("SELECT $x${}$x$", "$".repeat(n));
    "dollar quote of other tags": |n| format!("SELECT $x${}$x$", "$y$".repeat(n));
    "dollar quotes, never closed": |n| format!("SELECT {}", "$a".repeat(n));
    "dollar quotes beside each other": |n| listed("SELECT ", "$a$$a$", n, "");
    "dollar tag": |n| { let tag = "x".repeat(n / 2 + 1); format!("SELECT ${tag}$${tag}$") };
    "dollar tags with common beginnings": |n| format!("SELECT $aaaaaaaaaaaa${}$aaaaaaaaaaaa$", "$aaaaaaaaaaab".repeat(n));
    "long name": |n| format!("SELECT {}", "x".repeat(n));
    "long name in capitals": |n| format!("SELECT {}", "X".repeat(n));
    "long quoted name": |n| format!("SELECT \"{}\"", "x".repeat(n));
    "quoted name of doubled quotes": |n| format!("SELECT \"{}\"", "\"\"".repeat(n));
    "long names": |n| listed("SELECT ", &"x".repeat(1000), n, "");
    "long number": |n| format!("SELECT {}", "1".repeat(n));
    "long number with a point": |n| format!("SELECT .{}", "1".repeat(n));
    "long hexadecimal number": |n| format!("SELECT 0x{}", "f".repeat(n));
    "letters beyond ASCII": |n| format!("SELECT {}", "é".repeat(n));
    "parameters": |n| listed("SELECT ", "$1", n, "");
    // Operators.
    "run of pluses": |n| format!("SELECT 1{}1", "+".repeat(n));
    "run of minuses": |n| format!("SELECT 1{}", "-".repeat(n));
    "run of stars": |n| format!("SELECT 1 {}1", "*".repeat(n));
    "run of slashes": |n| format!("SELECT 1 {}1", "/".repeat(n));
    "signs with blanks": |n| format!("SELECT {}1", "- ".repeat(n));
    "operators of 60 characters": |n| {
        let operator = "<".repeat(60);
        format!("SELECT 1{}", format!(" {operator} 1").repeat(n))
    };
    "chain of sums": |n| format!("SELECT 1{}", "+1".repeat(n));
    "lists of chains of sums": |n| listed("SELECT ", &format!("1{}", "+1".repeat(300)), n, "");
    "NOT NOT NOT": |n| format!("SELECT {}true", "NOT ".repeat(n));
    "chain of casts": |n| format!("SELECT 1{}", "::int".repeat(n));
    "chain of COLLATE": |n| format!("SELECT 'a'{}", " COLLATE \"C\"".repeat(n));
    "chain of IS NULL": |n| format!("SELECT 1{}", " IS NULL".repeat(n));
    "chain of subscripts": |n| format!("SELECT a{}", "[1]".repeat(n));
    "chain of slices": |n| format!("SELECT a{}", "[1:2]".repeat(n));
    "chain of fields": |n| format!("SELECT (a){}", ".b".repeat(n));
    "a.b.c.d": |n| format!("SELECT a{}", ".b".repeat(n));
    "relation a.b.c.d": |n| format!("SELECT 1 FROM a{}", ".b".repeat(n));
    "chain of AND": |n| format!("SELECT 1 WHERE a{}", " AND a".repeat(n));
    "chain of OR": |n| format!("SELECT 1 WHERE a{}", " OR a".repeat(n));
    "chain of comparisons": |n| format!("SELECT 1 WHERE a = 1{}", " OR a = 1".repeat(n));
    "AND and OR in turns": |n| format!("SELECT 1 WHERE a{}", " AND b OR a".repeat(n));
    "chain of AT TIME ZONE": |n| format!("SELECT now(){}", " AT TIME ZONE 'UTC'".repeat(n));
    // Brackets.
    "open brackets": |n| format!("SELECT {}", "(".repeat(n));
    "brackets": |n| around("SELECT ", "(", "1", ")", n);
    "calls in calls": |n| around("SELECT ", "f(", "1", ")", n);
    "casts in casts": |n| around("SELECT ", "CAST(", "1", " AS int)", n);
    "arrays in arrays": |n| around("SELECT ", "ARRAY[", "1", "]", n);
    "rows in rows": |n| around("SELECT ", "ROW(", "1", ")", n);
    "IN in IN": |n| around("SELECT ", "1 IN (", "1", ")", n);
    "IN in IN, twice": |n| around("SELECT ", "1 IN (2, 1 IN (", "1", "))", n);
    "VALUES in VALUES": |n| around("", "VALUES ((", "VALUES (1)", "))", n);
    "CASE in CASE": |n| around("SELECT ", "CASE WHEN a THEN ", "1", " END", n);
    "CASE, never ended": |n| format!("SELECT {}1", "CASE WHEN ".repeat(n));
    "CASE with many arms": |n| format!("SELECT CASE{} END", " WHEN a THEN 1".repeat(n.max(1)));
    "subselects in subselects": |n| around("", "SELECT (", "SELECT 1", ")", n);
    "EXISTS in EXISTS": |n| around("", "SELECT EXISTS (", "SELECT 1", ")", n);
    "subselects in FROM": |n| around("", "SELECT * FROM (", "SELECT 1", ") x", n);
    "WITH in WITH": |n| around("", "WITH a AS (", "SELECT 1", ") SELECT 1", n);
    "WITH in WITH, then tables": |n| {
        around("", "WITH a AS (", &listed("SELECT 1 FROM ", "t", n * 40, ""), ") SELECT 1", n.min(90))
    };
    "windows in windows": |n| around("SELECT ", "sum(1) OVER (ORDER BY ", "1", ")", n);
    "json in json": |n| around("SELECT ", "json_object('a': ", "1", ")", n);
    "xml in xml": |n| around("SELECT ", "xmlelement(name a, ", "1", ")", n);
    "types with many brackets": |n| format!("SELECT '1'::int{}", "[]".repeat(n));
    // Queries.
    "joins": |n| format!("SELECT 1 FROM a{}", " JOIN b ON c = d".repeat(n));
    "joins of one table under many names": |n| {
        format!("SELECT 1 FROM t a0{}", (1..=n).map(|i| format!(" JOIN t a{i} ON a{i}.x = a0.x")).collect::<String>())
    };
    "joins in brackets": |n| format!("SELECT 1 FROM {}a{}", "(".repeat(n), " JOIN b USING (c))".repeat(n));
    "natural joins": |n| format!("SELECT * FROM t{}", " NATURAL JOIN t".repeat(n));
    "tables": |n| listed("SELECT 1 FROM ", "t", n, "");
    "tables, all different": |n| format!("SELECT 1 FROM {}", numbered(n, |i| format!("t{i}")));
    "stars of many tables": |n| format!("SELECT * FROM {}", numbered(n, |i| format!("patients p{i}")));
    "star after star": |n| listed("SELECT ", "p.*", n, " FROM patients p");
    "functions in FROM": |n| listed("SELECT 1 FROM ", "f() x", n, "");
    "functions in FROM, and columns of them": |n| {
        format!("SELECT {} FROM {}", numbered(n, |i| format!("x.c{i}")), vec!["f() x"; n.max(1)].join(","))
    };
    "UNION": |n| format!("SELECT 1{}", " UNION SELECT 1".repeat(n));
    "UNION ALL of tables": |n| format!("SELECT a FROM t{}", " UNION ALL SELECT a FROM t".repeat(n));
    "UNION in brackets": |n| around("", "(", "SELECT 1", " UNION SELECT 1)", n);
    "common table expressions": |n| listed("WITH ", "a AS (SELECT 1)", n, " SELECT 1");
    "common table expressions, each of the one before": |n| {
        format!("WITH c0 AS (SELECT 1){} SELECT 1", (1..=n).map(|i| format!(", c{i} AS (SELECT * FROM c{})", i - 1)).collect::<String>())
    };
    "common table expressions that double": |n| {
        format!("WITH c0 AS (SELECT 1){} SELECT 1", (1..=n).map(|i| {
            format!(", c{i} AS (SELECT * FROM c{0}, c{0} d)", i - 1)
        }).collect::<String>())
    };
    "columns that double": |n| {
        format!("WITH c0 AS (SELECT x AS a FROM t){} SELECT a FROM c{n}", (1..=n).map(|i| {
            format!(", c{i} AS (SELECT a || a AS a FROM c{})", i - 1)
        }).collect::<String>())
    };
    "subqueries that double": |n| {
        around("SELECT * FROM ", "(SELECT * FROM ", "t", " a, u b) c", n)
    };
    "common table expressions that gather": |n| {
        format!("WITH c0 AS (SELECT 1){} SELECT 1", (1..=n).map(|i| {
            format!(", c{i} AS (SELECT * FROM c{}, t{i})", i - 1)
        }).collect::<String>())
    };
    "grouping sets": |n| listed("SELECT 1 GROUP BY GROUPING SETS (", "(a)", n, ")");
    "CUBE": |n| listed("SELECT 1 GROUP BY CUBE (", "a", n, ")");
    "ORDER BY": |n| listed("SELECT 1 ORDER BY ", "a", n, "");
    "windows": |n| format!("SELECT 1 WINDOW {}", numbered(n, |i| format!("w{i} AS (ORDER BY a)")));
    // Lists.
    "numbers": |n| listed("SELECT ", "1", n, "");
    "IN list": |n| listed("SELECT 1 WHERE a IN (", "1", n, ")");
    "IN list of strings": |n| listed("SELECT 1 WHERE a IN (", "'x'", n, ")");
    "IN list of casts": |n| listed("SELECT 1 WHERE a IN (", "'x'::text", n, ")");
    "array": |n| listed("SELECT ARRAY[", "1", n, "]");
    "columns": |n| listed("SELECT ", "a", n, "");
    "columns, all different": |n| format!("SELECT {}", numbered(n, |i| format!("c{i}")));
    "columns of a table": |n| listed("SELECT ", "a.b", n, "");
    "aliases": |n| listed("SELECT ", "1 a", n, "");
    "casts": |n| listed("SELECT ", "1::int", n, "");
    "calls": |n| listed("SELECT ", "f()", n, "");
    "calls, all different": |n| format!("SELECT {}", numbered(n, |i| format!("f{i}()")));
    "functions called like columns": |n| format!("SELECT {}", numbered(n, |i| format!("(x).f{i}")));
    "rows of VALUES": |n| listed("INSERT INTO t VALUES ", "(1)", n, "");
    "wide rows of VALUES": |n| listed("INSERT INTO t VALUES ", "(1,'a',NULL,DEFAULT,now())", n, "");
    "rows that are no two alike": |n| {
        format!("INSERT INTO t VALUES {}", numbered(n, |i| if i % 2 == 0 { "(1)".to_owned() } else { "(a)".to_owned() }))
    };
    "arguments": |n| listed("SELECT f(", "1", n, ")");
    "settings in UPDATE": |n| listed("UPDATE t SET ", "a = 1", n, "");
    "column definitions": |n| listed("CREATE TABLE t (", "a int", n, ")");
    "column definitions with constraints": |n| listed("CREATE TABLE t (", "a int NOT NULL DEFAULT 1 CHECK (a > 0) REFERENCES u", n, ")");
    "partition bounds": |n| listed("CREATE TABLE p PARTITION OF t FOR VALUES IN (", "1", n, ")");
    "enum labels": |n| listed("CREATE TYPE e AS ENUM (", "'a'", n, ")");
    "tables to drop": |n| listed("DROP TABLE ", "t", n, "");
    "tables to truncate": |n| listed("TRUNCATE ", "t", n, "");
    "grants": |n| listed("GRANT SELECT ON t TO ", "r", n, "");
    "values of a setting": |n| listed("SET search_path = ", "a", n, "");
    "options": |n| listed("EXPLAIN (", "VERBOSE", n, ") SELECT 1");
    "actions of ALTER TABLE": |n| listed("ALTER TABLE t ", "ADD COLUMN a int", n, "");
    "WHEN clauses of MERGE": |n| format!("MERGE INTO t USING s ON a = b{}", " WHEN MATCHED THEN DELETE".repeat(n.max(1)));
    "columns of json_table": |n| listed("SELECT * FROM json_table('1', '$' COLUMNS (", "a int", n, "))");
    // Statements.
    "semicolons": |n| ";".repeat(n);
    "statements": |n| "SELECT 1;".repeat(n);
    "short statements": |n| "END;".repeat(n);
    "statements in a body": |n| format!("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC {} END", "SELECT 1;".repeat(n));
    "refused at the end": |n| format!("{}SELEC", "SELECT 1;".repeat(n));
    "refused at the end of a list": |n| listed("SELECT ", "1", n, " FROM WHERE");
}
