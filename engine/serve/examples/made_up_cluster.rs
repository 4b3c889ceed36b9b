//! A server in front of a cluster that is not there, for work on the dashboard and for trying clients.
//!
//! `cargo run -p serve --example made_up_cluster -- [PORT] [ready|empty|trouble]`

#[path = "../tests/http/gateway.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "it is made for tests, which ask it more than this and fail by panicking"
)]
mod gateway;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use base::{ErrorCode, Failure};
use serve::view::{ClusterView, InstanceState, NodeState};
use serve::{Metrics, ServeConfig, Server};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let port = arguments
        .next()
        .and_then(|port| port.parse().ok())
        .unwrap_or(3775);
    let mut view = gateway::cluster();
    match arguments.next().as_deref() {
        Some("empty") => view.instances.clear(),
        Some("trouble") => trouble(&mut view),
        Some(_) | None => {}
    }
    let gateway = Arc::new(gateway::TestGateway::new(view));
    let config = ServeConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        session: "made-up".into(),
    };
    match Server::bind(config, gateway, Metrics::new()).await {
        Ok(server) => {
            println!("http://{}", server.address());
            server.run(std::future::pending()).await;
        }
        Err(error) => eprintln!("{error}"),
    }
}

/// A node is gone, one model is being read again, another waits for memory, a third was given up.
fn trouble(view: &mut ClusterView) {
    view.nodes[2].state = NodeState::Lost;
    view.instances[0].state = InstanceState::Mending;
    view.instances[0].loading_bytes = (31 << 30, 92 << 30);
    let mut waiting = view.instances[1].clone();
    waiting.model.0 =
        "a-team-with-a-long-name/a-model-with-an-even-longer-name-4bit-instruct".into();
    waiting.id.0 = 1;
    waiting.state = InstanceState::Placing;
    waiting.sharding = None;
    waiting.shards.clear();
    waiting.failure = Some(
        Failure::new(
            ErrorCode::NotEnoughMemory,
            "the model needs 412 GiB and 118 GiB are free",
        )
        .hint("close another model or add a node"),
    );
    view.instances.push(waiting);
    view.instances[1].state = InstanceState::Failed;
    view.instances[1].failure = Some(
        Failure::new(ErrorCode::ModelDamaged, "model.safetensors ends too early")
            .hint("download it again"),
    );
}
