//! Network namespaces on one bridge: several hosts on one machine. Needs root on Linux; removed when dropped.

use std::fs::File;
use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns};

/// Hosts on a bridge with multicast, addresses 10.77.0.1 and up.
#[derive(Debug)]
pub struct Namespaces {
    bridge: String,
    names: Vec<String>,
}

impl Namespaces {
    /// Whether this process may make namespaces.
    pub fn possible() -> bool {
        nix::unistd::geteuid().is_root()
            && Command::new("ip")
                .arg("netns")
                .output()
                .is_ok_and(|out| out.status.success())
    }

    /// Makes `count` hosts. The bridge lives in a namespace of its own, so that nothing leaves this machine.
    pub fn make(count: usize) -> Result<Self> {
        let tag = format!("{:x}", std::process::id());
        let bridge = format!("es{tag}-b");
        let mut made = Self {
            bridge: bridge.clone(),
            names: Vec::new(),
        };
        ip(&format!("netns add {bridge}"))?;
        ip(&format!("-n {bridge} link add br0 type bridge"))?;
        ip(&format!("-n {bridge} link set br0 up"))?;
        for host in 1..=count {
            let name = format!("es{tag}-{host}");
            ip(&format!("netns add {name}"))?;
            made.names.push(name.clone());
            ip(&format!(
                "-n {name} link add eth0 type veth peer name port{host} netns {bridge}"
            ))?;
            ip(&format!("-n {bridge} link set port{host} master br0 up"))?;
            ip(&format!("-n {name} addr add 10.77.0.{host}/24 dev eth0"))?;
            ip(&format!("-n {name} link set lo up"))?;
            ip(&format!("-n {name} link set eth0 up"))?;
            ip(&format!("-n {name} route add default dev eth0"))?;
        }
        Ok(made)
    }

    /// The name of host `index`, from 0.
    pub fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    /// The address of host `index`.
    pub fn address(&self, index: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, index as u8 + 1)
    }

    /// Lets no more than so many megabits a second through the cable of host `index`, in each direction.
    pub fn limit(&self, index: usize, megabits: u32) -> Result<()> {
        let ends = [
            (self.name(index), "eth0".to_owned()),
            (&*self.bridge, format!("port{}", index + 1)),
        ];
        for (namespace, device) in ends {
            let shape = format!("rate {megabits}mbit burst 256kb latency 50ms");
            tool(
                "tc",
                &format!("-n {namespace} qdisc add dev {device} root tbf {shape}"),
            )?;
        }
        Ok(())
    }

    /// Pulls or plugs the cable of host `index`.
    pub fn set_cable(&self, index: usize, plugged: bool) -> Result<()> {
        let state = if plugged { "up" } else { "down" };
        ip(&format!(
            "-n {} link set port{} {state}",
            self.bridge,
            index + 1
        ))
    }

    /// Runs `work` on a thread of its own inside host `index`, so that its sockets are that host's.
    pub fn inside<T: Send>(&self, index: usize, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = format!("/var/run/netns/{}", self.names[index]);
        let namespace = File::open(&path).with_context(|| path.clone())?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                setns(namespace, CloneFlags::CLONE_NEWNET)?;
                Ok(work())
            });
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("the work inside {path} panicked"))?
        })
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in self.names.iter().chain([&self.bridge]) {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

fn ip(arguments: &str) -> Result<()> {
    tool("ip", arguments)
}

/// Runs one of iproute2's tools.
fn tool(name: &str, arguments: &str) -> Result<()> {
    let output = Command::new(name)
        .args(arguments.split(' '))
        .output()
        .with_context(|| format!("{name} (Debian: iproute2)"))?;
    ensure!(
        output.status.success(),
        "{name} {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
