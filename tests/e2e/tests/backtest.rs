//! What the proxy judged is counted by the approver, and another policy can be tried out on it.

use std::process::Output;

use abeyance_e2e::{
    Abeyance, Config, Postgres, RawClient,
    abeyance::command,
    config::CAREFUL,
    eventually,
    postgres::{PASSWORD, User},
};
use anyhow::Result;
use serde_json::Value;

const SHADOW: &str = r#"
[[rule]]
name = "counts-in-shadow"
kind = ["SELECT"]
verdict = "hold"
route = "dba"
mode = "shadow"
"#;

/// `abeyance policy ...` on the running store, with a configuration of its own.
fn policy(abeyance: &Abeyance, what: &str, config: &str) -> Result<Output> {
    let file = abeyance.folder().join("other.toml");
    std::fs::write(&file, config)?;
    let mut command = command()?;
    command.args(["policy", what, "--format", "json", "--since", "1h"]);
    command.arg("--config").arg(file);
    command
        .arg("--store")
        .arg(abeyance.folder().join("abeyance.db"));
    Ok(command.output()?)
}

fn lines(output: &Output) -> Result<Vec<Value>> {
    let text = String::from_utf8(output.stdout.clone())?;
    text.lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

#[tokio::test]
async fn what_was_judged_is_judged_again() {
    let database = Postgres::start().await.unwrap().database().await.unwrap();
    let rules = format!("{CAREFUL}{SHADOW}");
    let config = Config::for_database(&database).policy(&rules);
    let abeyance = Abeyance::serve(&config).await.unwrap();
    let user = User::Scram.name();
    let proxy = abeyance.proxy().unwrap();
    let mut client = RawClient::log_in(proxy, user, &database.name, PASSWORD)
        .await
        .unwrap();
    for floor in 1..=3 {
        let sql = format!("SELECT count(*) FROM rooms WHERE floor = {floor}");
        client.query(&sql).await.unwrap();
    }
    let same = std::fs::read_to_string(abeyance.folder().join("abeyance.toml")).unwrap();
    let hits = eventually("the statements to be counted", || {
        let hits = policy(&abeyance, "shadow", &same).and_then(|output| lines(&output));
        async move { Ok(hits?.into_iter().find(|hit| hit["count"] == 3)) }
    })
    .await
    .unwrap();
    assert_eq!(hits["rule"], "counts-in-shadow");
    assert_eq!(
        (&hits["verdict"], &hits["decided"]),
        (&"hold".into(), &"allow".into())
    );
    assert_eq!(hits["shapes_count"], 1, "{hits}");
    assert_eq!(hits["shapes"][0]["count"], 3, "{hits}");
    let text = hits["shapes"][0]["text"].as_str().unwrap();
    assert!(text.contains("floor = $1"), "{hits}");

    let unchanged = policy(&abeyance, "backtest", &same).unwrap();
    assert_eq!(unchanged.status.code(), Some(0), "{unchanged:?}");
    assert!(unchanged.stdout.is_empty(), "{unchanged:?}");

    let stricter =
        format!("{same}\n[[rule]]\nname = \"no-rooms\"\ntable = [\"rooms\"]\nverdict = \"deny\"\n");
    let changed = policy(&abeyance, "backtest", &stricter).unwrap();
    assert_eq!(changed.status.code(), Some(1), "{changed:?}");
    let changes = lines(&changed).unwrap();
    let [change] = &changes[..] else {
        panic!("{changes:?}");
    };
    assert_eq!(change["change"], "newly_denied");
    assert_eq!(change["count"], 3);
    assert_eq!(change["after"]["rule"], "no-rooms");
    assert!(
        change["text"].as_str().unwrap().contains("floor = $1"),
        "{change}"
    );
}
