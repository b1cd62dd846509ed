//! `abeyance grant` and `abeyance oncall`, as people run them against a running approver: what they change, and what
//! they say when they cannot.

use abeyance_api::{Clock as _, SystemClock};
use abeyance_e2e::{
    Process, World,
    abeyance::command,
    config::{PASSING, console_token},
    eventually,
    world::{Mode, hold_of},
};
use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

const GONE: &str = "DELETE FROM rooms WHERE floor = 2";

/// Nothing listens there.
const AWAY: &str = "http://127.0.0.1:1";

/// Bob and Cy, a day each; Ann stands in.
const SCHEDULE: &str = r#"
[[schedule]]
name = "dba"
zone = "Europe/Berlin"
stand_ins = ["ann"]

[[schedule.layer]]
name = "daily"
handoff = "0 9 * * *"
anchor = "2026-01-05"
turns = ["bob", "cy"]
"#;

/// What a command said, and how it ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    fn ok(self) -> Result<String> {
        ensure!(self.code == Some(0), "{self:?}");
        Ok(self.stdout)
    }

    fn refused(self, code: i32, words: &str) -> Result<()> {
        ensure!(
            self.code == Some(code),
            "{code} and {words:?} wanted: {self:?}"
        );
        ensure!(self.stderr.contains(words), "{words:?} wanted: {self:?}");
        ensure!(self.stdout.is_empty(), "{self:?}");
        Ok(())
    }
}

/// `abeyance ...` with a console token, at an approver.
async fn run(url: &str, token: &str, args: &[&str]) -> Result<Said> {
    let mut command = command()?;
    command
        .args(args)
        .env("ABEYANCE_APPROVER", url)
        .env("ABEYANCE_PERSON_TOKEN", token);
    let mut process = Process::start("abeyance", &mut command)?;
    let status = process.wait().await?;
    Ok(Said {
        code: status.code(),
        stdout: process.stdout().finished().join("\n"),
        stderr: process.stderr().finished().join("\n"),
    })
}

async fn by(world: &World, person: &str, args: &[&str]) -> Result<Said> {
    let url = world.abeyance.approver_url()?;
    run(&url, &console_token(person), args).await
}

async fn psql(world: &World, says: &str) -> Result<()> {
    let mut psql = world.psql(GONE)?;
    psql.wait().await?;
    let said = [psql.stdout().finished(), psql.stderr().finished()].concat();
    ensure!(
        said.iter().any(|line| line.contains(says)),
        "{says:?} wanted: {said:?}"
    );
    Ok(())
}

async fn waiting(world: &World) -> Result<String> {
    let bob = world.approver("bob")?;
    eventually("a hold that waits", || async {
        Ok(bob.in_state("pending").await?.pop())
    })
    .await
}

#[tokio::test]
async fn a_revoked_grant_covers_nothing_any_more() {
    revoked_grant().await.unwrap();
}

