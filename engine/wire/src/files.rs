//! Frames by which members ask each other for files: what there is of a repository, and bytes of one file.

use std::ops::Range;

use base::{BytesAsked, HeldFile, HeldFiles, HubRevision};
use serde::{Deserialize, Serialize};

use crate::codec::{Frame, Invalid};
use crate::collection::{List, Text};
use crate::peer::FRAME_BYTES_MAX;

/// Most files of a commit; no model has as many.
pub const FILES_MAX: usize = 20_000;
/// Most ranges of one file.
const RANGES_MAX: usize = 4096;
/// Longest name of anything here, in bytes: an owner and a name have 200 each.
const NAME_BYTES_MAX: usize = 512;

type Name = Text<NAME_BYTES_MAX>;

/// [`HubRevision`], serialized.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HubRevisionBody {
    repository: Name,
    revision: Name,
}

/// [`HeldFiles`], serialized.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeldFilesBody {
    commit: Name,
    fetches: bool,
    files: List<HeldFileBody, FILES_MAX>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct HeldFileBody {
    name: Name,
    size: u64,
    hash: Name,
    is_wanted: bool,
    here: List<RangeBody, RANGES_MAX>,
    coming: List<RangeBody, RANGES_MAX>,
}

/// [`BytesAsked`], serialized.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BytesAskedBody {
    repository: Name,
    hash: Name,
    size: u64,
    range: RangeBody,
}

/// First and one past the last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct RangeBody(u64, u64);

impl Frame for HubRevision {
    const BYTES_MAX: usize = 4 << 10;
    type Body = HubRevisionBody;

    fn to_body(&self) -> HubRevisionBody {
        HubRevisionBody {
            repository: Text::whole(&self.repository),
            revision: Text::whole(&self.revision),
        }
    }

    fn from_body(body: HubRevisionBody) -> Result<Self, Invalid> {
        Ok(Self {
            repository: body.repository.0,
            revision: body.revision.0,
        })
    }
}

impl Frame for HeldFiles {
    const BYTES_MAX: usize = FRAME_BYTES_MAX;
    type Body = HeldFilesBody;

    fn to_body(&self) -> HeldFilesBody {
        HeldFilesBody {
            commit: Text::whole(&self.commit),
            fetches: self.fetches,
            files: List::of(&self.files),
        }
    }

    fn from_body(body: HeldFilesBody) -> Result<Self, Invalid> {
        Ok(Self {
            commit: body.commit.0,
            fetches: body.fetches,
            files: body.files.each()?,
        })
    }
}

impl Frame for BytesAsked {
    const BYTES_MAX: usize = 4 << 10;
    type Body = BytesAskedBody;

    fn to_body(&self) -> BytesAskedBody {
        BytesAskedBody {
            repository: Text::whole(&self.repository),
            hash: Text::whole(&self.hash),
            size: self.size,
            range: RangeBody::from(&self.range),
        }
    }

    fn from_body(body: BytesAskedBody) -> Result<Self, Invalid> {
        Ok(Self {
            repository: body.repository.0,
            hash: body.hash.0,
            size: body.size,
            range: body.range.try_into()?,
        })
    }
}

impl From<&HeldFile> for HeldFileBody {
    fn from(file: &HeldFile) -> Self {
        Self {
            name: Text::whole(&file.name),
            size: file.size,
            hash: Text::whole(&file.hash),
            is_wanted: file.is_wanted,
            here: List::of(&file.here),
            coming: List::of(&file.coming),
        }
    }
}

impl TryFrom<HeldFileBody> for HeldFile {
    type Error = Invalid;

    fn try_from(body: HeldFileBody) -> Result<Self, Invalid> {
        Ok(Self {
            name: body.name.0,
            size: body.size,
            hash: body.hash.0,
            is_wanted: body.is_wanted,
            here: body.here.each()?,
            coming: body.coming.each()?,
        })
    }
}

impl From<&Range<u64>> for RangeBody {
    fn from(range: &Range<u64>) -> Self {
        Self(range.start, range.end)
    }
}

impl TryFrom<RangeBody> for Range<u64> {
    type Error = Invalid;

    fn try_from(RangeBody(start, end): RangeBody) -> Result<Self, Invalid> {
        if start > end {
            return Err(Invalid("a range ends before it begins"));
        }
        Ok(start..end)
    }
}
