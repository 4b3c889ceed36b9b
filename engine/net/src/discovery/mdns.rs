//! Discovery by multicast DNS (`_espalier._tcp`): on every interface that can multicast, or on loopback alone.
//!
//! The protocol's thread belongs to the library; here is only what is announced and what an answer means.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base::NodeId;
use mdns_sd::{
    DaemonEvent, IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Announcement, DiscoveryEvent};
use crate::home::Home;
use crate::hub::HubMessage;
use crate::limits::{ADDRESSES_PER_NODE_MAX, SIGHTINGS_MAX};
use crate::name;

const SERVICE: &str = "_espalier._tcp.local.";
/// Waiting for the thread to have sent the goodbye, which it does as soon as it wakes.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(300);
/// Hex digits of a node id in its instance and host name: enough to be its own, and a DNS label holds 63.
const LABEL_DIGITS: usize = 16;

/// Where to look and be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every interface.
    All,
    /// 127.0.0.1 alone.
    Loopback,
}

/// Running mDNS; ends without a goodbye when dropped.
pub(crate) struct Mdns {
    daemon: ServiceDaemon,
    instance: String,
    scope: Scope,
    listen: SocketAddr,
}

impl Mdns {
    /// Announces `own` (its address's port; its IP too, unless that is unspecified) and looks for others.
    pub(crate) fn start(
        scope: Scope,
        own: &Announcement,
        listen: SocketAddr,
        hub: mpsc::Sender<HubMessage>,
    ) -> Result<Self, mdns_sd::Error> {
        let daemon = ServiceDaemon::new()?;
        // Both take effect before anything is sent: the thread works its orders off in turn. IPv4 alone: every
        // network of Macs has it, if only by link-local addresses, and a second way to the same node gains nothing.
        match scope {
            Scope::All => daemon.disable_interface(IfKind::IPv6)?,
            Scope::Loopback => {
                daemon.disable_interface(IfKind::All)?;
                daemon.enable_interface(IfKind::LoopbackV4)?;
            }
        }
        let service = service(scope, own, listen)?;
        let instance = service.get_fullname().to_owned();
        let events = daemon.browse(SERVICE)?;
        daemon.register(service)?;
        let running = Self {
            daemon,
            instance,
            scope,
            listen,
        };
        tokio::spawn(warn(running.daemon.monitor()?));
        tokio::spawn(report(events, own.node, hub));
        Ok(running)
    }

    /// Tells the network how this node announces itself from now on.
    pub(crate) fn announce(&self, own: &Announcement) {
        let service = service(self.scope, own, self.listen);
        if let Err(error) = service.and_then(|service| self.daemon.register(service)) {
            tracing::warn!(%error, "mDNS did not take the news about this node");
        }
    }

    /// Tells the network that this node goes.
    pub(crate) async fn goodbye(self) {
        if let Ok(sent) = self.daemon.unregister(&self.instance) {
            // Whether it was sent in time or not: there is nothing else to do about it.
            let _ = timeout(GOODBYE_TIMEOUT, sent.recv_async()).await;
        }
    }
}

impl Drop for Mdns {
    fn drop(&mut self) {
        // The thread may have ended already; its answer is not waited for.
        let _ = self.daemon.shutdown();
    }
}

fn service(
    scope: Scope,
    own: &Announcement,
    listen: SocketAddr,
) -> Result<ServiceInfo, mdns_sd::Error> {
    let id = own.node.to_string();
    let label = &id[..LABEL_DIGITS];
    let protocol = own.protocol.to_string();
    let home = own.home.to_text();
    // Caches keep what changes twice within a second, and take what was once there for no news (RFC 6762, 10.2): so no two
    // announcements are the same. Without randomness they are, and some news is late.
    let mut change = [0; 4];
    let _ = getrandom::fill(&mut change);
    let change = u32::from_ne_bytes(change).to_string();
    let properties = [
        ("id", id.as_str()),
        ("name", own.name.as_str()),
        ("cluster", own.cluster_name.as_str()),
        ("home", home.as_str()),
        ("change", change.as_str()),
        ("version", env!("CARGO_PKG_VERSION")),
        ("protocol", protocol.as_str()),
    ];
    let address = match (scope, listen.ip()) {
        (Scope::Loopback, _) => "127.0.0.1".to_owned(),
        (Scope::All, ip) if ip.is_unspecified() => String::new(),
        (Scope::All, ip) => ip.to_string(),
    };
    let host = format!("espalier-{label}.local.");
    let mut service = ServiceInfo::new(
        SERVICE,
        label,
        &host,
        address.as_str(),
        listen.port(),
        &properties[..],
    )?;
    if address.is_empty() {
        service = service.enable_addr_auto();
    }
    // The names hold 64 bits of a public key: probing for others of the same name would cost 0.75 s for nothing.
    service.set_requires_probe(false);
    Ok(service)
}

