//! A configuration that changes while sessions are open: the next batch is judged by the new one, or by the old one
//! when the new one is wrong; and nothing runs on an approval that newer rules would not have asked for.

use abeyance_e2e::{
    RawClient, Reply, World,
    config::CAREFUL,
    message,
    world::{APPROVE, BOB, Mode},
};
use anyhow::{Result, ensure};

const GONE: &str = "DELETE FROM rooms WHERE floor = 2";
const NO_DELETES: &str = r#"
[[rule]]
name = "no-deletes-at-all"
kind = ["DELETE"]
verdict = "deny"
"#;

async fn world() -> Result<World> {
    let policy = |config: &mut abeyance_e2e::Config| CAREFUL.clone_into(&mut config.policy);
    World::with(Mode::Socket, policy).await
}

async fn reload(world: &mut World, change: impl FnOnce(String) -> String) -> Result<()> {
    let reloads = |world: &World| {
        let log = world.abeyance.log();
        log.iter()
            .filter(|line| line.contains("configuration reloaded"))
            .count()
    };
    let before = reloads(world);
    world.abeyance.edit(change)?;
    world.abeyance.hang_up()?;
    abeyance_e2e::eventually("the configuration to be reloaded", || {
        let done = reloads(world) > before;
        async move { Ok(done.then_some(())) }
    })
    .await
}

fn error(replies: &[Reply]) -> Option<String> {
    replies.iter().find(|reply| reply.tag == b'E')?.field(b'M')
}

/// The error a held statement ends with.
async fn refusal(client: &mut RawClient) -> Result<String> {
    let replies = client.until(b'Z').await?;
    error(&replies).ok_or_else(|| anyhow::anyhow!("no error: {replies:?}"))
}

#[tokio::test]
async fn the_next_statement_of_an_open_session_is_judged_by_the_new_rules() {
    let mut world = world().await.unwrap();
    let mut client = world.client().await.unwrap();
    let reads = "SELECT count(*) FROM rooms";
    assert_eq!(error(&client.query(reads).await.unwrap()), None);
    let no_reads = "\n[[rule]]\nname = \"no-reads\"\nclass = [\"read\"]\nverdict = \"deny\"\n";
    reload(&mut world, |text| text + no_reads).await.unwrap();
    let said = error(&client.query(reads).await.unwrap()).unwrap();
    assert!(said.contains("no-reads"), "{said}");
    reload(&mut world, |text| text.replace(no_reads, ""))
        .await
        .unwrap();
    assert_eq!(error(&client.query(reads).await.unwrap()), None);
}

#[tokio::test]
async fn an_open_portal_is_judged_by_the_new_rules() {
    let mut world = world().await.unwrap();
    let mut client = world.client().await.unwrap();
    client.query("BEGIN").await.unwrap();
    let more = [message(b'E', b"p\0\0\0\0\x01"), message(b'S', b"")].concat();
    let open = [
        message(b'P', b"\0SELECT room FROM rooms\0\0\0"),
        message(b'B', b"p\0\0\0\0\0\0\0\0"),
        more.clone(),
    ];
    for bytes in [&open.concat(), &more] {
        client.send(bytes).await.unwrap();
        assert_eq!(error(&client.until(b'Z').await.unwrap()), None);
    }
    let no_reads = "\n[[rule]]\nname = \"no-reads\"\nclass = [\"read\"]\nverdict = \"deny\"\n";
    reload(&mut world, |text| text + no_reads).await.unwrap();
    client.send(&more).await.unwrap();
    let said = error(&client.until(b'Z').await.unwrap()).unwrap();
    assert!(said.contains("no-reads"), "{said}");
}

