//! What the server says in an error about rows it would have made: nothing of it reaches a client while columns are
//! protected, whichever way the error takes, and everything does while none are.

use abeyance_e2e::{
    Abeyance, Config, Database, Postgres, RawClient,
    postgres::{PASSWORD, User},
};
use anyhow::{Context, Result, ensure};

/// Writes pass, and the notes of visits are protected.
const PROTECTING: &str = r#"
[policy]
default = "hold"
route = "dba"

[[protect]]
name = "notes"
columns = ["visits.notes"]

[[rule]]
name = "work-passes"
class = ["read", "write", "session", "transaction"]
verdict = "allow"
"#;

/// Each breaks a constraint, and would show a row with its notes. The last fails when its transaction ends.
const BREAKS: [&str; 3] = [
    "UPDATE visits SET visited_at = NULL WHERE id = 1",
    "UPDATE visits SET doctor = 'x' WHERE id = 1",
    "UPDATE visits SET reason = reason WHERE id = 1",
];

async fn details(database: &Database, policy: &str, rows_max: bool) -> Result<Vec<String>> {
    let policy = match rows_max {
        // In a transaction of the proxy's own.
        true => policy.replace("verdict = \"allow\"", "verdict = \"allow\"\nrows_max = 10"),
        false => policy.to_owned(),
    };
    let abeyance = Abeyance::serve(&Config::for_database(database).policy(&policy)).await?;
    let user = User::Scram.name();
    let mut client = RawClient::log_in(abeyance.proxy()?, user, &database.name, PASSWORD).await?;
    let mut details = Vec::new();
    for sql in BREAKS {
        client.start_query(sql).await?;
        let replies = client.until(b'Z').await?;
        let error = replies.iter().find(|reply| reply.tag == b'E');
        let error = error.with_context(|| format!("{sql}: {replies:?}"))?;
        let state = error.sqlstate().context("no SQLSTATE")?;
        ensure!(state.starts_with("23"), "{sql}: {state}");
        details.push(error.field(b'D').unwrap_or_default());
    }
    Ok(details)
}

#[tokio::test]
async fn no_error_shows_a_protected_row() -> Result<()> {
    let server = Postgres::start().await?;
    let database = server.database().await?;
    let admin = database.admin().await?;
    // One is checked when the row is written, one when the transaction ends.
    admin
        .batch_execute(
            "UPDATE visits SET notes = 'marked' WHERE id = 1; \
             ALTER TABLE visits ADD CHECK (doctor <> 'x'); \
             CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS \
               $$ BEGIN RAISE 'late' USING ERRCODE = '23514', DETAIL = 'the row has ' || NEW.notes; END $$; \
             CREATE CONSTRAINT TRIGGER late AFTER UPDATE OF reason ON visits DEFERRABLE INITIALLY DEFERRED \
               FOR EACH ROW EXECUTE FUNCTION late()",
        )
        .await?;
    for rows_max in [false, true] {
        for detail in details(&database, PROTECTING, rows_max).await? {
            ensure!(!detail.contains("marked"), "{detail}");
            ensure!(detail.starts_with("Not shown"), "{detail}");
        }
    }
    let (_, open) = PROTECTING.split_once("[[rule]]").context("no rule")?;
    let open = format!("[policy]\ndefault = \"hold\"\nroute = \"dba\"\n\n[[rule]]{open}");
    for detail in details(&database, &open, false).await? {
        ensure!(detail.contains("marked"), "{detail}");
    }
    Ok(())
}
