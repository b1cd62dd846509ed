//! The way to a running approver, for commands that can do without one: the exceptions people made are there.

use std::path::Path;

use abeyance_api::{
    Claimant, DecideError, DeskError, GrantDesk as _, GrantId, GrantRevocation, GrantView, Moment,
    Named, OncallDesk as _, Override, OverrideRemoval, PersonId, StandIn, Surface, Swap,
    client::{HttpDesk, HttpDeskConfig},
};
use abeyance_approver::{OncallSchedule, oncall::Exception};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use crate::{args::ApproverArgs, exit::Failure, output};

/// Where a person's console token is looked for.
pub const TOKEN_VARIABLE: &str = "ABEYANCE_PERSON_TOKEN";

/// A running approver, spoken to as one person.
pub struct Access {
    desk: HttpDesk,
    runtime: tokio::runtime::Runtime,
}

impl Access {
    /// # Errors
    /// When no approver was named, or there is no token to get in with.
    pub fn required(args: &ApproverArgs) -> Result<Self, Failure> {
        let missing = || {
            Failure::Usage(
                "name the approver with --approver URL or ABEYANCE_APPROVER: overrides and grants are kept there"
                    .to_owned(),
            )
        };
        Self::given(args)?.ok_or_else(missing)
    }

    fn given(args: &ApproverArgs) -> Result<Option<Self>, Failure> {
        let Some(url) = &args.approver else {
            return Ok(None);
        };
        let ca_pem = args.ca.as_deref().map(read).transpose()?;
        let config = HttpDeskConfig {
            urls: vec![url.clone()],
            token: token(args)?,
            ca_pem,
            client_identity_pem: None,
        };
        let desk = HttpDesk::new(config).map_err(|error| Failure::Usage(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Unavailable(format!("no thread to run on: {error}")))?;
        Ok(Some(Self { desk, runtime }))
    }

    /// Overrides that end after a moment.
    ///
    /// # Errors
    /// When the approver does not answer, or does not know the token.
    pub fn overrides(&self, since: DateTime<Utc>) -> Result<Vec<Override>, Failure> {
        let overrides = self.runtime.block_on(self.desk.overrides(since));
        overrides.map_err(|error| unavailable(&error))
    }

    /// Puts people on call from one moment until another.
    ///
    /// # Errors
    /// Why not.
    pub fn add(
        &self,
        schedule: &str,
        people: Vec<Named>,
        (from, until): (Moment, Moment),
        reason: &str,
    ) -> Result<Vec<Override>, Failure> {
        let request = StandIn {
            schedule: schedule.to_owned(),
            people,
            from,
            until,
            reason: reason.to_owned(),
            claimant: self.claimant()?,
            surface: Surface::Cli,
            key: None,
        };
        let made = self.runtime.block_on(self.desk.stand_in(request));
        made.map_err(refused)
    }

    /// Lets the shifts of two moments change people.
    ///
    /// # Errors
    /// Why not.
    pub fn swap(
        &self,
        schedule: &str,
        (shift, with): (Moment, Moment),
        reason: &str,
    ) -> Result<Vec<Override>, Failure> {
        let request = Swap {
            schedule: schedule.to_owned(),
            shift,
            with,
            reason: reason.to_owned(),
            claimant: self.claimant()?,
            surface: Surface::Cli,
            key: None,
        };
        let made = self.runtime.block_on(self.desk.swap(request));
        made.map_err(refused)
    }

    /// Takes one back.
    ///
    /// # Errors
    /// Why not.
    pub fn remove(&self, id: Uuid, reason: &str) -> Result<(), Failure> {
        let removal = OverrideRemoval {
            id,
            reason: reason.to_owned(),
            claimant: self.claimant()?,
            surface: Surface::Cli,
        };
        let removed = self.runtime.block_on(self.desk.override_remove(removal));
        removed.map_err(refused)
    }

    /// Approvals that hold for a while.
    ///
    /// # Errors
    /// When the approver does not answer, or does not know the token.
    pub fn grants(&self, active_only: bool) -> Result<Vec<GrantView>, Failure> {
        let grants = self.runtime.block_on(self.desk.grants(active_only));
        grants.map_err(|error| unavailable(&error))
    }

    /// Ends one.
    ///
    /// # Errors
    /// Why not.
    pub fn grant_revoke(&self, id: &GrantId, reason: &str) -> Result<GrantView, Failure> {
        let revocation = GrantRevocation {
            id: id.clone(),
            claimant: self.claimant()?,
            reason: Some(reason.to_owned()),
            surface: Surface::Cli,
        };
        let revoked = self.runtime.block_on(self.desk.grant_revoke(revocation));
        revoked.map_err(|error| match error {
            DecideError::NotFound => Failure::Usage(format!(
                "there is no grant {id}; `abeyance grant list --all` shows them"
            )),
            other => refused(other),
        })
    }

    /// Whose token it is.
    fn claimant(&self) -> Result<Claimant, Failure> {
        let me: Result<PersonId, DeskError> = self.runtime.block_on(self.desk.whoami());
        let id = me.map_err(|error| unavailable(&error))?;
        Ok(Claimant::Person { id })
    }
}

fn token(args: &ApproverArgs) -> Result<SecretString, Failure> {
    let text = match &args.token_file {
        Some(file) => String::from_utf8(read(file)?).unwrap_or_default(),
        None => std::env::var(TOKEN_VARIABLE).unwrap_or_default(),
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::Usage(format!(
            "put your console token into {TOKEN_VARIABLE}, or into a file named by --token-file \
             (`abeyance person token NAME` makes one)"
        )));
    }
    Ok(SecretString::from(text.to_owned()))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::Io(format!("{}: {error}", file.display())))
}

