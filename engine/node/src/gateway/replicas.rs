//! Of several instances of one model, the one that answers a request. Pure.
//!
//! The one with the fewest requests. But one that has most likely computed the beginning of the prompt before saves
//! reading it, and that is worth waiting behind a few others: prompts that begin alike prefer the same instance,
//! whichever node they come in at, and nobody needs to know what an instance really keeps.

use std::hash::{DefaultHasher, Hash, Hasher};

use base::{CacheBits, Fingerprint, InstanceId, QuantizedBits, TokenId};
use cluster::{ClusterView, InstanceView};

/// Tokens that prompts have to have in common. Shorter prompts are read in no time.
const BEGINNING_TOKENS: usize = 64;
/// So many requests more than the others an instance may have before its kept beginnings are not worth it.
const REQUESTS_MORE_MAX: u32 = 2;

/// What instances compute with: those that have the same give the same answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Weights {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) quantize: Option<QuantizedBits>,
    pub(crate) kv_bits: Option<CacheBits>,
}

impl Weights {
    pub(crate) const fn of(instance: &InstanceView) -> Self {
        Self {
            fingerprint: instance.fingerprint,
            quantize: instance.quantize,
            kv_bits: instance.kv_bits,
        }
    }
}

/// The instance of a model for a prompt; `None` while none answers. One that was just `lost` is the last resort: the
/// view may not know yet. `from_here` counts the requests that this node has under way, of which others tell only later.
pub(super) fn choose(
    view: &ClusterView,
    weights: Weights,
    lost: Option<InstanceId>,
    from_here: impl Fn(InstanceId) -> u32,
    prompt: &[TokenId],
) -> Option<InstanceId> {
    let load = |one: &InstanceView| {
        let told = one.activity.map_or(0, |activity| activity.requests());
        told.max(from_here(one.id))
    };
    let answers = |one: &&InstanceView| Weights::of(one) == weights && one.driver().is_some();
    let ready = view.instances.iter().filter(answers);
    let mut ready: Vec<(u32, &InstanceView)> = ready.map(|one| (load(one), one)).collect();
    if ready.len() > 1 {
        ready.retain(|(_, one)| Some(one.id) != lost);
    }
    let here = |one: &InstanceView| one.driver() == Some(view.node_id);
    let (least, idlest) = ready
        .iter()
        .min_by_key(|(load, one)| (*load, !here(one), one.id))?;
    let beginning = prompt.get(..BEGINNING_TOKENS);
    let preferred = beginning.and_then(|beginning| {
        let all = ready.iter();
        all.max_by_key(|(_, one)| weight(beginning, one.id))
    });
    let preferred = preferred.filter(|(load, _)| *load <= least.saturating_add(REQUESTS_MORE_MAX));
    Some(preferred.map_or(idlest.id, |(_, one)| one.id))
}

