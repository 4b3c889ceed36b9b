//! A model for all members of the cluster: each is asked to fetch it, and they lend each other what arrives.

use base::{ErrorCode, Failure, HubRevision, NodeId};
use futures::future::join_all;
use serve::downloads::Ask;
use store::download::Wanted;

use super::NodeGateway;

/// Fetches it here and everywhere else; tells of the members that refuse.
pub(super) async fn download(gateway: &NodeGateway, model: String) -> Result<(), Failure> {
    let wanted = Wanted::parse(&model)?;
    gateway.downloads.ask(Ask::Start(model)).await?;
    let Some(net) = gateway.net.borrow().clone() else {
        return Ok(());
    };
    let wished = HubRevision {
        repository: wanted.repository.to_string(),
        revision: wanted.revision,
    };
    let asking = net.linked().into_iter().map(|member| {
        let asked = net.download(member, &wished);
        async move { Some((member, asked.await.err()?)) }
    });
    let refused = join_all(asking).await.into_iter().flatten();
    let refused: Vec<String> = refused
        .map(|(member, why)| format!("{}: {why}", name(gateway, member)))
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    let message = format!("not fetched everywhere: {}", refused.join("; "));
    let failure = Failure::new(ErrorCode::WorkerLost, message);
    Err(failure.hint("the other nodes fetch it; ask again for those that do not"))
}

/// What people call a member.
fn name(gateway: &NodeGateway, member: NodeId) -> String {
    let changes = gateway.cluster.changes();
    let view = changes.borrow();
    let mut nodes = view.nodes.iter();
    let found = nodes.find(|node| node.id == member);
    found.map_or_else(|| member.short(), |node| node.name.clone())
}
