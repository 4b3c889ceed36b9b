//! From the network's words to the cluster's and back. Pure, but that the system is asked what a new link runs over.

use cluster::{Event, Record, Sighting};
use net::{NetEvent, PeerFrame};

use crate::condition;

/// What a network event means for the cluster, if anything.
pub(super) fn event_of(event: NetEvent) -> Option<Event> {
    Some(match event {
        NetEvent::Seen(sighting) => Event::Seen(Sighting {
            node: sighting.node?,
            name: sighting.name,
            locked: sighting
                .locked
                .map(|reason| match sighting.cluster_name.as_str() {
                    "" => reason,
                    cluster => format!("{reason} (cluster {cluster})"),
                }),
        }),
        NetEvent::Unseen(sighting) => Event::Unseen {
            node: sighting.node?,
        },
        NetEvent::LinkUp {
            node,
            name: _,
            local_ip,
            remote_ip,
        } => Event::LinkUp {
            node,
            local_ip,
            remote_ip,
            kind: condition::link_kind(local_ip, remote_ip),
        },
        NetEvent::LinkDown { node } => Event::LinkDown { node },
        NetEvent::Frame { from, frame } => match frame {
            PeerFrame::Node(record) => Event::Node { from, record },
            PeerFrame::Instance(record) => Event::Instance { from, record },
            // The actor's, and the session's own business.
            PeerFrame::Retire(_) | PeerFrame::Ping(_) | PeerFrame::Pong(_) | PeerFrame::Leaving => {
                return None;
            }
        },
        // Who may be linked at all is not the cluster's business.
        NetEvent::RosterChanged(_) | NetEvent::Pairing(_) => return None,
        NetEvent::LinkBandwidth { node, bytes_per_s } => Event::LinkBandwidth { node, bytes_per_s },
        NetEvent::LinkMeasured {
            node,
            round_trip_us,
        } => Event::LinkMeasured {
            node,
            round_trip_us: u32::try_from(round_trip_us).unwrap_or(u32::MAX),
        },
    })
}

/// A record as peers are told it.
pub(super) fn frame_of(record: Record) -> PeerFrame {
    match record {
        Record::Node(record) => PeerFrame::Node(record),
        Record::Instance(record) => PeerFrame::Instance(record),
    }
}