fn unavailable(error: &DeskError) -> Failure {
    match error {
        // Another try would be refused as well.
        DeskError::Refused { detail } => Failure::Usage(format!(
            "the approver does not take your console token, from {TOKEN_VARIABLE} or --token-file ({detail})"
        )),
        _ => Failure::Unavailable(format!("no answer: {error}")),
    }
}

fn refused(error: DecideError) -> Failure {
    match error {
        DecideError::Unavailable { detail } => Failure::Unavailable(detail),
        other => Failure::Usage(other.to_string()),
    }
}

/// The exceptions that count, or none with a remark when no approver was named.
pub struct Counted {
    overrides: Vec<Override>,
    /// The approver, when one was named.
    access: Option<Access>,
    /// Whether an approver was asked.
    pub asked: bool,
}

impl Counted {
    /// # Errors
    /// When an approver was named and cannot be asked.
    pub fn since(args: &ApproverArgs, since: DateTime<Utc>) -> Result<Self, Failure> {
        match Access::given(args)? {
            Some(access) => Ok(Self {
                overrides: access.overrides(since)?,
                access: Some(access),
                asked: true,
            }),
            None => {
                output::remark(
                    "overrides are not counted: name the approver with --approver URL or ABEYANCE_APPROVER",
                );
                Ok(Self {
                    overrides: Vec::new(),
                    access: None,
                    asked: false,
                })
            }
        }
    }

    /// Those that are over, too, when they ended after `since`.
    ///
    /// # Errors
    /// When an approver was named and cannot be asked.
    pub fn with_past(&mut self, since: DateTime<Utc>) -> Result<(), Failure> {
        let Some(access) = &self.access else {
            return Ok(());
        };
        // The approver gives a bounded number: what counts from now on stays, whatever was before.
        for one in access.overrides(since)? {
            if !self.overrides.iter().any(|known| known.id == one.id) {
                self.overrides.push(one);
            }
        }
        Ok(())
    }

    /// Those of one schedule; whoever it does not name any more does not count.
    pub fn of(&self, schedule: &OncallSchedule) -> Vec<Exception> {
        let named = |id: &PersonId| schedule.people().any(|person| person == id);
        let name = schedule.schedule.name();
        let own = self.overrides.iter().filter(|one| one.schedule == name);
        own.map(|one| Exception {
            from: one.from,
            until: one.until,
            people: one.people.iter().filter(|id| named(id)).cloned().collect(),
            author: one.author.clone(),
            reason: one.reason.clone(),
            made_at: one.made_at,
        })
        .collect()
    }
}