/// Says aloud what keeps the thread from its work, for example a network that it is not allowed to use.
async fn warn(events: Receiver<DaemonEvent>) {
    while let Ok(event) = events.recv_async().await {
        if let DaemonEvent::Error(error) = event {
            tracing::warn!(%error, "mDNS cannot look for other nodes everywhere");
        }
    }
}

/// Passes on what is found until discovery or the hub ends.
async fn report(events: Receiver<ServiceEvent>, own: NodeId, hub: mpsc::Sender<HubMessage>) {
    // A goodbye names only the instance.
    let mut instances: HashMap<String, NodeId> = HashMap::new();
    while let Ok(event) = events.recv_async().await {
        let event = match event {
            ServiceEvent::ServiceResolved(service) => {
                let Some(found) = read(&service).filter(|found| found.node != own) else {
                    continue;
                };
                if instances.len() >= SIGHTINGS_MAX
                    && !instances.contains_key(service.get_fullname())
                {
                    continue;
                }
                instances.insert(service.get_fullname().to_owned(), found.node);
                DiscoveryEvent::Found(found)
            }
            ServiceEvent::ServiceRemoved(_, instance) => match instances.remove(&instance) {
                Some(node) => DiscoveryEvent::Lost(node),
                None => continue,
            },
            _ => continue,
        };
        if hub.send(HubMessage::Discovered(event)).await.is_err() {
            return;
        }
    }
}

/// What an answer from the network says, if it makes sense.
fn read(service: &ResolvedService) -> Option<Announcement> {
    let text = |key| service.get_property_val_str(key);
    let addresses = addresses(service.get_addresses_v4().into_iter().map(IpAddr::from));
    Some(Announcement {
        node: text("id")?.parse().ok()?,
        name: name::clean(text("name")?),
        cluster_name: name::clean(text("cluster")?),
        home: text("home").map_or(Some(Home::None), Home::from_text)?,
        protocol: text("protocol")?.parse().ok()?,
        addresses: addresses
            .into_iter()
            .map(|ip| SocketAddr::new(ip, service.get_port()))
            .collect(),
    })
    .filter(|found| !found.addresses.is_empty())
}

/// The addresses worth calling: loopback only if there is no other, since the address on which two nodes of one
/// machine meet is also given to third ones.
fn addresses(found: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = found
        .filter(|ip| !ip.is_unspecified() && !ip.is_multicast())
        .collect();
    if addresses.iter().any(|ip| !ip.is_loopback()) {
        addresses.retain(|ip| !ip.is_loopback());
    }
    // A set has no order; a fixed one makes an unchanged announcement equal to the last.
    addresses.sort_unstable();
    addresses.truncate(ADDRESSES_PER_NODE_MAX);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_called_only_for_want_of_anything_else() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let both = [ip("192.168.0.7"), ip("127.0.0.1"), ip("10.0.0.1")];
        assert_eq!(
            addresses(both.into_iter()),
            [ip("10.0.0.1"), ip("192.168.0.7")]
        );
        assert_eq!(addresses([ip("127.0.0.1")].into_iter()), [ip("127.0.0.1")]);
        assert_eq!(
            addresses([ip("0.0.0.0"), ip("224.0.0.251")].into_iter()),
            [] as [IpAddr; 0]
        );
    }
}
