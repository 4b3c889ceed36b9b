//! What weighs on this machine, and what its networks run over. Asks the system; for people to see.

#[cfg(not(target_os = "macos"))]
#[path = "condition/linux.rs"]
mod system;
#[cfg(target_os = "macos")]
#[path = "condition/macos.rs"]
mod system;

use std::net::IpAddr;

use base::{LinkKind, Pressure};

/// What weighs on this machine now. A few small reads.
pub(crate) fn pressure() -> Pressure {
    Pressure {
        thermal: system::thermal(),
        memory: system::memory(),
    }
}

/// What the way from one of this machine's addresses to another node's runs over.
pub(crate) fn link_kind(local: IpAddr, remote: IpAddr) -> Option<LinkKind> {
    if local.is_loopback() || local == remote {
        return Some(LinkKind::Loopback);
    }
    let interfaces = if_addrs::get_if_addrs().ok()?;
    let used = interfaces.iter().find(|one| one.ip() == local)?;
    system::interface_kind(&used.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_of_one_machine_are_linked_by_itself() {
        let [here, there] = ["127.0.0.1", "10.0.0.1"].map(|ip| ip.parse().unwrap());
        assert_eq!(link_kind(here, here), Some(LinkKind::Loopback));
        assert_eq!(link_kind(there, there), Some(LinkKind::Loopback));
        // Documentation's own network: no machine has such an address.
        let nowhere = "192.0.2.1".parse().unwrap();
        assert_eq!(link_kind(nowhere, there), None);
    }
}
