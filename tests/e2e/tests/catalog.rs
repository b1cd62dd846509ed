//! Statements are judged against the target's catalog as the session sees it, and go on being so while it changes.

use abeyance_e2e::{
    RawClient, Reply, World, eventually, message,
    world::{Always, Mode},
};
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;

/// Everything passes that is understood to its end.
const RULES: &str = r#"
[policy]
default = "hold"
route = "dba"

[[rule]]
name = "work"
class = ["read", "write", "ddl", "session", "session_risk", "transaction"]
verdict = "allow"
"#;

/// The clinic's view that calls a function which deletes.
const QUIET: &str = "SELECT * FROM quiet_view";

async fn world() -> Result<World> {
    World::with(Mode::Socket, |config| {
        RULES.clone_into(&mut config.policy);
        config.replace_in_targets("environment", "catalog_poll = \"1s\"\nenvironment");
    })
    .await
}

/// Whether a query was asked about (and denied: somebody denies everything here).
async fn is_held(client: &mut RawClient, sql: &str) -> Result<bool> {
    asked(&client.query(sql).await?).with_context(|| sql.to_owned())
}

fn asked(replies: &[Reply]) -> Result<bool> {
    let error = replies.iter().find_map(Reply::sqlstate);
    match error.as_deref() {
        None => Ok(false),
        Some("42501") => Ok(true),
        Some(other) => anyhow::bail!("failed with {other}: {replies:?}"),
    }
}

async fn passes(client: &mut RawClient, sql: &str) -> Result<()> {
    ensure!(!is_held(client, sql).await?, "{sql} was held");
    Ok(())
}

async fn held(client: &mut RawClient, sql: &str) -> Result<()> {
    ensure!(is_held(client, sql).await?, "{sql} was not held");
    Ok(())
}

/// Parse and Sync.
async fn prepare(client: &mut RawClient, name: &str, sql: &str) -> Result<()> {
    let body = [name.as_bytes(), b"\0", sql.as_bytes(), b"\0\0\0"].concat();
    client
        .send(&[message(b'P', &body), message(b'S', b"")].concat())
        .await?;
    let replies = client.until(b'Z').await?;
    ensure!(replies.iter().all(|reply| reply.tag != b'E'), "{replies:?}");
    Ok(())
}

/// Bind, Execute and Sync.
async fn execution_is_held(client: &mut RawClient, name: &str) -> Result<bool> {
    let bind = [b"\0", name.as_bytes(), b"\0", &[0; 6]].concat();
    let messages = [
        message(b'B', &bind),
        message(b'E', &[0; 5]),
        message(b'S', b""),
    ];
    client.send(&messages.concat()).await?;
    asked(&client.until(b'Z').await?)
}

fn times_read(world: &World) -> usize {
    let log = world.abeyance.log();
    log.iter()
        .filter(|line| line.contains("catalog read"))
        .count()
}

#[tokio::test]
async fn a_cold_start_reads_the_catalog_once() {
    let world = world().await.unwrap();
    let sessions = (0..50).map(|_| async {
        let mut client = world.client().await?;
        passes(&mut client, "SELECT count(*) FROM rooms").await
    });
    try_join_all(sessions).await.unwrap();
    assert_eq!(times_read(&world), 1, "{:#?}", world.abeyance.log());
}

/// Somebody replaces a view past the proxy: both a query and a statement that was prepared before are held soon.
#[tokio::test]
async fn a_view_that_was_replaced_elsewhere_is_seen() {
    let world = world().await.unwrap();
    let _denier = world.decide_all(Always::Deny("not that"));
    let admin = world.database.admin().await.unwrap();
    admin
        .batch_execute(
            "CREATE VIEW report AS SELECT room, 1::bigint AS n FROM rooms; GRANT SELECT ON report TO PUBLIC",
        )
        .await
        .unwrap();
    let mut client = world.client().await.unwrap();
    for sql in [
        "SELECT * FROM report",
        "PREPARE again AS SELECT * FROM report",
        "EXECUTE again",
    ] {
        passes(&mut client, sql).await.unwrap();
    }
    admin
        .batch_execute(
            "CREATE OR REPLACE VIEW report AS SELECT room, (SELECT count(*) FROM purge_patient(-1)) AS n FROM rooms",
        )
        .await
        .unwrap();
    let mut other = world.client().await.unwrap();
    eventually("the other view to be seen", || async {
        let mut client = world.client().await?;
        Ok(is_held(&mut client, "SELECT * FROM report")
            .await?
            .then_some(()))
    })
    .await
    .unwrap();
    for client in [&mut client, &mut other] {
        held(client, "SELECT * FROM report").await.unwrap();
    }
    held(&mut client, "EXECUTE again").await.unwrap();
}

