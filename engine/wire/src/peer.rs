//! Frames between nodes: records and pings on the control stream, and the two sides of a remote generation.

use std::time::Duration;

use base::{InstanceId, InstanceRecord, KeepAlive, NodeRecord, TokenEvent, TokenRequest};
use serde::{Deserialize, Serialize};

use crate::codec::{Frame, Invalid};
use crate::collection::List;
use crate::mirror::{failure, record, tokens};

/// Longest frame between nodes in bytes: a prompt of a million tokens fits.
pub const FRAME_BYTES_MAX: usize = 4 << 20;

/// Most events in one [`Events`] frame.
pub const EVENTS_MAX: usize = 4096;

/// What nodes tell each other on the control stream.
#[derive(Debug, Clone, PartialEq)]
pub enum PeerFrame {
    /// What the sender, or a node it knows, says of itself.
    Node(Box<NodeRecord>),
    /// What an instance's owner says of it.
    Instance(Box<InstanceRecord>),
    /// Asks for a [`PeerFrame::Pong`] with the same number.
    Ping(u64),
    /// Answers a [`PeerFrame::Ping`].
    Pong(u64),
    /// The sender goes, on purpose.
    Leaving,
    /// Asks the node of an instance's rank 0 to close it, if nobody uses it: its memory is needed.
    Retire(InstanceId),
}

/// Asks the node of an instance's rank 0 for a generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Generate {
    /// Of which instance.
    pub instance: InstanceId,
    /// Of which of its plans; another one there is an error, not another answer.
    pub generation: u32,
    /// What to generate.
    pub request: TokenRequest,
    /// How long the model stays loaded after it, if the client said so.
    pub keep_alive: Option<KeepAlive>,
}

/// The next events of a remote generation, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Events(pub Vec<TokenEvent>);

/// [`PeerFrame`], serialized.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum PeerFrameBody {
    /// A node's record.
    Node(Box<record::NodeRecord>),
    /// An instance's record.
    Instance(Box<record::InstanceRecord>),
    /// A ping.
    Ping(u64),
    /// Its answer.
    Pong(u64),
    /// A farewell.
    Leaving,
    /// A wish for memory.
    Retire(u64),
}

/// [`Generate`], serialized.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GenerateBody {
    instance: u64,
    generation: u32,
    request: tokens::TokenRequest,
    keep_alive: Option<KeepAliveBody>,
}

/// [`KeepAlive`], serialized.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum KeepAliveBody {
    Forever,
    Milliseconds(u64),
}

impl Frame for PeerFrame {
    const BYTES_MAX: usize = FRAME_BYTES_MAX;
    type Body = PeerFrameBody;

    fn to_body(&self) -> PeerFrameBody {
        match self {
            Self::Node(record) => PeerFrameBody::Node(Box::new(record.as_ref().into())),
            Self::Instance(record) => PeerFrameBody::Instance(Box::new(record.as_ref().into())),
            Self::Ping(number) => PeerFrameBody::Ping(*number),
            Self::Pong(number) => PeerFrameBody::Pong(*number),
            Self::Leaving => PeerFrameBody::Leaving,
            Self::Retire(instance) => PeerFrameBody::Retire(instance.0),
        }
    }

    fn from_body(body: PeerFrameBody) -> Result<Self, Invalid> {
        Ok(match body {
            PeerFrameBody::Node(record) => Self::Node(Box::new((*record).try_into()?)),
            PeerFrameBody::Instance(record) => Self::Instance(Box::new((*record).try_into()?)),
            PeerFrameBody::Ping(number) => Self::Ping(number),
            PeerFrameBody::Pong(number) => Self::Pong(number),
            PeerFrameBody::Leaving => Self::Leaving,
            PeerFrameBody::Retire(instance) => Self::Retire(InstanceId(instance)),
        })
    }
}

impl Frame for Generate {
    const BYTES_MAX: usize = FRAME_BYTES_MAX;
    type Body = GenerateBody;

    fn to_body(&self) -> GenerateBody {
        GenerateBody {
            instance: self.instance.0,
            generation: self.generation,
            request: tokens::TokenRequest::from(&self.request),
            keep_alive: self.keep_alive.map(KeepAliveBody::from),
        }
    }

    fn from_body(body: GenerateBody) -> Result<Self, Invalid> {
        Ok(Self {
            instance: InstanceId(body.instance),
            generation: body.generation,
            request: body.request.try_into()?,
            keep_alive: body.keep_alive.map(KeepAlive::from),
        })
    }
}

impl From<KeepAlive> for KeepAliveBody {
    fn from(keep_alive: KeepAlive) -> Self {
        match keep_alive {
            KeepAlive::Forever => Self::Forever,
            // Longer than this is for ever.
            KeepAlive::For(time) => {
                u64::try_from(time.as_millis()).map_or(Self::Forever, Self::Milliseconds)
            }
        }
    }
}

impl From<KeepAliveBody> for KeepAlive {
    fn from(body: KeepAliveBody) -> Self {
        match body {
            KeepAliveBody::Forever => Self::Forever,
            KeepAliveBody::Milliseconds(time) => Self::For(Duration::from_millis(time)),
        }
    }
}

impl Frame for Events {
    const BYTES_MAX: usize = FRAME_BYTES_MAX;
    type Body = EventsBody;

    fn to_body(&self) -> EventsBody {
        EventsBody(List::of(&self.0))
    }

    fn from_body(body: EventsBody) -> Result<Self, Invalid> {
        body.0.each().map(Self)
    }
}

/// [`Events`], serialized.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventsBody(List<tokens::TokenEvent, EVENTS_MAX>);

impl Frame for base::Failure {
    const BYTES_MAX: usize = FRAME_BYTES_MAX;
    type Body = failure::Failure;

    fn to_body(&self) -> failure::Failure {
        self.into()
    }

    fn from_body(body: failure::Failure) -> Result<Self, Invalid> {
        body.try_into()
    }
}
