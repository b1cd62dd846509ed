//! `abeyance store copy`: from one file to a database that several approvers share.

use abeyance_approver::{CopyError, OpenError, StoreLocation, store_copy};

use crate::{args::StoreCopyArgs, config, exit::Failure, output};

/// Copies a SQLite store into the database of the configuration.
///
/// # Errors
/// Why nothing was copied.
pub fn copy(args: &StoreCopyArgs) -> Result<(), Failure> {
    let store = config::store_of(&args.config.config).map_err(Failure::Usage)?;
    let StoreLocation::Postgres(to) = store else {
        return Err(Failure::Usage(format!(
            "`store` in [approver] of {} is a file; name the database to copy into, \
             store = {{ address = \"db.internal:5432\", ... }}",
            args.config.config.display()
        )));
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Unavailable(error.to_string()))?;
    let copied = runtime.block_on(store_copy(&args.from, &to));
    let copied = copied.map_err(|error| failure(&error))?;
    for (table, rows) in &copied.rows {
        output::line(&format!("{rows:>9} {table}"));
    }
    output::line(&format!(
        "the record is whole: {} entries, head {}",
        copied.audit.intact, copied.audit.head
    ));
    output::remark(&format!(
        "{} is in {to} now; start approvers with this configuration, and keep the file",
        args.from.display()
    ));
    Ok(())
}

fn failure(error: &CopyError) -> Failure {
    let text = error.to_string();
    match error {
        CopyError::Absent(_) | CopyError::NotEmpty { .. } => Failure::Usage(text),
        CopyError::Running(_) | CopyError::Open(OpenError::InUse { .. }) => {
            Failure::Unavailable(text)
        }
        CopyError::Broken { .. } => Failure::Data(text),
        CopyError::Schema(_) | CopyError::Count { .. } => Failure::Internal(text),
        CopyError::Open(_) | CopyError::Store(_) => Failure::Io(text),
    }
}
