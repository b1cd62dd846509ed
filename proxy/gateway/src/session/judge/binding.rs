//! What an approval is bound to (invariant 2): approve-A-run-B is impossible.

use std::sync::Arc;

use abeyance_api::BindingDigest;

use super::JudgedBatch;
use crate::session::ledger::{Clearance, Portal, Prepared};

/// Something outside the batch's own bytes that decides what they do.
#[derive(Debug)]
pub(super) enum Reference {
    Statement(Box<[u8]>, Arc<Prepared>),
    Portal(Box<[u8]>, Arc<Portal>),
}

impl JudgedBatch {
    /// What an approval of this batch is bound to: who, where, the exact bytes, and everything
    /// outside them that the bytes refer to.
    pub(crate) fn binding(&self, who_and_where: Vec<Vec<u8>>) -> BindingDigest {
        let mut parts = vec![(who_and_where.len() as u64).to_be_bytes().to_vec()];
        parts.extend(who_and_where);
        parts.extend(self.batch.frames().iter().map(|frame| frame.raw().to_vec()));
        for reference in &self.references {
            match reference {
                Reference::Statement(name, prepared) => {
                    parts.push(b"statement".to_vec());
                    parts.push(name.to_vec());
                    bind_prepared(&mut parts, prepared);
                }
                Reference::Portal(name, portal) => {
                    parts.push(b"portal".to_vec());
                    parts.push(name.to_vec());
                    parts.push(match &portal.clearance {
                        Clearance::Allowed => b"allowed".to_vec(),
                        Clearance::Permitted(hold) => hold.as_str().as_bytes().to_vec(),
                    });
                    bind_prepared(&mut parts, &portal.prepared);
                }
            }
        }
        BindingDigest::over(parts.iter().map(Vec::as_slice))
    }
}

fn bind_prepared(parts: &mut Vec<Vec<u8>>, prepared: &Prepared) {
    parts.push(prepared.text().to_vec());
    parts.push(
        prepared
            .param_oids
            .iter()
            .flat_map(|oid| oid.to_be_bytes())
            .collect(),
    );
    parts.push(prepared.mark.to_bytes());
}
