//! Two nodes as on two machines: network namespaces joined by a bridge that passes multicast. Needs root and `ip`;
//! says so and does nothing without them. Makes its own namespaces, and takes them away whatever happens.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::support::{Setup, TestNode};
use crate::{Discovery, NetEvent};

/// A bridge in a namespace of its own and two namespaces plugged into it.
struct Machines {
    names: [String; 3],
}

impl Machines {
    /// `None` where namespaces cannot be made.
    fn new() -> Option<Self> {
        let id = std::process::id();
        let machines = Self {
            names: ["bridge", "a", "b"].map(|role| format!("espalier-test-{id}-{role}")),
        };
        let [bridge, ..] = &machines.names;
        let mut made = machines
            .names
            .iter()
            .all(|name| ip(&["netns", "add", name]))
            && ip(&["-n", bridge, "link", "add", "br0", "type", "bridge"])
            && ip(&["-n", bridge, "link", "set", "br0", "up"]);
        for (number, name) in (1..).zip(&machines.names[1..]) {
            let port = format!("port{number}");
            let address = format!("10.77.0.{number}/24");
            made =
                made && ip(&[
                    "-n", bridge, "link", "add", &port, "type", "veth", "peer", "name", "eth0",
                    "netns", name,
                ]) && ip(&["-n", bridge, "link", "set", &port, "master", "br0", "up"])
                    && ip(&["-n", name, "address", "add", &address, "dev", "eth0"])
                    && ip(&["-n", name, "link", "set", "lo", "up"])
                    && ip(&["-n", name, "link", "set", "eth0", "up"]);
        }
        made.then_some(machines)
    }

    /// Runs `work` on a thread that lives in machine `number`, 1 or 2.
    fn on<T: Send + 'static>(
        &self,
        number: usize,
        work: impl AsyncFnOnce() -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let namespace = File::open(format!("/var/run/netns/{}", self.names[number])).unwrap();
        thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(work())
        })
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for name in &self.names {
            ip(&["netns", "delete", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> bool {
    let output = Command::new("ip").args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

async fn node(name: &'static str) -> TestNode {
    let setup = Setup {
        discovery: Discovery::All,
        listen: (Ipv4Addr::UNSPECIFIED, 0).into(),
        ..Setup::alone(name)
    };
    setup.start().await
}

#[test]
fn nodes_of_two_machines_find_each_other_in_well_under_a_second() {
    let Some(machines) = Machines::new() else {
        println!("skipped: network namespaces need root and the ip command");
        return;
    };
    // One message each way, so one place each.
    let (first_is_old, when_old) = sync_channel(1);
    let first = machines.on(1, async move || {
        let mut node = node("first").await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        first_is_old.send(()).unwrap();
        let ips = node.until(|event| match event {
            NetEvent::LinkUp {
                local_ip,
                remote_ip,
                ..
            } => Some((local_ip, remote_ip)),
            _ => None,
        });
        let ips = ips.await;
        let linked = Instant::now();
        let gone = node.until(|event| matches!(event, NetEvent::LinkDown { .. }).then_some(()));
        gone.await;
        (ips, linked, Instant::now())
    });
    when_old.recv().unwrap();
    let second = machines.on(2, async || {
        let began = Instant::now();
        let mut node = node("second").await;
        let seen = node.until(|event| matches!(event, NetEvent::Seen(_)).then_some(()));
        seen.await;
        let seen = began.elapsed();
        let linked = node.until(|event| matches!(event, NetEvent::LinkUp { .. }).then_some(()));
        linked.await;
        let linked = began.elapsed();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let left = Instant::now();
        node.handle.leave().await;
        (began, seen, linked, left)
    });
    let (began, seen, linked, left) = second.join().unwrap();
    let ((local, remote), first_linked, missed) = first.join().unwrap();
    println!(
        "from the second node's start: {seen:?} until it sees the first, {linked:?} until it is linked, {:?} until the \
         first is; {:?} from its leaving until the first misses it",
        first_linked - began,
        missed - left,
    );
    assert_eq!(
        (local.to_string(), remote.to_string()),
        ("10.77.0.1".into(), "10.77.0.2".into())
    );
    assert!(linked < Duration::from_secs(1) && first_linked - began < Duration::from_secs(1));
    assert!(missed - left < Duration::from_millis(500));
}
