//! How nodes and links are at the moment, for people to see, and what instances are doing: which of several answers a
//! request, and which makes room for another model.

use crate::InstanceId;

/// How far something is from its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Normal,
    /// It shows.
    Elevated,
    /// It hurts.
    Critical,
}

/// What weighs on a node; `None` where the machine does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pressure {
    /// Heat: whether the machine slows itself down.
    pub thermal: Option<Level>,
    /// Memory: whether programs wait for it.
    pub memory: Option<Level>,
}

/// What a link runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// Both nodes are on one machine.
    Loopback,
    /// A cable with a network plug.
    Ethernet,
    /// Radio.
    Wifi,
    /// A Thunderbolt cable.
    Thunderbolt,
    /// Something else: a tunnel, a virtual machine's network.
    Other,
}

/// What an instance is doing, as the node of its rank 0 says. Times are milliseconds since 1970 by that node's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceActivity {
    /// Which.
    pub instance: InstanceId,
    /// Requests whose prompt is being read.
    pub reading: u32,
    /// Requests being answered.
    pub answering: u32,
    /// Requests that wait for a place.
    pub waiting: u32,
    /// Tokens generated in 1000 s, at the speed of the last second or so.
    pub tokens_per_1000_s: u64,
    /// Since when nobody asks it anything; `None` while somebody does.
    pub idle_since_ms: Option<u64>,
    /// When it is unloaded if nobody asks it anything; `None` while somebody does, and if it stays.
    pub expires_ms: Option<u64>,
}

impl InstanceActivity {
    /// Requests it has.
    pub fn requests(&self) -> u32 {
        let computed = self.reading.saturating_add(self.answering);
        computed.saturating_add(self.waiting)
    }
}
