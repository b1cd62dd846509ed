//! The approver's API as a person uses it, with the token they log in to the console with.

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
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

    /// The newest holds, a hundred at most.
    ///
    /// # Errors
    /// When the approver refuses.
    pub async fn holds(&self) -> Result<Vec<Value>> {
        self.get("holds?pending_only=false&limit=100").await
    }

    /// Of those that wait, the newest hundred.
    ///
    /// # Errors
    /// As [`Approver::holds`].
    pub async fn pending(&self) -> Result<Vec<Value>> {
        self.get("holds?pending_only=true&limit=100").await
    }

    /// One hold.
    ///
    /// # Errors
    /// As [`Approver::holds`], and when there is no such hold.
    pub async fn hold(&self, id: &str) -> Result<Value> {
        self.get(&format!("holds/{id}")).await
    }

    async fn get<T: DeserializeOwned>(&self, what: &str) -> Result<T> {
        let url = format!("{}/api/v1/{what}", self.url);
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
        self.vote(hold, decision, reason, None).await
    }

    /// Approves for a while: the same shape may run again for 15 minutes, so often.
    ///
    /// # Errors
    /// As [`Approver::decide`].
    pub async fn grant(&self, hold: &str, uses: u32) -> Result<()> {
        let wish = json!({"minutes": 15, "uses": uses});
        self.vote(hold, "approve", None, Some(wish)).await
    }

    /// The others that one decision may take along with a hold.
    ///
    /// # Errors
    /// As [`Approver::holds`].
    pub async fn alike(&self, hold: &str) -> Result<Vec<String>> {
        let url = format!("{}/api/v1/holds/{hold}/alike", self.url);
        let answer = self.http.get(url).bearer_auth(console_token(&self.person));
        let answer = answer.send().await?.error_for_status()?;
        let alike: Value = serde_json::from_slice(&answer.bytes().await?)?;
        let holds = alike["holds"].as_array().context("no list")?.iter();
        let ids = holds.map(|one| one["id"].as_str().map(str::to_owned).context("no id"));
        let ids: Vec<String> = ids.collect::<Result<_>>()?;
        Ok(ids.into_iter().filter(|id| id != hold).collect())
    }

    /// Approves several at once; false when they are not decided together.
    ///
    /// # Errors
    /// When the approver does not answer.
    pub async fn approve_together(&self, holds: &[&str]) -> Result<bool> {
        let url = format!("{}/api/v1/holds/decision", self.url);
        let body = json!({
            "holds": holds,
            "claimant": {"by": "person", "id": self.person},
            "decision": "approve",
            "reason": null,
            "surface": "cli",
        });
        let request = self.http.post(url).bearer_auth(console_token(&self.person));
        Ok(request.json(&body).send().await?.status().is_success())
    }

    async fn vote(
        &self,
        hold: &str,
        decision: &str,
        reason: Option<&str>,
        grant: Option<Value>,
    ) -> Result<()> {
        let url = format!("{}/api/v1/holds/{hold}/decision", self.url);
        let body = json!({
            "hold": hold,
            "claimant": {"by": "person", "id": self.person},
            "decision": decision,
            "reason": reason,
            "surface": "cli",
            "grant": grant,
        });
        let request = self.http.post(url).bearer_auth(console_token(&self.person));
        let answer = request.json(&body).send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "{status}: {}", answer.text().await?);
        Ok(())
    }
}