async fn revoked_grant() -> Result<()> {
    let world = World::start().await?;
    let mut first = world.psql(GONE)?;
    let hold = hold_of(&world.pending().await?)?;
    world.approver("bob")?.grant(&hold, 5).await?;
    first.wait().await?;
    ensure!(first.stdout().finished().join(" ").contains("DELETE 4"));
    psql(&world, "DELETE 0").await?;

    let listed = by(&world, "bob", &["grant", "list"]).await?.ok()?;
    for part in ["app_scram", "1 of 5 used", "by bob", "DELETE FROM rooms"] {
        ensure!(listed.contains(part), "{part:?} is missing: {listed}");
    }
    let id = listed.split(' ').next().context("an id")?;
    ensure!(id.starts_with("GRT-"), "{listed}");
    let json = ["grant", "list", "--format", "json"];
    let grant: Value = serde_json::from_str(&by(&world, "bob", &json).await?.ok()?)?;
    ensure!(grant["id"] == id && grant["used"] == 1, "{grant}");

    let revoke = ["grant", "revoke", id, "--reason", "enough"];
    by(&world, "eve", &revoke)
        .await?
        .refused(64, "not a reviewer")?;
    let unknown = ["grant", "revoke", "GRT-2222", "--reason", "enough"];
    by(&world, "bob", &unknown)
        .await?
        .refused(64, "no grant GRT-2222")?;
    let nonsense = ["grant", "revoke", "everything", "--reason", "enough"];
    by(&world, "bob", &nonsense).await?.refused(64, "GRT-")?;
    psql(&world, "DELETE 0").await?;

    let said = by(&world, "bob", &revoke).await?.ok()?;
    ensure!(
        said.contains("is revoked; it was used 2 of 5 times"),
        "{said}"
    );
    let mut held = world.psql(GONE)?;
    let hold = waiting(&world).await?;
    let bob = world.approver("bob")?;
    bob.decide(&hold, "deny", Some("not again")).await?;
    held.wait().await?;
    let said = held.stderr().finished().join("\n");
    ensure!(
        said.contains("42501") && said.contains("not again"),
        "{said}"
    );

    let active = by(&world, "bob", &["grant", "list"]).await?.ok()?;
    ensure!(active.is_empty(), "{active}");
    let all = by(&world, "bob", &["grant", "list", "--all"]).await?.ok()?;
    ensure!(all.contains(id) && all.contains("revoked by bob"), "{all}");
    by(&world, "bob", &revoke).await?.refused(64, "already")?;
    Ok(())
}

/// Where the schedule is, a moment in tomorrow's shift and one in that of the day after.
struct Plan {
    file: String,
    tomorrow: DateTime<Utc>,
    later: DateTime<Utc>,
}

async fn planned() -> Result<(World, Plan)> {
    let world = World::with(Mode::Socket, |config| {
        config.policy = format!("{SCHEDULE}{PASSING}");
    })
    .await?;
    let file = world.abeyance.folder().join("abeyance.toml");
    let now = SystemClock.now();
    let plan = Plan {
        file: file.display().to_string(),
        tomorrow: now + TimeDelta::days(1),
        later: now + TimeDelta::days(2),
    };
    Ok((world, plan))
}

/// Whom `oncall who` names.
async fn who(world: &World, plan: &Plan, at: DateTime<Utc>) -> Result<String> {
    let at = at.to_rfc3339();
    let args = [
        "oncall", "who", "--config", &plan.file, "--at", &at, "--format", "json",
    ];
    let line: Value = serde_json::from_str(&by(world, "bob", &args).await?.ok()?)?;
    ensure!(line["overrides_counted"] == true, "{line}");
    let people = line["people"].as_array().context("people")?;
    let names: Vec<&str> = people.iter().filter_map(Value::as_str).collect();
    Ok(names.join("+"))
}

#[tokio::test]
async fn swapped_shifts_change_people() {
    swapped().await.unwrap();
}

async fn swapped() -> Result<()> {
    let (world, plan) = planned().await?;
    let one = who(&world, &plan, plan.tomorrow).await?;
    let other = who(&world, &plan, plan.later).await?;
    ensure!(one != other, "{one} {other}");
    let (shift, with) = (plan.tomorrow.to_rfc3339(), plan.later.to_rfc3339());
    let swap = |schedule, with| {
        let shift = &shift;
        [
            "oncall",
            "swap",
            "--schedule",
            schedule,
            "--shift",
            shift,
            "--with",
            with,
            "--reason",
            "wedding",
        ]
    };
    by(&world, "bob", &swap("nights", &with))
        .await?
        .refused(64, "there is no schedule nights")?;
    by(&world, "bob", &swap("dba", &shift))
        .await?
        .refused(64, "same shift")?;
    by(&world, "eve", &swap("dba", &with))
        .await?
        .refused(64, "only people of schedule dba")?;
    ensure!(who(&world, &plan, plan.tomorrow).await? == one, "refused");

    let said = by(&world, "bob", &swap("dba", &with)).await?.ok()?;
    ensure!(
        said.lines().count() == 2 && said.contains("wedding"),
        "{said}"
    );
    ensure!(who(&world, &plan, plan.tomorrow).await? == other, "{said}");
    ensure!(who(&world, &plan, plan.later).await? == one, "{said}");
    Ok(())
}