#[tokio::test]
async fn a_changed_file_is_taken_up_without_being_asked() {
    let world = world().await.unwrap();
    let mut client = world.client().await.unwrap();
    let never = "\n[[rule]]\nname = \"never\"\nwhen = \"time.hour > 24\"\nverdict = \"deny\"\n";
    let change = |text: String| text + NO_DELETES + never;
    world.abeyance.edit(change).unwrap();
    let warning = ["WARN", "in the changed configuration", "time.hour"];
    world.abeyance.logged(&warning).await.unwrap();
    world
        .abeyance
        .logged(&["configuration reloaded"])
        .await
        .unwrap();
    let said = error(&client.query(GONE).await.unwrap()).unwrap();
    assert!(said.contains("no-deletes-at-all"), "{said}");
}

#[tokio::test]
async fn a_broken_file_changes_nothing() {
    let mut world = world().await.unwrap();
    let mut client = world.client().await.unwrap();
    let broken = format!("{NO_DELETES}\n[[rule]]\nname = \"odd\"\nverdict = \"perhaps\"\n");
    world.abeyance.edit(|text| text + &broken).unwrap();
    world.abeyance.hang_up().unwrap();
    let words = ["ERROR", "abeyance.toml:", "verdict"];
    world.abeyance.logged(&words).await.unwrap();
    world
        .abeyance
        .logged(&["configuration not reloaded"])
        .await
        .unwrap();
    client.start_query(GONE).await.unwrap();
    world.pending().await.unwrap();
    let fresh = world
        .client()
        .await
        .unwrap()
        .query("SELECT 1")
        .await
        .unwrap();
    assert_eq!(error(&fresh), None);
}

#[tokio::test]
async fn what_needs_a_restart_is_refused_whole() {
    let mut world = world().await.unwrap();
    let mut client = world.client().await.unwrap();
    let change = |text: String| {
        text.replace(
            "environment = \"test\"",
            "environment = \"test\"\nuser = \"other\"",
        )
        .replacen("\nuser = \"app_scram\"", "", 1)
            + NO_DELETES
    };
    world.abeyance.edit(change).unwrap();
    world.abeyance.hang_up().unwrap();
    world
        .abeyance
        .logged(&["needs a restart", ": user"])
        .await
        .unwrap();
    client.start_query(GONE).await.unwrap();
    world.pending().await.unwrap();
}

#[tokio::test]
async fn an_approval_does_not_outlive_the_rules_it_was_asked_under() {
    let mut world = world().await.unwrap();
    let mut client = world.client().await.unwrap();
    client.start_query(GONE).await.unwrap();
    let card = world.pending().await.unwrap();
    reload(&mut world, |text| text + NO_DELETES).await.unwrap();
    let clicked = world.click(BOB, &card, APPROVE).await.unwrap();
    assert!(clicked.acked(), "{clicked:?}");
    let said = refusal(&mut client).await.unwrap();
    assert!(
        said.contains("rules that changed meanwhile refuse it"),
        "{said}"
    );
    world.card_saying("may not run it any more").await.unwrap();
    world.database.never_saw("DELETE").await.unwrap();
    // The session goes on.
    assert_eq!(error(&client.query("SELECT 1").await.unwrap()), None);
}

#[tokio::test]
async fn laxer_rules_do_not_spoil_an_approval() {
    let mut world = world().await.unwrap();
    let mut client = world.client().await.unwrap();
    client.start_query(GONE).await.unwrap();
    let card = world.pending().await.unwrap();
    let passes =
        "\n[[rule]]\nname = \"all-pass\"\nclass = [\"read\", \"write\"]\nverdict = \"allow\"\n";
    reload(&mut world, |text| text + passes).await.unwrap();
    world.click(BOB, &card, APPROVE).await.unwrap();
    let replies = client.until(b'Z').await.unwrap();
    let done = replies
        .iter()
        .any(|reply| reply.tag == b'C' && reply.body.starts_with(b"DELETE 4"));
    assert!(done, "{replies:?}");
}

