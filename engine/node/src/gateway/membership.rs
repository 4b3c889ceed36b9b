//! Membership in the words of the HTTP server, and what its users want to do about it.

use base::{ErrorCode, Failure};
use net::event::{Belonging, PairingStage, PairingView};
use net::{NetHandle, PairingEnd};
use serve::membership as served;

use crate::membership::Membership;
use crate::words;

pub(super) fn shown(membership: &Membership) -> served::Membership {
    let members = membership.roster.as_ref().map(net::Roster::members);
    let members = members.into_iter().flatten().map(|member| served::Member {
        node: member.node,
        name: member.name,
        added_by: member.added_by,
    });
    let nearby = membership.nearby.iter().map(|(node, near)| served::Nearby {
        node: *node,
        name: near.name.clone(),
        cluster_name: near.cluster_name.clone(),
        belongs: match near.belongs {
            Belonging::Unknown => served::Belonging::Unknown,
            Belonging::Newcomer => served::Belonging::Newcomer,
            Belonging::Ours => served::Belonging::Ours,
            Belonging::Elsewhere => served::Belonging::Elsewhere,
        },
    });
    served::Membership {
        by_key: membership.by_key,
        members: members.collect(),
        nearby: nearby.collect(),
        pairing: membership.pairing.as_ref().map(pairing),
        notice: membership.notice.clone(),
    }
}

fn pairing(pairing: &PairingView) -> served::Pairing {
    served::Pairing {
        node: pairing.node,
        name: pairing.name.clone(),
        started_here: pairing.started_here,
        stage: match pairing.stage {
            PairingStage::Calling => served::Stage::Calling,
            PairingStage::Compare {
                digits,
                confirmed_here,
                confirmed_there,
            } => served::Stage::Compare {
                digits: digits.to_string(),
                confirmed_here,
                confirmed_there,
            },
            PairingStage::Done => served::Stage::Done,
            PairingStage::Ended(why) => served::Stage::Ended(refused(why)),
        },
    }
}

/// Carries out what somebody wants, if this node takes part in the network.
pub(super) async fn ask(net: Option<NetHandle>, ask: served::Ask) -> Result<(), Failure> {
    let net = net.ok_or_else(|| {
        let message = "this computer does not take part in the network";
        Failure::new(ErrorCode::Forbidden, message).hint("switch on \"Join cluster\" first")
    })?;
    let paired = match ask {
        served::Ask::Start(node) => net.pair(node).await,
        served::Ask::Confirm(node) => net.confirm_pairing(node).await,
        served::Ask::Cancel(node) => net.cancel_pairing(node).await,
        served::Ask::Remove(node) => net.remove_member(node).await.map_err(PairingEnd::Roster),
    };
    paired.map_err(refused)
}

fn refused(why: PairingEnd) -> Failure {
    let code = match why {
        PairingEnd::NotSeen | PairingEnd::NotPairing => ErrorCode::NotFound,
        PairingEnd::BusyHere | PairingEnd::BusyThere | PairingEnd::TooMany => ErrorCode::Overloaded,
        _ => ErrorCode::Forbidden,
    };
    words::failure(code, &why.to_string())
}
