//! Addresses of ranks as this node should write them.
//!
//! Machines have several addresses (Ethernet, Wi-Fi, a Thunderbolt cable to one neighbour), so there is no one list
//! that is right everywhere. Every node writes its own, from the addresses its proven sessions really use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use base::{NodeId, ShardPlan};

use crate::ShardKey;
use crate::state::{LinkEnds, Ports, Stage, State};

/// The addresses of this machine that a rank listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) ring: IpAddr,
    pub(crate) plan: IpAddr,
}

/// Where to reach all ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) ring: Vec<SocketAddr>,
    pub(crate) plan: Option<SocketAddr>,
}

impl State {
    /// Where this node listens as `rank` of a plan. `None` while a link that it needs is down.
    pub(crate) fn own_addresses(&self, plan: &ShardPlan, rank: u32) -> Option<Own> {
        let world = plan.shards.len();
        if world == 1 {
            let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
            return Some(Own {
                ring: loopback,
                plan: loopback,
            });
        }
        // In MLX's ring a rank connects to the next one, so the one before connects to us.
        let before = plan.shards[(rank as usize + world - 1) % world].node;
        let mut plan_ips = Vec::new();
        for shard in plan.shards.iter().filter(|shard| shard.node != self.me.id) {
            plan_ips.push(self.link(shard.node)?.local_ip);
        }
        Some(Own {
            ring: self.link(before)?.local_ip,
            plan: common(&plan_ips),
        })
    }

    /// The host file and plan address for `rank`, once every rank has its ports. `None` before.
    pub(crate) fn addresses(
        &self,
        plan: &ShardPlan,
        rank: u32,
        key: ShardKey,
    ) -> Option<Addresses> {
        if plan.shards.len() == 1 {
            return Some(Addresses {
                ring: Vec::new(),
                plan: None,
            });
        }
        let own = self.own_addresses(plan, rank)?;
        let mut ring = Vec::new();
        for shard in &plan.shards {
            let ports = self.ports(shard.node, key)?;
            let ip = if shard.node == self.me.id {
                own.ring
            } else {
                self.link(shard.node)?.remote_ip
            };
            ring.push(SocketAddr::new(ip, ports.ring));
        }
        let driver = plan.shards[0].node;
        let ip = if rank == 0 {
            own.plan
        } else {
            self.link(driver)?.remote_ip
        };
        let plan_port = self.ports(driver, key)?.plan;
        Some(Addresses {
            ring,
            plan: Some(SocketAddr::new(ip, plan_port)),
        })
    }

    fn link(&self, node: NodeId) -> Option<LinkEnds> {
        self.peers.get(&node)?.link
    }

    fn ports(&self, node: NodeId, key: ShardKey) -> Option<Ports> {
        if node != self.me.id {
            return self.peers.get(&node)?.ports.get(&key).copied();
        }
        match self.workers.get(&key)?.stage {
            Stage::Reserved(ports) | Stage::Starting(ports) => Some(ports),
            Stage::Preparing { .. }
            | Stage::Prepared
            | Stage::Reserving
            | Stage::Loading { .. }
            | Stage::Ready
            | Stage::Failed(_)
            | Stage::Refused(_)
            | Stage::Stopping => None,
        }
    }
}

/// The one address that all others use, or all addresses of the machine if they use different ones. The plan link can
/// afford that, because whoever connects must prove the plan's secret before anything else is read.
fn common(ips: &[IpAddr]) -> IpAddr {
    match ips {
        [first, rest @ ..] if rest.iter().all(|ip| ip == first) => *first,
        _ if ips.iter().all(IpAddr::is_ipv4) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_if_it_is_one_and_all_otherwise() {
        let v4 = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        assert_eq!(common(&[v4(1), v4(1)]), v4(1));
        assert_eq!(common(&[v4(1), v4(2)]), IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        assert_eq!(common(&[v4(1), v6]), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    }
}
