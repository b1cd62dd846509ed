//! The blast radius of held statements, found out on a real server and compared with what is true there.

use abeyance_e2e::{Config, RawClient, World, eventually, message, world::Mode};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// Everything but reads is asked.
const ASKING: &str = r#"
[policy]
default = "hold"
route = "dba"

[[rule]]
name = "reads-pass"
class = ["read", "session", "transaction"]
verdict = "allow"
"#;

struct Stage {
    world: World,
    client: RawClient,
    seen: usize,
}

impl Stage {
    async fn open() -> Result<Self> {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Result<Self> {
        let world = World::with(Mode::Socket, |config| {
            config.policy = ASKING.to_owned();
            change(config);
        })
        .await?;
        let client = world.client().await?;
        Ok(Self {
            world,
            client,
            seen: 0,
        })
    }

    /// Sends a statement, reads the blast radius of its hold, and denies it.
    async fn blast(&mut self, sql: &str) -> Result<Value> {
        self.client.start_query(sql).await?;
        self.held().await.with_context(|| sql.to_owned())
    }

    /// The blast radius of the hold that comes; it is denied then.
    async fn held(&mut self) -> Result<Value> {
        let bob = self.world.approver("bob")?;
        let seen = self.seen;
        let hold = eventually("the hold", || async {
            let holds = bob.holds().await?;
            Ok((holds.len() > seen).then(|| {
                let pending = holds.into_iter().find(|hold| hold["state"] == "pending");
                pending.unwrap_or_default()
            }))
        })
        .await?;
        self.seen += 1;
        let id = hold["id"].as_str().context("no id")?;
        bob.decide(id, "deny", Some("only looking")).await?;
        let replies = self.client.until(b'Z').await?;
        // Refused inside a transaction, it fails it, as the server would.
        if replies.last().is_some_and(|ready| &ready.body[..] == b"E") {
            self.client.query("ROLLBACK").await?;
        }
        let blast = hold["request"]["blast"].clone();
        let shown = hold.to_string();
        // Digests and times have all digits in some order.
        let said = |word: &&str| {
            word.len() < 12
                || !word
                    .chars()
                    .all(|c| c.is_ascii_hexdigit() || "-:.TZ".contains(c))
        };
        let literal = |word: &str| word.contains("Ashford") || word.contains("4711");
        ensure!(!shown.split('"').filter(said).any(literal), "{shown}");
        Ok(blast)
    }
}

fn rows(estimate: &Value) -> (Option<u64>, &str) {
    (
        estimate["rows"].as_u64(),
        estimate["source"].as_str().unwrap_or_default(),
    )
}

/// `[relation, action, rows, how known]` of each cascade, by name.
fn cascades(blast: &Value) -> Vec<(String, String, Option<u64>, String)> {
    let mut all: Vec<_> = blast["cascades"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|cascade| {
            let (count, source) = rows(&cascade["rows"]);
            (
                cascade["relation"].as_str().unwrap_or_default().to_owned(),
                cascade["action"].as_str().unwrap_or_default().to_owned(),
                count,
                source.to_owned(),
            )
        })
        .collect();
    all.sort();
    all
}

fn has(list: &Value, what: &str) -> bool {
    list.as_array()
        .into_iter()
        .flatten()
        .any(|item| item.as_str().is_some_and(|item| item.contains(what)))
}

fn locked(blast: &Value, relation: &str) -> Option<String> {
    let locks = blast["locks"].as_array()?;
    let lock = locks.iter().find(|lock| lock["relation"] == relation)?;
    lock["mode"].as_str().map(ToOwned::to_owned)
}

async fn a_delete_and_all_it_takes_along() -> Result<()> {
    let mut stage = Stage::open().await?;
    let database = stage.world.database.clone();
    let blast = stage.blast("DELETE FROM patients WHERE id = 5").await?;
    ensure!(rows(&blast["rows"]) == (Some(1), "exact"), "{blast:#}");
    let mut want = Vec::new();
    for (table, action, count) in [
        (
            "appointments",
            "set_null",
            "SELECT count(*) FROM appointments WHERE patient_id = 5",
        ),
        (
            "billing",
            "delete",
            "SELECT count(*) FROM billing WHERE patient_id = 5 OR visit_id IN (SELECT id FROM visits WHERE patient_id = 5)",
        ),
        (
            "lab_results",
            "delete",
            "SELECT count(*) FROM lab_results WHERE patient_id = 5",
        ),
        (
            "visits",
            "delete",
            "SELECT count(*) FROM visits WHERE patient_id = 5",
        ),
    ] {
        let truth = database.number(count).await?;
        want.push((
            table.to_owned(),
            action.to_owned(),
            u64::try_from(truth).ok(),
            "exact".to_owned(),
        ));
    }
    ensure!(
        cascades(&blast) == want,
        "{:#?} {want:#?}",
        cascades(&blast)
    );
    for trigger in [
        "patients_audit on patients: audit_row()",
        "billing_audit on billing",
    ] {
        ensure!(has(&blast["triggers"], trigger), "{blast:#}");
    }
    ensure!(has(&blast["views"], "patient_directory"), "{blast:#}");
    for table in [
        "patients",
        "patients_archive",
        "visits",
        "billing",
        "lab_results_2025",
        "appointments",
    ] {
        let mode = locked(&blast, table);
        ensure!(
            mode.as_deref() == Some("ROW EXCLUSIVE"),
            "{table}: {mode:?}"
        );
    }
    ensure!(blast["access"] == "index", "{blast:#}");
    ensure!(
        blast["undo"] == "until_commit" && blast["transactional"] == true,
        "{blast:#}"
    );
    ensure!(
        blast["rewrite"] == "no" && blast["blocks_now"] == 0,
        "{blast:#}"
    );

    let blast = stage
        .blast("DELETE FROM patients WHERE city = 'Ashford'")
        .await?;
    ensure!(rows(&blast["rows"]) == (Some(250), "exact"), "{blast:#}");
    ensure!(blast["access"] == "full_scan", "{blast:#}");
    let truth = database
        .number("SELECT count(*) FROM visits v JOIN patients p ON p.id = v.patient_id WHERE p.city = 'Ashford'")
        .await?;
    let visits = cascades(&blast).into_iter().find(|c| c.0 == "visits");
    ensure!(
        visits.is_some_and(|c| c.2 == u64::try_from(truth).ok() && c.3 == "exact"),
        "{blast:#}"
    );
    Ok(())
}

#[tokio::test]
async fn a_delete_says_what_goes_along() {
    a_delete_and_all_it_takes_along().await.unwrap();
}

async fn whole_tables() -> Result<()> {
    let mut stage = Stage::open().await?;
    let blast = stage.blast("TRUNCATE patients CASCADE").await?;
    // Row security would hide rows from a count, so the statistics speak.
    ensure!(rows(&blast["rows"]).0 == Some(1000), "{blast:#}");
    let along: Vec<_> = cascades(&blast)
        .into_iter()
        .map(|c| (c.0, c.1, c.2))
        .collect();
    let want: Vec<_> = [
        ("appointments", 500),
        ("billing", 4000),
        ("lab_results", 3000),
        ("visits", 5000),
    ]
    .map(|(table, rows)| (table.to_owned(), "truncate".to_owned(), Some(rows)))
    .into();
    ensure!(along == want, "{along:?}");
    for table in ["patients", "visits", "lab_results_rest", "billing"] {
        ensure!(
            locked(&blast, table).as_deref() == Some("ACCESS EXCLUSIVE"),
            "{blast:#}"
        );
    }
    let blast = stage
        .blast("ALTER TABLE rooms ALTER COLUMN beds TYPE bigint")
        .await?;
    ensure!(rows(&blast["rows"]) == (Some(12), "exact"), "{blast:#}");
    ensure!(blast["rewrite"] == "moments", "{blast:#}");
    ensure!(blast["rewrite_bytes"].as_u64() > Some(0), "{blast:#}");
    ensure!(
        locked(&blast, "rooms").as_deref() == Some("ACCESS EXCLUSIVE"),
        "{blast:#}"
    );
    ensure!(has(&blast["views"], "rooms_v"), "{blast:#}");

    for (retype, rewritten) in [
        ("city TYPE varchar", "no"),
        ("city TYPE varchar(40)", "moments"),
        ("name TYPE text", "no"),
    ] {
        let sql = format!("ALTER TABLE patients ALTER COLUMN {retype}");
        let blast = stage.blast(&sql).await?;
        ensure!(blast["rewrite"] == rewritten, "{sql}: {blast:#}");
    }

    let blast = stage.blast("VACUUM FULL rooms").await?;
    ensure!(
        blast["transactional"] == false && blast["rewrite"] == "moments",
        "{blast:#}"
    );
    let blast = stage.blast("DROP TABLE rooms CASCADE").await?;
    ensure!(rows(&blast["rows"]) == (Some(12), "exact"), "{blast:#}");
    ensure!(
        has(&blast["views"], "rooms_v") && has(&blast["views"], "quiet_view"),
        "{blast:#}"
    );
    let blast = stage.blast("DROP TABLE visits CASCADE").await?;
    ensure!(
        has(
            &blast["notes"],
            "foreign key billing_visit_id_fkey of billing"
        ) && has(&blast["notes"], "view visit_summary"),
        "{blast:#}"
    );
    let blast = stage.blast("DROP SEQUENCE invoice_no").await?;
    ensure!(
        has(
            &blast["notes"],
            "refuses it without CASCADE: default of column v of computed"
        ),
        "{blast:#}"
    );
    let admin = stage.world.database.admin().await?;
    admin
        .batch_execute("CREATE SCHEMA old; CREATE TABLE old.a AS SELECT id FROM visits LIMIT 70; CREATE VIEW old.b AS SELECT 1; GRANT USAGE ON SCHEMA old TO PUBLIC; GRANT SELECT ON old.a TO PUBLIC")
        .await?;
    let blast = stage.blast("DROP SCHEMA old CASCADE").await?;
    ensure!(rows(&blast["rows"]) == (Some(70), "exact"), "{blast:#}");
    ensure!(
        has(&blast["views"], "old.b") && has(&blast["notes"], "table old.a"),
        "{blast:#}"
    );
    ensure!(
        locked(&blast, "old.a").as_deref() == Some("ACCESS EXCLUSIVE"),
        "{blast:#}"
    );
    let blast = stage.blast("CREATE INDEX ON rooms(floor)").await?;
    ensure!(rows(&blast["rows"]) == (Some(0), "exact"), "{blast:#}");
    ensure!(
        locked(&blast, "rooms").as_deref() == Some("SHARE"),
        "{blast:#}"
    );
    let blast = stage.blast("DO $$ BEGIN DELETE FROM rooms; END $$").await?;
    ensure!(rows(&blast["rows"]) == (None, "unknown"), "{blast:#}");
    ensure!(
        blast["cascades"].is_null() && blast["locks"].is_null(),
        "{blast:#}"
    );
    ensure!(
        blast["undo"] == "unknown" && blast["transactional"].is_null(),
        "{blast:#}"
    );
    Ok(())
}

#[tokio::test]
async fn whole_tables_and_definitions() {
    whole_tables().await.unwrap();
}

async fn rows_by_kind() -> Result<()> {
    let mut stage = Stage::open().await?;
    let known = |blast: &Value| {
        (
            blast["rows"]["rows"].as_u64(),
            blast["rows"]["source"].clone(),
        )
    };
    for (sql, want, source) in [
        (
            "UPDATE visits SET reason = 'x' WHERE id < 11",
            Some(10),
            "exact",
        ),
        (
            "UPDATE billing b SET status = 'open' FROM patients p WHERE p.id = b.patient_id AND p.id <= 3",
            None,
            "exact",
        ),
        (
            "INSERT INTO rooms VALUES ('R90', 1), ('R91', 2)",
            Some(2),
            "exact",
        ),
        (
            "INSERT INTO appointments(starts, room, doctor) SELECT now(), room, 'd' FROM rooms",
            Some(12),
            "exact",
        ),
        ("DELETE FROM visits WHERE id > 4711", Some(289), "exact"),
        (
            "BEGIN; DELETE FROM rooms WHERE floor = 2; COMMIT",
            Some(4),
            "exact",
        ),
        (
            "DELETE FROM rooms WHERE floor = 2; DELETE FROM notes_inbox",
            Some(4),
            "exact",
        ),
        // The trigger of the first may do anything.
        (
            "DELETE FROM billing WHERE id = 2; DELETE FROM rooms WHERE floor = 2",
            None,
            "estimated",
        ),
        (
            "UPDATE rooms SET beds = 9 WHERE floor = 2; DELETE FROM rooms WHERE beds = 9",
            None,
            "estimated",
        ),
        (
            "DELETE FROM rooms WHERE floor = 2; TRUNCATE notes_inbox",
            None,
            "estimated",
        ),
        (
            "UPDATE rooms_v SET floor = 7 WHERE floor = 2",
            Some(4),
            "exact",
        ),
        (
            "INSERT INTO rooms VALUES ('R0', 1), ('R91', 2) ON CONFLICT DO NOTHING",
            Some(2),
            "at_most",
        ),
        (
            "CREATE TABLE copied AS SELECT * FROM rooms WHERE floor = 2",
            Some(4),
            "exact",
        ),
        ("SELECT room INTO copied FROM rooms", Some(12), "exact"),
        (
            "COPY (SELECT id FROM visits WHERE id > 4711) TO STDOUT",
            Some(289),
            "exact",
        ),
        ("COPY rooms TO STDOUT", Some(12), "exact"),
        ("COPY rooms FROM STDIN", None, "unknown"),
        (
            "SELECT room FROM rooms WHERE floor = 2 FOR UPDATE",
            Some(4),
            "exact",
        ),
    ] {
        let blast = stage.blast(sql).await?;
        let (rows, known) = known(&blast);
        ensure!(
            known == source && (want.is_none() || rows == want),
            "{sql}: {blast:#}"
        );
    }
    // Rows the transaction has not committed yet count too.
    stage.client.query("BEGIN").await?;
    let blast = stage.blast("DELETE FROM rooms WHERE floor = 2").await?;
    ensure!(known(&blast).0 == Some(4), "{blast:#}");
    stage.client.query("ROLLBACK").await?;

    let blast = stage.blast("UPDATE cleanup SET id = 0").await?;
    ensure!(
        known(&blast).1 == "estimated",
        "a rule makes it a DELETE: {blast:#}"
    );
    let blast = stage
        .blast("DELETE FROM visits WHERE id = 1; ALTER TABLE visits ADD x int; DELETE FROM visits")
        .await?;
    ensure!(known(&blast) == (None, json!("unknown")), "{blast:#}");
    Ok(())
}

#[tokio::test]
async fn rows_are_counted_where_that_is_sound() {
    rows_by_kind().await.unwrap();
}

async fn more_than_is_counted() -> Result<()> {
    let mut stage = Stage::open().await?;
    let admin = stage.world.database.admin().await?;
    admin
        .batch_execute(
            "INSERT INTO visits(patient_id, visited_at) SELECT 7, now() FROM generate_series(1, 130000); ANALYZE visits",
        )
        .await?;
    let blast = stage.blast("DELETE FROM patients WHERE id = 7").await?;
    let visits = cascades(&blast).into_iter().find(|c| c.0 == "visits");
    ensure!(
        visits.is_some_and(|c| (c.2, c.3.as_str()) == (Some(100_000), "bounded")),
        "{blast:#}"
    );
    let blast = stage
        .blast("DELETE FROM visits WHERE patient_id = 7")
        .await?;
    let (guess, known) = rows(&blast["rows"]);
    ensure!(known == "estimated" && guess > Some(100_000), "{blast:#}");
    let note = blast["rows"]["note"].as_str().unwrap_or_default();
    ensure!(note.contains("more than 100,000"), "{blast:#}");
    Ok(())
}

/// Rows that refer to rows of their own table, counted as far as that goes.
#[tokio::test]
async fn a_table_may_refer_to_itself() -> Result<()> {
    let mut stage = Stage::open().await?;
    let admin = stage.world.database.admin().await?;
    admin
        .batch_execute(
            "CREATE TABLE departments (id int PRIMARY KEY, parent int REFERENCES departments ON DELETE CASCADE);
             CREATE TABLE desks (id int, department int REFERENCES departments ON DELETE CASCADE);
             INSERT INTO departments SELECT i, CASE WHEN i > 9 THEN i / 10 END FROM generate_series(1, 999) i;
             INSERT INTO desks SELECT i, i FROM generate_series(1, 999) i;
             GRANT ALL ON departments, desks TO PUBLIC; ANALYZE",
        )
        .await?;
    let blast = stage.blast("DELETE FROM departments WHERE id = 5").await?;
    ensure!(rows(&blast["rows"]) == (Some(1), "exact"), "{blast:#}");
    let found: Vec<_> = cascades(&blast)
        .into_iter()
        .map(|c| (c.0, c.2, c.3))
        .collect();
    let want: Vec<_> = [("departments", 110), ("desks", 111)]
        .map(|(table, rows)| (table.to_owned(), Some(rows), "exact".to_owned()))
        .into();
    ensure!(found == want, "{blast:#}");
    Ok(())
}

#[tokio::test]
async fn counting_stops() {
    more_than_is_counted().await.unwrap();
}

async fn parameters() -> Result<()> {
    let mut stage = Stage::open().await?;
    // Binary for the second parameter, whose type the server finds out; the first is not in the predicate.
    let parse = message(
        b'P',
        b"\0UPDATE visits SET reason = $1 WHERE patient_id = $2\0\0\0",
    );
    let mut bind = b"\0\0\0\x02\0\0\0\x01\0\x02".to_vec();
    bind.extend_from_slice(&[0, 0, 0, 1, b'x', 0, 0, 0, 8]);
    bind.extend_from_slice(&7_i64.to_be_bytes());
    bind.extend_from_slice(&[0, 0]);
    let group = [
        parse,
        message(b'B', &bind),
        message(b'E', b"\0\0\0\0\0"),
        message(b'S', b""),
    ];
    stage.client.send(&group.concat()).await?;
    let blast = stage.held().await?;
    ensure!(rows(&blast["rows"]) == (Some(5), "exact"), "{blast:#}");
    Ok(())
}

#[tokio::test]
async fn predicates_with_parameters_are_counted() {
    parameters().await.unwrap();
}

async fn others_in_the_way() -> Result<()> {
    let mut stage = Stage::open().await?;
    let holder = stage.world.database.admin().await?;
    holder
        .batch_execute("BEGIN; SELECT count(*) FROM rooms")
        .await?;
    let blast = stage.blast("ALTER TABLE rooms ADD COLUMN x int").await?;
    ensure!(
        blast["blocks_now"] == 1 && blast["waits_for"] == 1,
        "{blast:#}"
    );
    let blast = stage.blast("DELETE FROM rooms").await?;
    ensure!(
        blast["blocks_now"] == 0,
        "a reader is not in the way of a DELETE: {blast:#}"
    );
    holder
        .batch_execute("ROLLBACK; BEGIN; LOCK TABLE rooms")
        .await?;
    // Now even EXPLAIN has to wait, and gives up.
    let blast = stage.blast("DELETE FROM rooms WHERE floor = 1").await?;
    ensure!(rows(&blast["rows"]) == (None, "unknown"), "{blast:#}");
    ensure!(
        blast["rows"]["note"]
            .as_str()
            .is_some_and(|note| note.contains("holds a lock")),
        "{blast:#}"
    );
    ensure!(
        blast["blocks_now"] == 1 && blast["waits_for"] == 1,
        "{blast:#}"
    );
    holder.batch_execute("ROLLBACK").await?;
    Ok(())
}

#[tokio::test]
async fn sessions_in_the_way_are_counted() {
    others_in_the_way().await.unwrap();
}

async fn too_slow() -> Result<()> {
    let mut stage = Stage::with(|config| {
        config
            .limits
            .insert("probe_timeout", "\"100ms\"".to_owned());
    })
    .await?;
    // Slow by its rows, not by a function: nothing keeps it from being explained.
    let slow = "DELETE FROM rooms WHERE floor < (SELECT count(*) FROM visits a, visits b, visits c WHERE a.id < b.id)";
    let blast = stage.blast(slow).await?;
    ensure!(blast["rows"]["source"] != "exact", "{blast:#}");
    ensure!(
        blast["rows"]["note"]
            .as_str()
            .is_some_and(|note| note.contains("too long")),
        "{blast:#}"
    );
    // The connection is as it was.
    stage.client.query("SELECT 1").await?;
    stage
        .world
        .database
        .never_saw("DELETE FROM rooms WHERE floor < ")
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_probe_that_takes_too_long_leaves_unknown() {
    too_slow().await.unwrap();
}

/// A rule may ask for a size only the server can tell: what is found out decides, and the reviewer sees the same.
#[tokio::test]
async fn rules_may_depend_on_what_was_found_out() -> Result<()> {
    let mut stage = Stage::with(|config| {
        config.policy = r#"
[policy]
default = "hold"
route = "dba"

[[rule]]
name = "reads-pass"
class = ["read", "session", "transaction"]
verdict = "allow"

[[rule]]
name = "small-writes-pass"
class = ["write"]
when = "blast.rows <= 3"
verdict = "allow"
"#
        .to_owned();
    })
    .await?;
    // One row by key: found out, small, and it runs without anybody asked.
    let replies = stage
        .client
        .query("UPDATE appointments SET room = room WHERE id = 1")
        .await?;
    ensure!(
        replies
            .iter()
            .find_map(abeyance_e2e::Reply::sqlstate)
            .is_none(),
        "{replies:?}"
    );
    // The same shape over more rows is asked, with the number the rule saw.
    let blast = stage
        .blast("UPDATE appointments SET room = room WHERE id >= 1")
        .await?;
    let (count, _) = rows(&blast["rows"]);
    ensure!(count.is_some_and(|count| count > 3), "{blast}");
    // Each statement of a batch by its own size.
    let replies = stage
        .client
        .query("UPDATE appointments SET room = room WHERE id = 1; UPDATE visits SET notes = notes WHERE id = 2")
        .await?;
    ensure!(
        replies
            .iter()
            .find_map(abeyance_e2e::Reply::sqlstate)
            .is_none(),
        "{replies:?}"
    );
    stage
        .blast("UPDATE appointments SET room = room WHERE id = 1; UPDATE visits SET notes = notes WHERE id < 9")
        .await?;
    // What nobody can count is not small.
    stage
        .blast("UPDATE appointments SET room = room WHERE id = 1 AND random() < 2")
        .await?;
    Ok(())
}
