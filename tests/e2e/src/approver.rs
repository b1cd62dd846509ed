//! The approver's API as a person uses it, with the token they log in to the console with.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{config::console_token, world::http_client};

/// Somebody at the approver's door.
#[derive(Debug)]
pub struct Approver {
    url: String,
    person: String,
    http: reqwest::Client,
}

impl Approver {
    /// `person` of the roster, asking the approver at `url`.
    #[must_use]
    pub fn new(url: &str, person: &str) -> Self {
        Self {
            url: url.to_owned(),
            person: person.to_owned(),
            http: http_client(),
        }
    }

    /// The newest holds.
    ///
    /// # Errors
    /// When the approver refuses.
    pub async fn holds(&self) -> Result<Vec<Value>> {
        let url = format!("{}/api/v1/holds?pending_only=false&limit=500", self.url);
        let answer = self.http.get(url).bearer_auth(console_token(&self.person));
        let answer = answer.send().await?.error_for_status()?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    /// Ids of holds in a state.
    ///
    /// # Errors
    /// As [`Approver::holds`].
    pub async fn in_state(&self, state: &str) -> Result<Vec<String>> {
        let holds = self.holds().await?;
        let matching = holds.iter().filter(|hold| hold["state"] == state);
        matching
            .map(|hold| Ok(hold["id"].as_str().context("a hold has an id")?.to_owned()))
            .collect()
    }

    /// Votes.
    ///
    /// # Errors
    /// With the approver's words when the vote does not count.
    pub async fn decide(&self, hold: &str, decision: &str, reason: Option<&str>) -> Result<()> {
        let body = json!({ "decision": decision, "reason": reason });
        self.vote(hold, body).await
    }

    /// Approves, and the same shape for a quarter of an hour.
    ///
    /// # Errors
    /// As [`Approver::decide`].
    pub async fn grant(&self, hold: &str, uses: u32) -> Result<()> {
        let grant = json!({ "minutes": 15, "uses": uses });
        let body = json!({ "decision": "approve", "reason": null, "grant": grant });
        self.vote(hold, body).await
    }

    async fn vote(&self, hold: &str, mut body: Value) -> Result<()> {
        let url = format!("{}/api/v1/holds/{hold}/decision", self.url);
        body["hold"] = hold.into();
        body["claimant"] = json!({ "by": "person", "id": self.person });
        body["surface"] = "cli".into();
        let request = self.http.post(url).bearer_auth(console_token(&self.person));
        let answer = request.json(&body).send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "{status}: {}", answer.text().await?);
        Ok(())
    }
}
