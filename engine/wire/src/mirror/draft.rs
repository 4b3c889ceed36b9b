//! The model that drafts for an instance's.

use base::{Fingerprint, ModelId};
use serde::{Deserialize, Serialize};

use super::record::{MODEL_BYTES_MAX, PATH_BYTES_MAX};
use crate::collection::Text;
/// A model that drafts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DraftModel {
    model: Text<MODEL_BYTES_MAX>,
    folder: Text<PATH_BYTES_MAX>,
    fingerprint: [u8; 32],
}

impl From<&base::DraftModel> for DraftModel {
    fn from(draft: &base::DraftModel) -> Self {
        Self {
            model: Text::whole(&draft.model.0),
            folder: Text::whole(&draft.folder),
            fingerprint: draft.fingerprint.0,
        }
    }
}

impl From<DraftModel> for base::DraftModel {
    fn from(wire: DraftModel) -> Self {
        Self {
            model: ModelId(wire.model.0),
            folder: wire.folder.0,
            fingerprint: Fingerprint(wire.fingerprint),
        }
    }
}