#[tokio::test]
async fn an_agent_that_is_gone_is_sent_away() {
    async fn gone(client: &mut RawClient) -> Result<()> {
        while let Some(reply) = client.next().await? {
            if reply.tag == b'E' {
                ensure!(reply.sqlstate().as_deref() == Some("57P01"), "{reply:?}");
                ensure!(client.next().await?.is_none(), "the connection stays");
                return Ok(());
            }
        }
        anyhow::bail!("closed without a word")
    }
    let mut world = world().await.unwrap();
    let mut idle = world.client().await.unwrap();
    let mut holding = world.client().await.unwrap();
    holding.start_query(GONE).await.unwrap();
    world.pending().await.unwrap();
    reload(&mut world, |text| {
        text.replace("name = \"app_scram\"\nowner", "name = \"somebody\"\nowner")
    })
    .await
    .unwrap();
    gone(&mut idle).await.unwrap();
    gone(&mut holding).await.unwrap();
    world.card_saying("the policy changed").await.unwrap();
    assert!(world.client().await.is_err(), "it may still connect");
}

#[tokio::test]
async fn an_agent_has_only_so_many_sessions() {
    let bounded = |config: &mut abeyance_e2e::Config| {
        CAREFUL.clone_into(&mut config.policy);
        config.replace_in_targets("environment", "sessions_max = 2\nenvironment");
    };
    let mut world = World::with(Mode::Socket, bounded).await.unwrap();
    let first = world.client().await.unwrap();
    let _second = world.client().await.unwrap();
    let full = world.client().await.unwrap_err();
    assert!(
        format!("{full:#}").contains("all of its 2 sessions"),
        "{full:#}"
    );
    drop(first);
    abeyance_e2e::eventually("a place to be free", || {
        let again = world.client();
        async move { Ok(again.await.ok()) }
    })
    .await
    .unwrap();
    reload(&mut world, |text| text.replace("sessions_max = 2\n", ""))
        .await
        .unwrap();
    let _third = world.client().await.unwrap();
    let _fourth = world.client().await.unwrap();
}

/// Whoever may not approve was taken from what the hold was opened with: under another owner it is asked anew.
#[tokio::test]
async fn an_agent_s_new_owner_approves_nothing_that_waited_under_the_old_one() {
    let mut world = world().await.unwrap();
    let mut client = world.client().await.unwrap();
    client.start_query(GONE).await.unwrap();
    let card = world.pending().await.unwrap();
    reload(&mut world, |text| {
        text.replace("owner = \"ann\"", "owner = \"bob\"")
    })
    .await
    .unwrap();
    let clicked = world.click(BOB, &card, APPROVE).await.unwrap();
    assert!(clicked.acked(), "{clicked:?}");
    let said = refusal(&mut client).await.unwrap();
    assert!(said.contains("owner"), "{said}");
    world.database.never_saw("DELETE").await.unwrap();
    // Asked anew, the new owner may not, and somebody else may.
    client.start_query(GONE).await.unwrap();
    let [ann, bob] = ["ann", "bob"].map(|person| world.approver(person).unwrap());
    let hold = abeyance_e2e::eventually("a hold that waits", || async {
        Ok(bob.in_state("pending").await?.pop())
    })
    .await
    .unwrap();
    assert!(bob.decide(&hold, "approve", None).await.is_err());
    ann.decide(&hold, "approve", None).await.unwrap();
    let replies = client.until(b'Z').await.unwrap();
    assert_eq!(error(&replies), None, "{replies:?}");
}

/// The same of a ticket that was approved before.
#[tokio::test]
async fn a_ticket_does_not_outlive_the_owner_who_could_not_approve_it() {
    let mut world = world().await.unwrap();
    let mut client = world.client().await.unwrap();
    client
        .query("SET abeyance.on_hold = 'ticket'")
        .await
        .unwrap();
    client.query(GONE).await.unwrap();
    let card = world.pending().await.unwrap();
    world.click(BOB, &card, APPROVE).await.unwrap();
    world.card_saying("pproved").await.unwrap();
    reload(&mut world, |text| {
        text.replace("owner = \"ann\"", "owner = \"bob\"")
    })
    .await
    .unwrap();
    let said = error(&client.query(GONE).await.unwrap()).unwrap();
    assert!(said.contains("HLD-"), "{said}");
    world.database.never_saw("DELETE").await.unwrap();
}