#[tokio::test]
async fn an_override_counts_until_it_is_taken_back() {
    overridden().await.unwrap();
}

async fn overridden() -> Result<()> {
    let (world, plan) = planned().await?;
    let before = who(&world, &plan, plan.tomorrow).await?;
    let from = (plan.tomorrow - TimeDelta::hours(1)).to_rfc3339();
    let until = (plan.tomorrow + TimeDelta::hours(1)).to_rfc3339();
    let add = |schedule, people| {
        let (from, until) = (&from, &until);
        [
            "oncall",
            "override",
            "add",
            "--schedule",
            schedule,
            "--from",
            from,
            "--until",
            until,
            "--people",
            people,
            "--reason",
            "dentist",
        ]
    };
    let list = ["oncall", "override", "list"];
    by(&world, "bob", &add("nights", "ann"))
        .await?
        .refused(64, "nights")?;
    by(&world, "bob", &add("dba", "eve"))
        .await?
        .refused(64, "eve")?;
    let none = by(&world, "bob", &list).await?;
    ensure!(none.stderr.contains("there are no overrides"), "{none:?}");

    by(&world, "bob", &add("dba", "ann")).await?.ok()?;
    ensure!(who(&world, &plan, plan.tomorrow).await? == "ann");
    let listed = by(&world, "bob", &list).await?.ok()?;
    ensure!(listed.contains("by bob: dentist"), "{listed}");
    let json = ["oncall", "override", "list", "--format", "json"];
    let made: Value = serde_json::from_str(&by(&world, "bob", &json).await?.ok()?)?;
    let id = made["id"].as_str().context("an id")?;

    let nowhere = ["oncall", "override", "remove", "ffff", "--reason", "x"];
    by(&world, "bob", &nowhere)
        .await?
        .refused(64, "there is no override ffff")?;
    let short = &id[..8];
    let remove = ["oncall", "override", "remove", short, "--reason", "no need"];
    by(&world, "eve", &remove)
        .await?
        .refused(64, "only people of schedule dba")?;
    let said = by(&world, "bob", &remove).await?.ok()?;
    ensure!(said.contains(id), "{said}");
    ensure!(who(&world, &plan, plan.tomorrow).await? == before);
    Ok(())
}

#[tokio::test]
async fn who_has_no_way_in_is_told_why() {
    no_way_in().await.unwrap();
}

async fn no_way_in() -> Result<()> {
    let (world, plan) = planned().await?;
    let at = plan.tomorrow.to_rfc3339();
    let until = plan.later.to_rfc3339();
    let commands: [&[&str]; 5] = [
        &["grant", "list"],
        &["grant", "revoke", "GRT-2222", "--reason", "x"],
        &["oncall", "override", "list"],
        &["oncall", "override", "remove", "ffff", "--reason", "x"],
        &[
            "oncall",
            "override",
            "add",
            "--schedule",
            "dba",
            "--from",
            &at,
            "--until",
            &until,
            "--people",
            "cy",
            "--reason",
            "x",
        ],
    ];
    let swap: &[&str] = &[
        "oncall",
        "swap",
        "--schedule",
        "dba",
        "--shift",
        &at,
        "--with",
        &until,
        "--reason",
        "x",
    ];
    let url = world.abeyance.approver_url()?;
    for args in commands.into_iter().chain([swap]) {
        let forged = "abp_bob-0000000000000000000000000000000000000000";
        run(&url, forged, args)
            .await?
            .refused(64, "does not take your console token")?;
        run(&url, "", args)
            .await?
            .refused(64, "ABEYANCE_PERSON_TOKEN")?;
        run(AWAY, &console_token("bob"), args)
            .await?
            .refused(69, "the approver cannot be reached")?;
    }
    let nobody = who(&world, &plan, plan.tomorrow).await?;
    ensure!(nobody == "bob" || nobody == "cy", "{nobody}");
    Ok(())
}
