//! Estimates what a held statement would touch, on the session's own connection to the target.

use abeyance_wire::postgres::{
    Bind, EncodeError, Execute, FrontendMessage, Parse, Subject, WireStr,
};

use abeyance_api::Estimate;

use super::{Session, judge::Held, target::TargetSide};
use crate::error::SessionError;

/// The name our own statements and portals go by on the target.
const OWN: WireStr = WireStr::from_static("_abeyance");

/// Queues a statement of the gateway's own making: prepared, run and closed by name, so that the
/// client's unnamed statement and portal stay as they are.
pub(super) fn own_statement(
    target: &mut TargetSide,
    sql: &str,
    param_oids: &[u32],
) -> Result<(), EncodeError> {
    let messages = [
        FrontendMessage::Parse(Parse {
            name: OWN,
            sql: WireStr::from_text_lossy(sql),
            param_oids: param_oids.to_vec(),
        }),
        FrontendMessage::Bind(Bind {
            portal: OWN,
            statement: OWN,
            param_formats: Vec::new(),
            params: Vec::new(),
            result_formats: Vec::new(),
        }),
        FrontendMessage::Execute(Execute {
            portal: OWN,
            rows_max: 0,
        }),
        FrontendMessage::Close(Subject::Portal(OWN)),
        FrontendMessage::Close(Subject::Statement(OWN)),
    ];
    messages
        .iter()
        .try_for_each(|message| target.write_own(message))
}

impl Session {
    /// How many rows the batch would touch.
    pub(super) async fn estimate(&mut self, _held: &Held) -> Result<Estimate, SessionError> {
        Ok(Estimate::unknown("no estimate yet"))
    }
}
