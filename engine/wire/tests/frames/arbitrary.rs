//! Any frame that may be sent.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use base::{
    BytesAsked, ClientId, DraftCost, DraftModel, ErrorCode, Failure, Fingerprint, FinishReason,
    Grammar, HeldFile, HeldFiles, HubRevision, InstanceActivity, InstanceId, InstancePhase,
    InstanceRecord, KeepAlive, LayerCost, Level, Link, LinkKind, LocalShard, ModelCard, ModelId,
    NodeId, NodeRecord, Penalties, Pooling, Pressure, Priority, QuantizedBits, RequestId, Sampling,
    Secret, Shard, ShardPlan, ShardSpec, ShardStatus, Sharding, ShardingChoice, TensorSlice,
    TokenEvent, TokenLogprob, TokenRequest,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use wire::peer::{Generate, PeerFrame};
use wire::step::{PlanFrame, StepFrame, StepLayers, StepOutputs, StepRecall, StepRow};
use wire::worker::{
    FromWorker, Limits, PlanLink, PrefixFolder, ShardStart, Start, Stats, ToWorker,
};

pub fn failure() -> impl Strategy<Value = Failure> {
    let code = proptest::sample::select(&ErrorCode::ALL[..]);
    (
        code,
        ".{0,40}",
        option::of(".{0,40}"),
        option::of("[a-z]{0,9}"),
        option::of((0_u64..100).prop_map(Duration::from_secs)),
    )
        .prop_map(|(code, message, hint, param, retry_after)| Failure {
            code,
            message,
            hint,
            param,
            retry_after,
        })
}

/// A request for one token.
pub fn plain_request() -> TokenRequest {
    TokenRequest {
        id: RequestId(1),
        client: ClientId(0),
        priority: Priority::Usual,
        prompt: vec![1],
        generated: Vec::new(),
        sampling: Sampling::GREEDY,
        max_tokens: 1,
        stop: Vec::new(),
        stop_tokens: Vec::new(),
        logprobs: None,
        prompt_logprobs: false,
        grammar: None,
        logit_bias: Vec::new(),
        pooling: None,
        prediction: Vec::new(),
    }
}

fn sampling() -> impl Strategy<Value = Sampling> {
    (
        0_f32..=2.0,
        0.01_f32..=1.0,
        any::<u32>(),
        0_f32..=1.0,
        any::<u64>(),
        penalties(),
    )
        .prop_map(
            |(temperature, top_p, top_k, min_p, seed, penalties)| Sampling {
                temperature,
                top_p,
                top_k,
                min_p,
                seed,
                penalties,
            },
        )
}

fn penalties() -> impl Strategy<Value = Penalties> {
    (0.01_f32..=10.0, -2_f32..=2.0, -2_f32..=2.0).prop_map(|(repetition, frequency, presence)| {
        Penalties {
            repetition,
            frequency,
            presence,
        }
    })
}

fn grammar() -> impl Strategy<Value = Grammar> {
    prop_oneof![
        ".{0,40}".prop_map(Grammar::JsonSchema),
        ".{0,40}".prop_map(Grammar::Regex),
        ".{0,40}".prop_map(Grammar::Lark),
    ]
}

fn pooling() -> impl Strategy<Value = Pooling> {
    prop_oneof![Just(Pooling::Mean), Just(Pooling::Last)]
}