/// What is not in the catalog may be new: it is looked for before anybody is asked.
#[tokio::test]
async fn a_table_made_elsewhere_is_found_at_once() {
    let world = world().await.unwrap();
    let _denier = world.decide_all(Always::Deny("not that"));
    let mut client = world.client().await.unwrap();
    passes(&mut client, "SELECT count(*) FROM rooms")
        .await
        .unwrap();
    let admin = world.database.admin().await.unwrap();
    admin
        .batch_execute("CREATE TABLE fresh (id int); GRANT SELECT ON fresh TO PUBLIC")
        .await
        .unwrap();
    passes(&mut client, "SELECT * FROM fresh").await.unwrap();
}

#[tokio::test]
async fn a_temporary_table_is_what_its_name_stands_for() {
    let world = world().await.unwrap();
    let _denier = world.decide_all(Always::Deny("not that"));
    let mut client = world.client().await.unwrap();
    held(&mut client, QUIET).await.unwrap();
    // Naming a statement runs nothing.
    prepare(&mut client, "before", QUIET).await.unwrap();
    assert!(execution_is_held(&mut client, "before").await.unwrap());
    passes(&mut client, "CREATE TEMP TABLE quiet_view (id int)")
        .await
        .unwrap();
    passes(&mut client, QUIET).await.unwrap();
    prepare(&mut client, "after", QUIET).await.unwrap();
    assert!(!execution_is_held(&mut client, "after").await.unwrap());
    // The server may still run this one on the view: it was analysed for it.
    assert!(execution_is_held(&mut client, "before").await.unwrap());
    held(&mut client, "SELECT * FROM public.quiet_view")
        .await
        .unwrap();
    passes(&mut client, "DISCARD TEMP").await.unwrap();
    held(&mut client, QUIET).await.unwrap();
    // In one go nobody can say which one it is.
    held(
        &mut client,
        "CREATE TEMP TABLE quiet_view (id int); SELECT * FROM quiet_view",
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn the_search_path_decides_what_a_name_stands_for() {
    let world = world().await.unwrap();
    let _denier = world.decide_all(Always::Deny("not that"));
    let admin = world.database.admin().await.unwrap();
    admin
        .batch_execute(
            "CREATE SCHEMA ward; CREATE VIEW ward.quiet_view AS SELECT 1 AS one; \
             GRANT USAGE ON SCHEMA ward TO PUBLIC; GRANT ALL ON ward.quiet_view TO PUBLIC",
        )
        .await
        .unwrap();
    let mut client = world.client().await.unwrap();
    held(&mut client, QUIET).await.unwrap();
    passes(&mut client, "SET search_path = ward").await.unwrap();
    passes(&mut client, QUIET).await.unwrap();
    held(
        &mut client,
        "SET search_path = public; SELECT * FROM quiet_view",
    )
    .await
    .unwrap();
    passes(&mut client, QUIET).await.unwrap();
    passes(&mut client, "BEGIN").await.unwrap();
    passes(&mut client, "SET LOCAL search_path = public")
        .await
        .unwrap();
    held(&mut client, QUIET).await.unwrap();
    passes(&mut client, "ROLLBACK").await.unwrap();
    passes(&mut client, QUIET).await.unwrap();
    passes(&mut client, "RESET search_path").await.unwrap();
    held(&mut client, QUIET).await.unwrap();
}

#[tokio::test]
async fn uncommitted_definitions_count_and_go_with_a_rollback() {
    let world = world().await.unwrap();
    let _denier = world.decide_all(Always::Deny("not that"));
    let admin = world.database.admin().await.unwrap();
    admin
        .batch_execute(
            "CREATE VIEW report AS SELECT room, 1::bigint AS n FROM rooms; GRANT SELECT ON report TO PUBLIC; \
             GRANT CREATE ON SCHEMA public TO PUBLIC; ALTER VIEW report OWNER TO app_scram",
        )
        .await
        .unwrap();
    let mut client = world.client().await.unwrap();
    let mut other = world.client().await.unwrap();
    passes(&mut client, "BEGIN").await.unwrap();
    passes(&mut client, "CREATE TABLE mine (id int)")
        .await
        .unwrap();
    passes(&mut client, "INSERT INTO mine VALUES (1)")
        .await
        .unwrap();
    passes(
        &mut client,
        "CREATE OR REPLACE VIEW report AS SELECT room, (SELECT count(*) FROM purge_patient(-1)) AS n FROM rooms",
    )
    .await
    .unwrap();
    passes(&mut client, "SELECT * FROM mine").await.unwrap();
    passes(&mut other, "SELECT room FROM rooms").await.unwrap();
    held(&mut client, "SELECT * FROM report").await.unwrap();
    passes(&mut client, "ROLLBACK").await.unwrap();
    passes(&mut client, "SELECT * FROM report").await.unwrap();
    passes(&mut other, "SELECT * FROM report").await.unwrap();
}

/// Once committed, every session sees it with its next statement.
#[tokio::test]
async fn what_was_committed_through_the_proxy_is_seen_by_all() {
    let world = World::with(Mode::Socket, |config| {
        RULES.clone_into(&mut config.policy);
        // Longer than the test: nothing but the commit itself tells of it.
        config.replace_in_targets("environment", "catalog_poll = \"10m\"\nenvironment");
    })
    .await
    .unwrap();
    let _denier = world.decide_all(Always::Deny("not that"));
    let admin = world.database.admin().await.unwrap();
    admin
        .batch_execute(
            "CREATE VIEW report AS SELECT room, 1::bigint AS n FROM rooms; GRANT SELECT ON report TO PUBLIC; \
             ALTER VIEW report OWNER TO app_scram",
        )
        .await
        .unwrap();
    let mut client = world.client().await.unwrap();
    let mut other = world.client().await.unwrap();
    passes(&mut other, "SELECT * FROM report").await.unwrap();
    passes(&mut client, "BEGIN").await.unwrap();
    passes(
        &mut client,
        "CREATE OR REPLACE VIEW report AS SELECT room, (SELECT count(*) FROM purge_patient(-1)) AS n FROM rooms",
    )
    .await
    .unwrap();
    passes(&mut client, "COMMIT").await.unwrap();
    held(&mut other, "SELECT * FROM report").await.unwrap();
    held(&mut client, "SELECT * FROM report").await.unwrap();
}

/// A login that may not read all of the catalog still works, more guarded, until it may.
#[tokio::test]
async fn without_the_catalog_names_are_doubted() {
    let world = world().await.unwrap();
    let _denier = world.decide_all(Always::Deny("not that"));
    let admin = world.database.admin().await.unwrap();
    admin
        .batch_execute("REVOKE SELECT ON pg_catalog.pg_trigger FROM PUBLIC")
        .await
        .unwrap();
    let mut client = world.client().await.unwrap();
    passes(&mut client, "BEGIN").await.unwrap();
    passes(&mut client, "COMMIT").await.unwrap();
    let replies = client.query("SELECT count(*) FROM rooms").await.unwrap();
    let said = format!("{replies:?}");
    assert!(said.contains("42501"), "{said}");
    let log = world.abeyance.log().join("\n");
    assert!(log.contains("the target's catalog cannot be read"), "{log}");
    admin
        .batch_execute("GRANT SELECT ON pg_catalog.pg_trigger TO PUBLIC")
        .await
        .unwrap();
    eventually("the catalog to be read", || async {
        let mut client = world.client().await?;
        let held = is_held(&mut client, "SELECT count(*) FROM rooms").await?;
        Ok((!held).then_some(()))
    })
    .await
    .unwrap();
    passes(&mut client, "SELECT count(*) FROM rooms")
        .await
        .unwrap();
}

/// Nothing stays behind once the last session has left.
#[tokio::test]
async fn the_connection_for_the_catalog_goes_with_the_last_session() {
    let world = world().await.unwrap();
    let mut client = world.client().await.unwrap();
    passes(&mut client, "SELECT count(*) FROM rooms")
        .await
        .unwrap();
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'abeyance catalog' \
                AND datname = current_database()";
    assert_eq!(world.database.number(ours).await.unwrap(), 1);
    client.finish().await.unwrap();
    eventually("the connection to close", || async {
        Ok((world.database.number(ours).await? == 0).then_some(()))
    })
    .await
    .unwrap();
}
