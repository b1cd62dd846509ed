//! Two approvers and two proxies on one PostgreSQL store: whichever of them dies, nothing decided is lost, nothing
//! runs twice, and nobody waits for a proxy that is gone.

use std::sync::Arc;

use abeyance_e2e::{
    Abeyance, Approver, Config, Database, PATIENCE, Postgres, RawClient, Reply, eventually,
    postgres::{PASSWORD, User},
    world::{APPROVE, BOB, CHANNEL, Mode, connect_slack, pending, slack_for},
};
use abeyance_slack_double::{Message, SlackDouble};
use anyhow::{Context as _, Result, ensure};

const GONE: &str = "DELETE FROM rooms WHERE floor = 2";
const LEASE: &str = "proxy_lease = \"2s\"\n";

/// Two of each, with one Slack.
struct Farm {
    approvers: [Abeyance; 2],
    proxies: [Abeyance; 2],
    slack: Arc<SlackDouble>,
    database: Database,
}

impl Farm {
    /// The first proxy asks the first approver first, the second the second.
    async fn start() -> Result<Self> {
        let server = Postgres::start().await?;
        let database = server.database().await?;
        let mut config = Config::for_database(&database);
        config.store_in(&server).await?;
        LEASE.clone_into(&mut config.approver_lines);
        let slack = slack_for(&mut config, Mode::Socket).await?;
        let approvers = [
            Abeyance::approver_only(&config).await?,
            Abeyance::approver_only(&config).await?,
        ];
        for approver in &approvers {
            connect_slack(&slack, Mode::Socket, approver).await?;
        }
        let [a, b] = [approvers[0].approver_url()?, approvers[1].approver_url()?];
        let proxies = [
            Abeyance::proxy_of(&config, &[&a, &b]).await?,
            Abeyance::proxy_of(&config, &[&b, &a]).await?,
        ];
        Ok(Self {
            approvers,
            proxies,
            slack,
            database,
        })
    }

    async fn client(&self, proxy: usize) -> Result<RawClient> {
        let address = self.proxies[proxy].proxy()?;
        RawClient::log_in(address, User::Scram.name(), &self.database.name, PASSWORD).await
    }

    /// A person at one approver.
    fn bob(&self, approver: usize) -> Result<Approver> {
        Ok(Approver::new(
            &self.approvers[approver].approver_url()?,
            "bob",
        ))
    }

    async fn state(&self, approver: usize, hold: &str) -> Result<Option<String>> {
        let holds = self.bob(approver)?.holds().await?;
        let found = holds.iter().find(|view| view["id"] == hold);
        Ok(found.and_then(|view| view["state"].as_str().map(str::to_owned)))
    }

    async fn until(&self, approver: usize, hold: &str, state: &str) -> Result<()> {
        eventually(&format!("{hold} to be {state}"), || async move {
            let now = self.state(approver, hold).await?;
            Ok((now.as_deref() == Some(state)).then_some(()))
        })
        .await
    }
}

/// Sends what will be held, and waits for the notice that says so.
async fn held(client: &mut RawClient) -> Result<()> {
    client.start_query(GONE).await?;
    client.until(b'N').await?;
    Ok(())
}

/// The one hold that waits.
async fn waiting(bob: &Approver) -> Result<String> {
    eventually("a hold that waits", || async move {
        Ok(bob.in_state("pending").await?.pop())
    })
    .await
}

/// The card of a hold says something.
async fn card_saying(farm: &Farm, hold: &str, words: &str) -> Result<()> {
    let said = |message: &Message| {
        let text = message.all_text();
        text.contains(hold) && text.contains(words)
    };
    let found = farm.slack.wait_for_message(CHANNEL, PATIENCE, said).await;
    let cards = || farm.slack.messages(CHANNEL);
    found.with_context(|| format!("no card says {words}: {:?}", cards()))?;
    Ok(())
}

fn deleted(replies: &[Reply]) -> bool {
    let done = |reply: &Reply| reply.tag == b'C' && reply.body.starts_with(b"DELETE 4");
    replies.iter().any(done)
}

#[tokio::test]
async fn a_decision_at_one_releases_a_session_at_the_other() {
    let farm = Farm::start().await.unwrap();
    let mut client = farm.client(1).await.unwrap();
    held(&mut client).await.unwrap();
    let hold = waiting(&farm.bob(0).unwrap()).await.unwrap();
    let bob = farm.bob(0).unwrap();
    bob.decide(&hold, "approve", None).await.unwrap();
    let replies = client.until(b'Z').await.unwrap();
    assert!(deleted(&replies), "{replies:?}");
    farm.until(0, &hold, "executed").await.unwrap();
    // Two approvers, one card.
    card_saying(&farm, &hold, "ran: 4 rows").await.unwrap();
    assert_eq!(farm.slack.messages(CHANNEL).len(), 1);
}

#[tokio::test]
async fn a_click_counts_whichever_approver_gets_it() {
    let farm = Farm::start().await.unwrap();
    for proxy in [0, 1, 0, 1] {
        let mut client = farm.client(proxy).await.unwrap();
        client.query("BEGIN").await.unwrap();
        held(&mut client).await.unwrap();
        let card = pending(&farm.slack).await.unwrap();
        let click = farm.slack.click(BOB, CHANNEL, &card.ts, APPROVE).await;
        assert!(click.unwrap().acked());
        let replies = client.until(b'Z').await.unwrap();
        assert!(deleted(&replies), "{replies:?}");
        client.query("ROLLBACK").await.unwrap();
    }
}