pub fn token_request() -> impl Strategy<Value = TokenRequest> {
    (
        (
            any::<u64>(),
            (
                any::<u64>(),
                proptest::sample::select(vec![
                    Priority::Urgent,
                    Priority::Usual,
                    Priority::Patient,
                ]),
            ),
            vec(any::<u32>(), 1..40),
            vec(any::<u32>(), 0..40),
        ),
        (
            sampling(),
            any::<u32>(),
            vec(".{1,12}", 0..4),
            vec(any::<u32>(), 0..4),
        ),
        (option::of(0_u32..=128), any::<bool>()),
        (
            option::of(grammar()),
            vec((any::<u32>(), -100_f32..100.0), 0..4),
            option::of(pooling()),
            vec(any::<u32>(), 0..40),
        ),
    )
        .prop_map(
            |(
                (id, (client, priority), prompt, generated),
                (sampling, max_tokens, stop, stop_tokens),
                (logprobs, prompt_logprobs),
                (grammar, logit_bias, pooling, prediction),
            )| {
                TokenRequest {
                    id: RequestId(id),
                    client: ClientId(client),
                    priority,
                    prompt,
                    generated,
                    sampling,
                    max_tokens: if pooling.is_some() { 0 } else { max_tokens },
                    stop,
                    stop_tokens,
                    logprobs,
                    prompt_logprobs,
                    grammar,
                    logit_bias,
                    pooling,
                    prediction,
                }
            },
        )
}

fn token_logprob() -> impl Strategy<Value = TokenLogprob> {
    (
        any::<u32>(),
        -9999_f32..0.0,
        vec((any::<u32>(), -9999_f32..0.0), 0..5),
    )
        .prop_map(|(token, logprob, top)| TokenLogprob {
            token,
            logprob,
            top,
        })
}

pub fn token_event() -> impl Strategy<Value = TokenEvent> {
    prop_oneof![
        any::<u32>().prop_map(|position| TokenEvent::Accepted { position }),
        any::<u32>().prop_map(|tokens| TokenEvent::Recalled { tokens }),
        (any::<u32>(), any::<u32>())
            .prop_map(|(accepted, rejected)| TokenEvent::Predicted { accepted, rejected }),
        vec(token_logprob(), 0..5).prop_map(TokenEvent::Prompt),
        (any::<u32>(), option::of(token_logprob()))
            .prop_map(|(token, logprob)| TokenEvent::Token { token, logprob }),
        vec(-1_f32..=1.0, 0..40).prop_map(TokenEvent::Embedding),
        Just(TokenEvent::Finished(FinishReason::Stop)),
        Just(TokenEvent::Finished(FinishReason::Length)),
        failure().prop_map(TokenEvent::Failed),
    ]
}

fn card() -> impl Strategy<Value = ModelCard> {
    let bytes = || 0..1_u64 << 50;
    let window =
        proptest::option::of(1_u32..).prop_map(|tokens| tokens.and_then(base::CacheWindow::new));
    let parts = (
        [bytes(), bytes(), bytes()],
        [bytes(), bytes(), bytes()],
        window,
    );
    let layer = parts.prop_map(
        |(
            [weights_bytes, active_bytes, copied],
            [cache_bytes_per_token, cache_copied, state_bytes],
            window,
        )| {
            LayerCost {
                weights_bytes,
                active_bytes,
                replicated_bytes: copied.min(weights_bytes),
                cache_bytes_per_token,
                replicated_cache_bytes_per_token: cache_copied.min(cache_bytes_per_token),
                window,
                state_bytes,
            }
        },
    );
    (
        ("[a-z0-9_]{1,12}", vec(layer, 1..8)),
        (
            0..1_u64 << 50,
            0..1_u64 << 50,
            any::<bool>(),
            any::<[u32; 4]>(),
        ),
        (
            proptest::sample::select(vec![vec![1], vec![1, 2], vec![1, 2, 4, 8]]),
            bits(),
            kv_bits(),
            option::of([bytes(), bytes(), bytes()]),
        ),
    )
        .prop_map(
            |(
                (model_type, layers),
                (embedding_bytes, head_bytes, tied, numbers),
                (tensor_degrees, quantize, kv_bits, draft),
            )| {
                ModelCard {
                    model_type,
                    layers,
                    embedding_bytes,
                    head_bytes,
                    tied,
                    context_tokens_max: numbers[0],
                    vocabulary_size: numbers[1],
                    hidden_size: numbers[2],
                    activation_bytes: numbers[3],
                    tensor_degrees,
                    quantize,
                    kv_bits,
                    draft: draft.map(|[weights_bytes, cache_bytes_per_token, step_bytes]| {
                        DraftCost {
                            weights_bytes,
                            cache_bytes_per_token,
                            step_bytes,
                        }
                    }),
                }
            },
        )
}

