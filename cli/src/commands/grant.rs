//! `abeyance grant`: which approvals hold for a while, and how to end one.

use abeyance_api::blast::words::rows;

use super::oncall::access::Access;
use crate::{
    args::{GrantListArgs, GrantRevokeArgs, ListFormat},
    exit::Failure,
    output,
};

/// Shows grants, one a line.
///
/// # Errors
/// When the approver does not answer.
pub fn list(args: &GrantListArgs) -> Result<(), Failure> {
    let access = Access::required(&args.approver)?;
    let grants = access.grants(!args.all)?;
    if grants.is_empty() && args.format != ListFormat::Json {
        output::remark("there are no grants");
    }
    for grant in grants {
        if args.format == ListFormat::Json {
            let line = serde_json::to_string(&grant);
            output::line(&line.map_err(|error| Failure::Io(error.to_string()))?);
            continue;
        }
        let ended = match (&grant.revoked, grant.active) {
            (Some(revoked), _) => format!("revoked by {}", revoked.by.id),
            (None, true) => format!("until {}", grant.expires_at.format("%Y-%m-%d %H:%M:%S UTC")),
            (None, false) => "over".to_owned(),
        };
        let by: Vec<&str> = grant.by.iter().map(|person| person.id.as_str()).collect();
        let cap = grant.rows_cap.map_or_else(|| "no rows".to_owned(), rows);
        let statement: Vec<&str> = grant.statement.split_whitespace().collect();
        let statement: String = statement.join(" ").chars().take(60).collect();
        output::line(&format!(
            "{:<14} {} -> {}/{}  {} of {} used, {cap} a use, {ended}, by {}  {statement}",
            grant.id.as_str(),
            grant.agent,
            grant.target,
            grant.database,
            grant.used,
            grant.uses,
            by.join(", "),
        ));
    }
    Ok(())
}

/// Ends a grant: the next statement of its shape is held again.
///
/// # Errors
/// Why not.
pub fn revoke(args: &GrantRevokeArgs) -> Result<(), Failure> {
    let id = args
        .id
        .parse()
        .map_err(|error: abeyance_api::InvalidId| Failure::Usage(error.to_string()))?;
    let access = Access::required(&args.approver)?;
    let grant = access.grant_revoke(&id, &args.reason)?;
    output::line(&format!(
        "{} is revoked; it was used {} of {} times",
        grant.id, grant.used, grant.uses
    ));
    Ok(())
}