#[tokio::test]
async fn an_approver_that_dies_loses_no_decision() {
    let mut farm = Farm::start().await.unwrap();
    let mut client = farm.client(0).await.unwrap();
    held(&mut client).await.unwrap();
    let hold = waiting(&farm.bob(1).unwrap()).await.unwrap();
    // The decision is made where the session's proxy asks, and that approver dies at once.
    let bob = farm.bob(0).unwrap();
    bob.decide(&hold, "approve", None).await.unwrap();
    farm.approvers[0].kill().unwrap();
    let replies = client.until(b'Z').await.unwrap();
    assert!(deleted(&replies), "{replies:?}");
    farm.until(1, &hold, "executed").await.unwrap();
    let left = farm
        .database
        .number("SELECT count(*) FROM rooms WHERE floor = 2");
    assert_eq!(left.await.unwrap(), 0);

    // Nobody needs the first one for the next statement, and it comes back as if nothing had been.
    farm.approvers[0].restart().await.unwrap();
    let mut client = farm.client(0).await.unwrap();
    client
        .start_query("DELETE FROM rooms WHERE floor = 1")
        .await
        .unwrap();
    client.until(b'N').await.unwrap();
    let hold = waiting(&farm.bob(0).unwrap()).await.unwrap();
    farm.approvers[1].kill().unwrap();
    let bob = farm.bob(0).unwrap();
    bob.decide(&hold, "approve", None).await.unwrap();
    let replies = client.until(b'Z').await.unwrap();
    assert!(replies.iter().any(|reply| reply.tag == b'C'), "{replies:?}");
}

#[tokio::test]
async fn the_holds_of_a_proxy_that_dies_are_withdrawn() {
    let mut farm = Farm::start().await.unwrap();
    let mut client = farm.client(0).await.unwrap();
    held(&mut client).await.unwrap();
    let hold = waiting(&farm.bob(1).unwrap()).await.unwrap();
    let mut other = farm.client(1).await.unwrap();
    other.query("BEGIN").await.unwrap();
    held(&mut other).await.unwrap();
    farm.proxies[0].kill().unwrap();
    farm.until(1, &hold, "withdrawn").await.unwrap();
    let refused = farm.bob(0).unwrap().decide(&hold, "approve", None).await;
    assert!(refused.is_err());
    card_saying(&farm, &hold, "the proxy went away")
        .await
        .unwrap();

    // The other proxy's hold is not touched.
    let kept = waiting(&farm.bob(0).unwrap()).await.unwrap();
    let bob = farm.bob(0).unwrap();
    bob.decide(&kept, "approve", None).await.unwrap();
    let replies = other.until(b'Z').await.unwrap();
    assert!(deleted(&replies), "{replies:?}");
}

#[tokio::test]
async fn a_restart_of_both_approvers_one_by_one_is_not_noticed() {
    let mut farm = Farm::start().await.unwrap();
    let mut client = farm.client(0).await.unwrap();
    held(&mut client).await.unwrap();
    let hold = waiting(&farm.bob(1).unwrap()).await.unwrap();
    for approver in [0, 1] {
        let ended = farm.approvers[approver].stop().await.unwrap();
        assert!(ended.success());
        farm.approvers[approver].restart().await.unwrap();
    }
    let check = async {
        ensure!(farm.state(0, &hold).await?.as_deref() == Some("pending"));
        farm.bob(1)?.decide(&hold, "approve", None).await
    };
    check.await.unwrap();
    let replies = client.until(b'Z').await.unwrap();
    assert!(deleted(&replies), "{replies:?}");
}

#[tokio::test]
async fn a_proxy_that_is_told_to_stop_withdraws_what_waits() {
    let mut farm = Farm::start().await.unwrap();
    let mut client = farm.client(0).await.unwrap();
    held(&mut client).await.unwrap();
    let hold = waiting(&farm.bob(1).unwrap()).await.unwrap();
    let stopped = farm.proxies[0].stop();
    let (stopped, told) = tokio::join!(stopped, client.until(b'E'));
    assert!(stopped.unwrap().success());
    let told = told.unwrap();
    let error = told.last().unwrap();
    assert_eq!(error.sqlstate().as_deref(), Some("57P01"), "{told:?}");
    farm.until(0, &hold, "withdrawn").await.unwrap();
}

#[tokio::test]
async fn whole_installations_share_a_store_too() {
    let server = Postgres::start().await.unwrap();
    let database = server.database().await.unwrap();
    let mut config = Config::for_database(&database);
    config.store_in(&server).await.unwrap();
    LEASE.clone_into(&mut config.approver_lines);
    let mut one = Abeyance::serve(&config).await.unwrap();
    let other = Abeyance::serve(&config).await.unwrap();
    let bob = Approver::new(&other.approver_url().unwrap(), "bob");
    let user = User::Scram.name();
    let address = one.proxy().unwrap().to_owned();
    let log_in = || RawClient::log_in(&address, user, &database.name, PASSWORD);

    let mut client = log_in().await.unwrap();
    client.query("BEGIN").await.unwrap();
    held(&mut client).await.unwrap();
    let hold = waiting(&bob).await.unwrap();
    bob.decide(&hold, "approve", None).await.unwrap();
    let replies = client.until(b'Z').await.unwrap();
    assert!(deleted(&replies), "{replies:?}");
    client.query("ROLLBACK").await.unwrap();

    held(&mut client).await.unwrap();
    let hold = waiting(&bob).await.unwrap();
    one.kill().unwrap();
    eventually("the hold to be withdrawn", || async {
        let withdrawn = bob.in_state("withdrawn").await?;
        Ok(withdrawn.contains(&hold).then_some(()))
    })
    .await
    .unwrap();
}