fn part() -> impl Strategy<Value = (std::ops::Range<u32>, TensorSlice)> {
    (0_u32..100, 1_u32..100, 0_u32..8, 1_u32..8).prop_map(|(first, count, index, more)| {
        let slice = TensorSlice {
            index,
            of: index + more,
        };
        (first..first + count, slice)
    })
}

fn sharding() -> impl Strategy<Value = Sharding> {
    prop_oneof![Just(Sharding::Pipeline), Just(Sharding::Tensor)]
}

fn plan() -> impl Strategy<Value = ShardPlan> {
    let shard =
        (any::<[u8; 32]>(), part(), any::<u64>()).prop_map(|(node, (layers, tensor), bytes)| {
            Shard {
                node: NodeId(node),
                layers,
                tensor,
                bytes,
            }
        });
    (sharding(), vec(shard, 1..5)).prop_map(|(sharding, shards)| ShardPlan { sharding, shards })
}

fn spec() -> impl Strategy<Value = ShardSpec> {
    let ranks = (0_u32..8, 1_u32..8);
    (ranks, sharding(), part(), bits(), kv_bits()).prop_map(
        |((rank, more), sharding, (layers, tensor), quantize, kv_bits)| ShardSpec {
            rank,
            world: rank + more,
            sharding,
            layers,
            tensor,
            quantize,
            kv_bits,
        },
    )
}

fn bits() -> impl Strategy<Value = Option<QuantizedBits>> {
    option::of(proptest::sample::select(&QuantizedBits::ALL[..]))
        .prop_map(|bits| QuantizedBits::new(bits?))
}

fn kv_bits() -> impl Strategy<Value = Option<base::CacheBits>> {
    option::of(proptest::sample::select(&base::CacheBits::ALL[..]))
        .prop_map(|bits| base::CacheBits::new(bits?))
}

fn status() -> impl Strategy<Value = ShardStatus> {
    prop_oneof![
        any::<(u64, u64)>().prop_map(|(bytes_done, bytes_total)| ShardStatus::Fetching {
            bytes_done,
            bytes_total
        }),
        any::<(u16, u16)>().prop_map(|(ring_port, plan_port)| ShardStatus::Reserved {
            ring_port,
            plan_port
        }),
        any::<(u64, u64)>().prop_map(|(bytes_done, bytes_total)| ShardStatus::Loading {
            bytes_done,
            bytes_total
        }),
        Just(ShardStatus::Ready),
        failure().prop_map(ShardStatus::Failed),
    ]
}

pub fn node_record() -> impl Strategy<Value = NodeRecord> {
    let shard = (
        any::<u64>(),
        any::<u32>(),
        any::<u64>(),
        0_u32..1024,
        status(),
    )
        .prop_map(
            |(instance, generation, plan_tag, rank, status)| LocalShard {
                instance: InstanceId(instance),
                generation,
                plan_tag,
                rank,
                status,
            },
        );
    let link = (
        option::of(any::<u32>()),
        option::of(any::<u64>()),
        option::of(link_kind()),
    );
    let links = proptest::collection::btree_map(any::<[u8; 32]>(), link, 0..4);
    let models = proptest::collection::btree_set(any::<[u8; 32]>(), 0..4);
    let condition = (pressure(), vec(activity(), 0..3), models);
    let owns = proptest::collection::btree_set(any::<u64>(), 0..4);
    (
        (
            any::<[u8; 32]>(),
            any::<[u64; 4]>(),
            option::of(any::<u64>()),
            option::of(any::<u64>()),
        ),
        (".{0,20}", ".{0,20}", links, owns, vec(shard, 0..3)),
        condition,
    )
        .prop_map(
            |(
                (id, numbers, bandwidth, limit),
                (name, chip, links, owns, shards),
                (pressure, activity, models),
            )| NodeRecord {
                id: NodeId(id),
                epoch_ms: numbers[0],
                version: numbers[1],
                name,
                chip,
                memory_total_bytes: numbers[2],
                memory_available_bytes: numbers[3],
                memory_lent_bytes_max: limit,
                memory_bandwidth_bytes_per_s: bandwidth,
                links: links
                    .into_iter()
                    .map(
                        |(node, (round_trip_us, bandwidth_bytes_per_s, kind))| Link {
                            node: NodeId(node),
                            round_trip_us,
                            bandwidth_bytes_per_s,
                            kind,
                        },
                    )
                    .collect(),
                owns: owns.into_iter().map(InstanceId).collect(),
                shards,
                pressure,
                activity,
                models: models.into_iter().map(Fingerprint).collect(),
            },
        )
}

