//! Holds free TCP ports for a shard until its worker takes them.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use base::{ErrorCode, Failure};

/// Ports that nobody else on this machine can take while this lives.
#[derive(Debug)]
pub(crate) struct HeldPorts {
    ring: TcpListener,
    plan: TcpListener,
}

impl HeldPorts {
    /// Takes a port for the MLX ring and one for step plans, each on its own address of this machine.
    pub(crate) fn take(ring_ip: IpAddr, plan_ip: IpAddr) -> Result<Self, Failure> {
        let listen = |ip: IpAddr| {
            TcpListener::bind(SocketAddr::new(ip, 0)).map_err(|error| {
                Failure::new(
                    ErrorCode::Internal,
                    format!("cannot take a port on {ip}: {error}"),
                )
            })
        };
        Ok(Self {
            ring: listen(ring_ip)?,
            plan: listen(plan_ip)?,
        })
    }

    /// The two port numbers, the ring's first.
    pub(crate) fn numbers(&self) -> io::Result<(u16, u16)> {
        Ok((
            self.ring.local_addr()?.port(),
            self.plan.local_addr()?.port(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn held_ports_are_free_again_at_once() {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let held = HeldPorts::take(ip, ip).unwrap();
        let (ring, plan) = held.numbers().unwrap();
        assert_ne!(ring, plan);
        assert!(TcpListener::bind((ip, ring)).is_err());
        drop(held);
        assert!(TcpListener::bind((ip, ring)).is_ok());
        assert!(TcpListener::bind((ip, plan)).is_ok());
    }
}