/// Highest random weight (Thaler and Ravishankar, 1998): when an instance comes or goes, only its own prompts move.
fn weight(beginning: &[TokenId], instance: InstanceId) -> u64 {
    let mut hasher = DefaultHasher::new();
    (beginning, instance).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use base::{InstanceActivity, ModelId, NodeId, TensorSlice};
    use cluster::{InstanceState, ShardView};

    use super::*;

    const MODEL: Weights = Weights {
        fingerprint: Fingerprint([1; 32]),
        quantize: None,
        kv_bits: None,
    };

    fn instance(id: u64, node: u8, requests: u32) -> InstanceView {
        InstanceView {
            id: InstanceId(id),
            model: ModelId("m".into()),
            folder: "/m".into(),
            fingerprint: MODEL.fingerprint,
            origin: None,
            quantize: None,
            kv_bits: None,
            context_tokens_max: 100,
            cache_tokens: 100,
            vocabulary_size: 100,
            on_demand: false,
            owner: NodeId([node; 32]),
            generation: 1,
            sharding: None,
            state: InstanceState::Ready,
            failure: None,
            activity: Some(InstanceActivity {
                instance: InstanceId(id),
                reading: 0,
                answering: requests,
                waiting: 0,
                tokens_per_1000_s: 0,
                idle_since_ms: None,
                expires_ms: None,
            }),
            draft: None,
            shards: vec![ShardView {
                node: NodeId([node; 32]),
                rank: 0,
                layers: 0..1,
                tensor: TensorSlice::WHOLE,
                bytes: 0,
                status: None,
            }],
        }
    }

    fn view(instances: Vec<InstanceView>) -> ClusterView {
        ClusterView {
            node_id: NodeId([2; 32]),
            nodes: Vec::new(),
            links: Vec::new(),
            instances,
        }
    }

    fn chosen(view: &ClusterView, lost: Option<u64>, prompt: &[TokenId]) -> Option<u64> {
        let lost = lost.map(InstanceId);
        choose(view, MODEL, lost, |_| 0, prompt).map(|id| id.0)
    }

    #[test]
    fn the_one_with_the_fewest_requests_answers() {
        assert_eq!(chosen(&view(Vec::new()), None, &[1]), None);
        let one_busy = view(vec![instance(1, 1, 0), instance(2, 2, 1)]);
        assert_eq!(chosen(&one_busy, None, &[1]), Some(1));
        // Of equals the one on this node.
        let equal = view(vec![instance(1, 1, 3), instance(2, 2, 3)]);
        assert_eq!(chosen(&equal, None, &[1]), Some(2));
        // What was sent there and not told of yet counts.
        let from_here = |id| u32::from(id == InstanceId(2)) * 4;
        let id = choose(&equal, MODEL, None, from_here, &[1]);
        assert_eq!(id, Some(InstanceId(1)));
        let mut loading = view(vec![instance(1, 1, 0), instance(2, 2, 9)]);
        loading.instances[0].state = InstanceState::Loading;
        assert_eq!(chosen(&loading, None, &[1]), Some(2));
        let mut quantized = loading.clone();
        quantized.instances[1].quantize = Some(QuantizedBits::EIGHT);
        assert_eq!(chosen(&quantized, None, &[1]), None);
        loading.instances[1].fingerprint = Fingerprint([2; 32]);
        assert_eq!(chosen(&loading, None, &[1]), None);
    }

    #[test]
    fn one_that_was_just_lost_is_the_last_resort() {
        let two = view(vec![instance(1, 1, 0), instance(2, 2, 8)]);
        assert_eq!(chosen(&two, Some(1), &[1]), Some(2));
        let one = view(vec![instance(1, 1, 0)]);
        assert_eq!(chosen(&one, Some(1), &[1]), Some(1));
    }

    #[test]
    fn what_begins_alike_goes_to_the_same_while_its_load_allows() {
        let loads = |first, second| view(vec![instance(1, 1, first), instance(2, 2, second)]);
        let conversation = |number: u32| -> Vec<TokenId> { (number..number + 100).collect() };
        let mut used = BTreeSet::new();
        for number in 0..20 {
            let prompt = conversation(number * 100);
            let first = chosen(&loads(0, 0), None, &prompt).unwrap();
            let longer: Vec<TokenId> = prompt.iter().copied().chain(7..70).collect();
            assert_eq!(chosen(&loads(0, 0), None, &longer), Some(first));
            let busy = |more| {
                if first == 1 {
                    loads(more, 0)
                } else {
                    loads(0, more)
                }
            };
            assert_eq!(chosen(&busy(REQUESTS_MORE_MAX), None, &prompt), Some(first));
            let other = chosen(&busy(REQUESTS_MORE_MAX + 1), None, &prompt);
            assert_ne!(other, Some(first));
            used.insert(first);
        }
        assert_eq!(
            used.len(),
            2,
            "twenty conversations are not all of one mind"
        );
    }
}