fn link_kind() -> impl Strategy<Value = LinkKind> {
    proptest::sample::select(vec![
        LinkKind::Loopback,
        LinkKind::Ethernet,
        LinkKind::Wifi,
        LinkKind::Thunderbolt,
        LinkKind::Other,
    ])
}

fn pressure() -> impl Strategy<Value = Pressure> {
    let level = || {
        let levels = vec![Level::Normal, Level::Elevated, Level::Critical];
        option::of(proptest::sample::select(levels))
    };
    (level(), level()).prop_map(|(thermal, memory)| Pressure { thermal, memory })
}

fn activity() -> impl Strategy<Value = InstanceActivity> {
    any::<(u64, [u32; 3], u64, [Option<u64>; 2])>().prop_map(
        |(instance, requests, tokens_per_1000_s, [idle_since_ms, expires_ms])| InstanceActivity {
            instance: InstanceId(instance),
            reading: requests[0],
            answering: requests[1],
            waiting: requests[2],
            tokens_per_1000_s,
            idle_since_ms,
            expires_ms,
        },
    )
}

fn draft_model() -> impl Strategy<Value = DraftModel> {
    ("[ -~]{0,20}", "[ -~]{0,20}", any::<[u8; 32]>()).prop_map(|(model, folder, fingerprint)| {
        DraftModel {
            model: ModelId(model),
            folder,
            fingerprint: Fingerprint(fingerprint),
        }
    })
}

pub fn instance_record() -> impl Strategy<Value = InstanceRecord> {
    let choice = prop_oneof![
        Just(ShardingChoice::Auto),
        Just(ShardingChoice::Pipeline),
        Just(ShardingChoice::Tensor)
    ];
    let phase = prop_oneof![
        Just(InstancePhase::Placed),
        failure().prop_map(InstancePhase::Waiting),
        failure().prop_map(InstancePhase::Failed),
        Just(InstancePhase::Closed),
    ];
    (
        (any::<u64>(), any::<[u8; 32]>(), any::<u32>(), any::<u64>()),
        ("[ -~]{0,20}", "[ -~]{0,20}", any::<[u8; 32]>(), card()),
        (
            choice,
            option::of(any::<u32>()),
            vec(any::<[u8; 32]>(), 0..4),
            option::of(plan()),
        ),
        (
            phase,
            any::<[u8; 32]>(),
            any::<bool>(),
            option::of(origin()),
            option::of(draft_model()),
        ),
    )
        .prop_map(
            |(
                (id, owner, generation, version),
                (model, folder, fingerprint, card),
                (sharding, node_count, node_ids, plan),
                (phase, secret, on_demand, origin, draft),
            )| InstanceRecord {
                id: InstanceId(id),
                owner: NodeId(owner),
                generation,
                version,
                model: ModelId(model),
                folder,
                fingerprint: Fingerprint(fingerprint),
                origin,
                card,
                sharding,
                node_count,
                node_ids: node_ids.into_iter().map(NodeId).collect(),
                plan,
                phase,
                secret: Secret(secret),
                on_demand,
                draft,
            },
        )
}

fn origin() -> impl Strategy<Value = HubRevision> {
    let parts = ("[a-z]{1,9}/[a-z]{1,9}", "[0-9a-f]{40}");
    parts.prop_map(|(repository, revision)| HubRevision {
        repository,
        revision,
    })
}

