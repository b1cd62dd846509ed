//! Reads `[approver] store`: the path of a file, or the table of a database.

use std::{ops::RangeInclusive, path::PathBuf};

use abeyance_approver::{PostgresStore, StoreLocation, StoreTls};

use super::{
    datapath::{host_and_port, is_this_machine},
    files::Surroundings,
    model::Role,
    section::{At, Section},
};

/// One writes and one listens; fewer than two to read with would make waiters wait for each other.
const CONNECTIONS: RangeInclusive<u64> = 4..=200;
const CONNECTIONS_DEFAULT: u32 = 10;

const TLS_MODES: [(&str, bool); 2] = [("disable", false), ("verify-full", true)];

/// Reads the key `store` of `[approver]`.
pub fn store(
    section: &Section<'_>,
    around: &Surroundings<'_>,
    role: Role,
) -> Option<StoreLocation> {
    let value = section.value("store");
    if value.is_some_and(|value| value.get_ref().as_table().is_some()) {
        let table = section.section("store", "[approver.store]")?;
        return database(table, around, role).map(StoreLocation::Postgres);
    }
    let path = section.require_string("store", "\"abeyance.db\"")?;
    if path.value.contains("://") {
        // A URL may have a password in it.
        section.problems.conceal(&path.span);
        section.problems.error(
            &path.span,
            "`store` in [approver] is a URL",
            "a database is named by a table: store = { address = \"db.internal:5432\", database = \"abeyance\", \
             user = \"abeyance\", password = { env = \"ABEYANCE_STORE_PASSWORD\" } }",
        );
        return None;
    }
    file(section, around, &path).map(StoreLocation::Sqlite)
}

fn file(section: &Section<'_>, around: &Surroundings<'_>, path: &At<String>) -> Option<PathBuf> {
    let store = around.path(&path.value);
    let folder = store.parent().filter(|folder| folder.is_dir());
    if around.look && (folder.is_none() || store.is_dir()) {
        section.problems.error(
            &path.span,
            format!("the store {} cannot be made", store.display()),
            "its folder has to exist; the file in it is created at the first start",
        );
        return None;
    }
    Some(store)
}

fn database(section: Section<'_>, around: &Surroundings<'_>, role: Role) -> Option<PostgresStore> {
    let address = section
        .require_string("address", "\"db.internal:5432\"")
        .and_then(|text| host_and_port(text, section.problems));
    let database = section.require_string("database", "\"abeyance\"");
    let user = section.require_string("user", "\"abeyance\"");
    let password = around.secret(&section, "password", role.approves());
    let tls = tls(&section, around);
    if let (Some(address), Some(StoreTls::Off)) = (&address, &tls)
        && !is_this_machine(&address.value.0)
    {
        section.problems.error(
            &section.key_span("tls"),
            "decisions would travel to the store without encryption",
            "remove `tls`, or set it to \"verify-full\"; \"disable\" is for a database on this machine",
        );
    }
    let connections = section.integer("connections_max", CONNECTIONS);
    section.finish();
    let (host, port) = address?.value;
    Some(PostgresStore {
        host,
        port,
        user: user?.value,
        password: password.map(|password| password.value),
        database: database?.value,
        tls: tls?,
        connections_max: connections
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(CONNECTIONS_DEFAULT),
    })
}

/// Encrypted and checked unless said otherwise.
fn tls(section: &Section<'_>, around: &Surroundings<'_>) -> Option<StoreTls> {
    let given = section.has("tls");
    let mode = section.choice("tls", &TLS_MODES);
    let ca = around.certificate(section, "ca");
    let verified = match &mode {
        Some(mode) => mode.value,
        None if given => return None,
        None => true,
    };
    if !verified {
        if section.has("ca") {
            section.problems.error(
                &section.key_span("ca"),
                format!("`ca` in {} has no effect with this `tls`", section.name()),
                "set `tls = \"verify-full\"`",
            );
        }
        return Some(StoreTls::Off);
    }
    match ca {
        Some(ca) => Some(StoreTls::VerifyBy { ca_pem: ca.value }),
        None if section.has("ca") && around.look => None,
        None => Some(StoreTls::Verify),
    }
}
