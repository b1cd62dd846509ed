//! Where the server could take a name for something else than the ledger does.
//!
//! The server knows names by their first 63 bytes, code that runs there can put another
//! statement under a name, and a parameter's type may be one that runs code. In each case what a name stood
//! for when it was read is no proof of what would run (invariant 1).

use abeyance_sql::{OpaqueReason, StatementClass, StatementFacts};
use abeyance_wire::postgres::{ErrorFields, FrontendMessage, SqlState, Subject, WireStr};

use crate::session::ledger::{Outlook, Prepared};

/// `NAMEDATALEN`, less its terminator: two names that begin with the same 63 bytes are one to the server.
const NAME_BYTES_MAX: usize = 63;
/// How the names of the gateway's own statements, portals and savepoints begin on the target.
const RESERVED: &[u8] = b"_abeyance";
/// The first object id that is not PostgreSQL's own.
const USER_OID_MIN: u32 = 16_384;

/// Refuses a message with a name that only the gateway would tell from another.
pub(super) fn sound(message: &FrontendMessage) -> Result<(), ErrorFields> {
    let none = WireStr::default();
    let names = match message {
        FrontendMessage::Parse(parse) => [&parse.name, &none],
        FrontendMessage::Bind(bind) => [&bind.portal, &bind.statement],
        FrontendMessage::Execute(execute) => [&execute.portal, &none],
        FrontendMessage::Describe(Subject::Statement(name) | Subject::Portal(name))
        | FrontendMessage::Close(Subject::Statement(name) | Subject::Portal(name)) => [name, &none],
        _ => return Ok(()),
    };
    names
        .into_iter()
        .try_for_each(|name| sound_name(name.as_bytes()))
}

/// The same for the name a statement defines or refers to.
pub(super) fn sound_facts(facts: &StatementFacts) -> Result<(), ErrorFields> {
    let names = [&facts.defines, &facts.refers_to];
    names
        .into_iter()
        .flatten()
        .try_for_each(|name| sound_name(name.as_bytes()))
}

fn sound_name(name: &[u8]) -> Result<(), ErrorFields> {
    if name.len() > NAME_BYTES_MAX {
        return Err(ErrorFields::error(
            SqlState::NAME_TOO_LONG,
            format!("a statement or portal name has at most {NAME_BYTES_MAX} bytes"),
        )
        .detail("The server would cut it short, and could then take it for another.")
        .hint("Give a shorter name."));
    }
    if name.starts_with(RESERVED) {
        return Err(ErrorFields::error(
            SqlState::RESERVED_NAME,
            "names that begin with \"_abeyance\" are the proxy's own",
        )
        .hint("Give another name."));
    }
    Ok(())
}

/// Facts with what else has to be doubted about a statement that goes by a name; `None` when nothing is.
pub(super) fn doubted(
    prepared: &Prepared,
    suspect: bool,
    facts: &StatementFacts,
) -> Option<StatementFacts> {
    let typed = prepared.param_oids.iter().any(|oid| *oid >= USER_OID_MIN);
    if !suspect && !typed {
        return None;
    }
    let mut facts = facts.clone();
    if suspect {
        facts
            .doubts
            .insert("code that ran since may have put another statement under its name".to_owned());
    }
    if typed {
        facts
            .doubts
            .insert("takes a parameter of a type that is not built in".to_owned());
    }
    facts.classes.insert(StatementClass::Unvouched);
    facts.explainable = false;
    Some(facts)
}

/// Whether a statement runs code that analysis does not see: such code can prepare, deallocate, open and
/// close under any name.
pub(super) fn runs_unseen_code(facts: &StatementFacts, outlook: &Outlook<'_>) -> bool {
    if facts.defines.is_some() {
        // Only read, or opened: what it runs is judged when its name is used.
        return !facts.doubts.is_empty() && facts.opaque.is_some();
    }
    let Some(OpaqueReason::UnknownReference { name }) = &facts.opaque else {
        return !facts.is_certain();
    };
    let certain = |prepared: &Prepared| {
        let definition = prepared.definition();
        definition.is_some_and(StatementFacts::is_certain)
    };
    let known = match facts.kind.as_str() {
        "FETCH" | "MOVE" => outlook
            .portal(name.as_bytes())
            .is_some_and(|portal| certain(&portal.prepared)),
        _ => outlook
            .statement(name.as_bytes())
            .is_some_and(|prepared| certain(&prepared)),
    };
    !facts.doubts.is_empty() || !known
}