pub fn peer_frame() -> impl Strategy<Value = PeerFrame> {
    prop_oneof![
        4 => node_record().prop_map(|record| PeerFrame::Node(Box::new(record))),
        4 => instance_record().prop_map(|record| PeerFrame::Instance(Box::new(record))),
        1 => any::<u64>().prop_map(PeerFrame::Ping),
        1 => any::<u64>().prop_map(PeerFrame::Pong),
        1 => Just(PeerFrame::Leaving),
        1 => any::<u64>().prop_map(|instance| PeerFrame::Retire(InstanceId(instance))),
    ]
}

pub fn generate() -> impl Strategy<Value = Generate> {
    let keep_alive = prop_oneof![
        Just(KeepAlive::Forever),
        any::<u64>().prop_map(|ms| KeepAlive::For(Duration::from_millis(ms))),
    ];
    let keep_alive = option::of(keep_alive);
    (any::<u64>(), any::<u32>(), token_request(), keep_alive).prop_map(
        |(instance, generation, request, keep_alive)| Generate {
            instance: InstanceId(instance),
            generation,
            request,
            keep_alive,
        },
    )
}

fn file_range() -> impl Strategy<Value = Range<u64>> {
    (any::<u64>(), any::<u64>()).prop_map(|(a, b)| a.min(b)..a.max(b))
}

pub fn hub_revision() -> impl Strategy<Value = HubRevision> {
    ("[a-z/]{0,20}", "[a-z]{0,20}").prop_map(|(repository, revision)| HubRevision {
        repository,
        revision,
    })
}

pub fn held_files() -> impl Strategy<Value = HeldFiles> {
    let ranges = || prop::collection::vec(file_range(), 0..3);
    let file = (
        "[a-z.]{0,20}",
        any::<u64>(),
        "[a-f0-9:]{0,71}",
        any::<bool>(),
        ranges(),
        ranges(),
    );
    let file = file.prop_map(|(name, size, hash, is_wanted, here, coming)| HeldFile {
        name,
        size,
        hash,
        is_wanted,
        here,
        coming,
    });
    let files = prop::collection::vec(file, 0..4);
    let held = ("[a-f0-9]{40}", any::<bool>(), files);
    held.prop_map(|(commit, fetches, files)| HeldFiles {
        commit,
        fetches,
        files,
    })
}

pub fn bytes_asked() -> impl Strategy<Value = BytesAsked> {
    let names = ("[a-z/]{0,20}", "[a-f0-9:]{0,71}");
    (names, any::<u64>(), file_range()).prop_map(|((repository, hash), size, range)| BytesAsked {
        repository,
        hash,
        size,
        range,
    })
}

pub fn to_worker() -> impl Strategy<Value = ToWorker> {
    let limits = (
        1_u32..=1024,
        any::<u32>(),
        1..=u64::MAX,
        1_u32..=65_536,
        1_u32..=1024,
        any::<bool>(),
    )
        .prop_map(
            |(
                slots_max,
                queue_max,
                cache_tokens_max,
                prefill_chunk_tokens,
                scoring_chunk_tokens,
                speculates,
            )| Limits {
                slots_max,
                queue_max,
                cache_tokens_max,
                prefill_chunk_tokens,
                scoring_chunk_tokens,
                speculates,
            },
        );
    let link = (any::<SocketAddr>(), any::<[u8; 32]>()).prop_map(|(mut address, secret)| {
        if let SocketAddr::V6(address) = &mut address {
            // Neither travels: a link-local address would need its scope named another way.
            address.set_flowinfo(0);
            address.set_scope_id(0);
        }
        PlanLink {
            address,
            secret: Secret(secret),
        }
    });
    let prefixes =
        ("[ -~]{1,30}", any::<[u8; 32]>(), any::<u64>()).prop_map(|(root, model, bytes_max)| {
            PrefixFolder {
                root: root.into(),
                model: Fingerprint(model),
                bytes_max,
            }
        });
    let draft = option::of("[ -~]{1,30}");
    let shard = (
        "[ -~]{1,30}",
        spec(),
        link,
        limits,
        option::of(prefixes),
        draft,
    );
    let shard = shard.prop_map(|(folder, spec, link, limits, prefixes, draft)| ShardStart {
        folder: folder.into(),
        plan_link: (spec.world > 1).then_some(link),
        draft: draft.filter(|_| spec.rank == 0).map(Into::into),
        spec,
        limits,
        prefixes,
    });
    prop_oneof![
        1 => ("[ -~]{1,30}", bits(), kv_bits()).prop_map(|(folder, quantize, kv_bits)| ToWorker::Start(Start::Inspect { folder: folder.into(), quantize, kv_bits })),
        3 => shard.prop_map(|start| ToWorker::Start(Start::Shard(start))),
        4 => token_request().prop_map(ToWorker::Submit),
        1 => any::<u64>().prop_map(|id| ToWorker::Cancel(RequestId(id))),
        1 => Just(ToWorker::Stop),
    ]
}

