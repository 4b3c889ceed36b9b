//! Whom this node keeps calling, and where.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use crate::home::Home;
use crate::limits::ADDRESSES_PER_NODE_MAX;
use crate::session::Context;
use crate::session::call::Target;
use crate::session::keep::keep_calling;

/// One task for each target; it ends when its entry is dropped or this node leaves.
pub(crate) struct Calls {
    context: Arc<Context>,
    calls: HashMap<Target, Call>,
}

struct Call {
    addresses: watch::Sender<Vec<SocketAddr>>,
    /// Discovery named it, so it is called as long as discovery does.
    announced: bool,
    failures: u32,
}

impl Calls {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            calls: HashMap::new(),
        }
    }

    /// Keeps calling `target` at exactly these addresses.
    pub(crate) fn to(&mut self, target: Target, addresses: Vec<SocketAddr>) {
        if let Some(call) = self.begin(target, &addresses) {
            call.announced = true;
            call.addresses.send_if_modified(|known| {
                let news = *known != addresses;
                *known = addresses;
                news
            });
        }
    }

    /// Keeps calling `target`, at this address too, and now: it has just called from there.
    pub(crate) fn also_to(&mut self, target: Target, address: SocketAddr) {
        if let Some(call) = self.begin(target, &[address]) {
            call.failures = 0;
            call.addresses.send_modify(|known| {
                if !known.contains(&address) {
                    known.truncate(ADDRESSES_PER_NODE_MAX - 1);
                    known.insert(0, address);
                }
            });
        }
    }

    /// Another call failed; how many have.
    pub(crate) fn failed(&mut self, target: &Target) -> u32 {
        self.calls.get_mut(target).map_or(0, |call| {
            call.failures += 1;
            call.failures
        })
    }

    pub(crate) fn is_announced(&self, target: &Target) -> bool {
        self.calls.get(target).is_some_and(|call| call.announced)
    }

    /// Calls it no more once the present call or session is over.
    pub(crate) fn forget(&mut self, target: &Target) {
        self.calls.remove(target);
    }

    /// Calls nobody any more but the addresses that were given.
    pub(crate) fn forget_nodes(&mut self) {
        self.calls
            .retain(|target, _| matches!(target, Target::Given(_)));
    }

    /// Something has changed: whoever waits to call again does so now.
    pub(crate) fn wake(&mut self) {
        for call in self.calls.values_mut() {
            call.failures = 0;
            call.addresses.send_modify(|_| {});
        }
    }

    /// The entry of `target`, with its task. A newcomer calls only addresses that it was given, to learn who is there.
    fn begin(&mut self, target: Target, addresses: &[SocketAddr]) -> Option<&mut Call> {
        if self.context.home() == Home::None && matches!(target, Target::Node(_)) {
            return None;
        }
        let context = &self.context;
        let call = self.calls.entry(target.clone()).or_insert_with(|| {
            let (addresses, known) = watch::channel(addresses.to_vec());
            let task = Box::pin(keep_calling(context.clone(), target, known));
            let stop = context.stop.clone();
            tokio::spawn(async move { stop.run_until_cancelled(task).await });
            Call {
                addresses,
                announced: false,
                failures: 0,
            }
        });
        Some(call)
    }
}
