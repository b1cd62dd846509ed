//! Reads holds that were stored before they carried a blast radius: they have `estimate` in its place.

use serde::{Deserialize, Deserializer};

use super::{Blast, Estimate};

#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Blast(Box<Blast>),
    Estimate(Estimate),
}

/// A blast radius; of an old hold the number of rows, and the rest unknown.
pub(crate) fn blast_or_estimate<'de, D: Deserializer<'de>>(reader: D) -> Result<Blast, D::Error> {
    Ok(match Stored::deserialize(reader)? {
        Stored::Blast(blast) => *blast,
        Stored::Estimate(rows) => Blast::of_rows(rows),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{EstimateSource, HoldRequest};

    /// A request as 0.1 wrote it.
    fn old() -> Value {
        json!({
            "session": {
                "id": "00000000-0000-0000-0000-000000000000",
                "client_addr": "10.0.0.7:51234",
                "application_name": "psql",
                "started_at": "2026-11-20T09:00:00Z",
            },
            "agent": {"name": "billing-bot", "owner": "ann", "actor": null},
            "target": {"name": "clinic", "database": "clinic", "environment": null},
            "statements": [{
                "text": "DELETE FROM visits WHERE id = ?", "kind": "DELETE",
                "fingerprint": "0011223344556677", "writes": ["visits"], "reads": ["visits"],
            }],
            "rule": "writes", "reasons": ["it writes"], "route": "dba",
            "estimate": {"rows": 12, "source": "estimated", "note": null},
            "transaction": "idle",
            "agent_reason": null,
            "binding": "00".repeat(32),
        })
    }

    #[test]
    fn a_hold_that_was_stored_with_an_estimate_still_opens() {
        let request: HoldRequest = serde_json::from_value(old()).unwrap();
        assert_eq!(request.blast, Blast::of_rows(Estimate::estimated(12)));

        let mut unknown = old();
        unknown["estimate"] = json!({"rows": null, "source": "unknown", "note": "timed out"});
        let request: HoldRequest = serde_json::from_value(unknown).unwrap();
        assert_eq!(request.blast.rows.source, EstimateSource::Unknown);
        assert_eq!(request.blast.cascades, None);
    }

    #[test]
    fn what_is_written_now_is_read_again() {
        let mut request: HoldRequest = serde_json::from_value(old()).unwrap();
        request.blast.triggers = Some(vec!["audit on patients".to_owned()]);
        let written = serde_json::to_value(&request).unwrap();
        assert!(written.get("estimate").is_none());
        let read: HoldRequest = serde_json::from_value(written).unwrap();
        assert_eq!(read.blast, request.blast);
    }

    #[test]
    fn neither_is_refused_and_so_are_both() {
        let mut without = old();
        without.as_object_mut().unwrap().remove("estimate");
        assert!(serde_json::from_value::<HoldRequest>(without).is_err());
        let mut both = old();
        both["blast"] = both["estimate"].clone();
        assert!(serde_json::from_value::<HoldRequest>(both).is_err());
        let mut strange = old();
        strange["estimate"]["guess"] = json!(1);
        assert!(serde_json::from_value::<HoldRequest>(strange).is_err());
    }
}