pub fn from_worker() -> impl Strategy<Value = FromWorker> {
    let stats = any::<([u32; 3], [u64; 10])>().prop_map(|(now, total)| Stats {
        running: now[0],
        waiting: now[1],
        reading: now[2],
        cache_tokens_reserved: total[0],
        steps: total[1],
        prompt_tokens: total[2],
        generated_tokens: total[3],
        step_us: total[4],
        host_us: total[5],
        mask_us: total[6],
        mask_wait_us: total[7],
        guessed_tokens: total[8],
        accepted_tokens: total[9],
    });
    let event = (any::<u64>(), token_event()).prop_map(|(id, event)| (RequestId(id), event));
    prop_oneof![
        1 => any::<(u64, u64)>().prop_map(|(bytes_done, bytes_total)| FromWorker::Progress { bytes_done, bytes_total }),
        1 => any::<u64>().prop_map(|load_ms| FromWorker::Ready { load_ms }),
        2 => card().prop_map(FromWorker::Card),
        4 => vec(event, 0..6).prop_map(FromWorker::Events),
        1 => stats.prop_map(FromWorker::Stats),
        1 => failure().prop_map(FromWorker::Fatal),
    ]
}

pub fn plan_frame() -> impl Strategy<Value = PlanFrame> {
    let outputs = prop_oneof![
        Just(StepOutputs::None),
        Just(StepOutputs::Last),
        Just(StepOutputs::All),
        // Of as many tokens as a row has at least, one is none.
        Just(StepOutputs::Guessed(1)),
        Just(StepOutputs::HiddenLast),
        Just(StepOutputs::HiddenSum),
    ];
    let layers =
        (0..1000_u32, 1..1000_u32, 0..1000_u32).prop_map(|(from, more, rest)| StepLayers {
            from,
            to: from + more,
            of: from + more + rest,
        });
    let row = (
        any::<u32>(),
        any::<u32>(),
        vec(any::<u32>(), 2..20),
        option::of(layers),
        outputs,
    )
        .prop_map(|(slot, start, tokens, layers, outputs)| StepRow {
            slot,
            start,
            tokens,
            layers,
            outputs,
        });
    let recall = (any::<u32>(), vec(any::<u32>(), 1..20))
        .prop_map(|(slot, tokens)| StepRecall { slot, tokens });
    prop_oneof![
        1 => any::<(u32, [u8; 32])>().prop_map(|(rank, nonce)| PlanFrame::Hello { rank, nonce }),
        1 => any::<([u8; 32], [u8; 32])>().prop_map(|(nonce, proof)| PlanFrame::Challenge { nonce, proof }),
        1 => any::<[u8; 32]>().prop_map(|proof| PlanFrame::Proof { proof }),
        1 => Just(PlanFrame::Go),
        4 => (vec(any::<u32>(), 0..6), vec(recall, 0..6), vec(row, 0..6))
            .prop_map(|(free, recalls, rows)| PlanFrame::Step(StepFrame { free, recalls, rows })),
    ]
}
