//! The admin API's JSON, the errors of its requests, and the TypeScript types of the dashboard.

use std::fmt::Write;

use base::{
    ErrorCode, Failure, InstanceActivity, InstanceId, Level, LinkKind, ModelId, NodeId, Pressure,
    TensorSlice,
};
use expect_test::{Expect, expect, expect_file};
use ts_rs::{Config, TS};

use super::super::model;
use super::{parse_opening, parse_wish};
use crate::view::{
    ClusterView, InstanceState, InstanceView, LinkView, NodeState, NodeView, ShardView,
};

fn node(number: u8, name: &str, state: NodeState) -> NodeView {
    NodeView {
        id: NodeId([number; 32]),
        name: name.into(),
        chip: "Test chip".into(),
        state,
        memory_total_bytes: 16 << 30,
        memory_available_bytes: 8 << 30,
        pressure: Pressure {
            thermal: None,
            memory: Some(Level::Elevated),
        },
    }
}

fn instance() -> InstanceView {
    InstanceView {
        id: InstanceId(0xfe),
        model: ModelId("sprout".into()),
        fingerprint: base::Fingerprint([2; 32]),
        quantize: base::QuantizedBits::new(4),
        kv_bits: base::CacheBits::new(8),
        draft: Some(base::ModelId("acme/small".into())),
        context_tokens: 1024,
        owner: NodeId([1; 32]),
        generation: 2,
        sharding: Some(base::Sharding::Pipeline),
        state: InstanceState::Mending,
        failure: Some(
            Failure::new(ErrorCode::NotEnoughMemory, "it does not fit").hint("add a node"),
        ),
        loading_bytes: (5, 10),
        shards: vec![ShardView {
            node: NodeId([1; 32]),
            rank: 0,
            layers: 3..6,
            tensor: TensorSlice::WHOLE,
            bytes: 1024,
            fetching_bytes: None,
        }],
        activity: Some(InstanceActivity {
            instance: InstanceId(0xfe),
            reading: 0,
            answering: 2,
            waiting: 1,
            tokens_per_1000_s: 31_250,
            idle_since_ms: None,
            expires_ms: None,
        }),
        on_demand: true,
        expires_unix_ms: Some(1_700_000_000_000),
    }
}

/// Two nodes and an instance.
fn cluster() -> ClusterView {
    ClusterView {
        node_id: NodeId([1; 32]),
        nodes: vec![
            node(1, "oak", NodeState::Online),
            node(2, "elm", NodeState::Locked("it has another key".into())),
        ],
        links: vec![LinkView {
            a: NodeId([1; 32]),
            b: NodeId([2; 32]),
            round_trip_us: Some(180),
            bandwidth_bytes_per_s: Some(1_200_000_000),
            kind: Some(LinkKind::Ethernet),
        }],
        instances: vec![instance()],
    }
}

#[test]
fn a_state_in_json() {
    let view = cluster();
    let json = serde_json::to_string_pretty(&model::State::from(&view)).unwrap();
    let (one, two) = ("01".repeat(32), "02".repeat(32));
    expect![[r#"
        {
          "node_id": "NODE-1",
          "nodes": [
            {
              "id": "NODE-1",
              "name": "oak",
              "chip": "Test chip",
              "state": "online",
              "reason": null,
              "memory_total_bytes": 17179869184,
              "memory_available_bytes": 8589934592,
              "thermal": null,
              "memory_pressure": "elevated"
            },
            {
              "id": "NODE-2",
              "name": "elm",
              "chip": "Test chip",
              "state": "locked",
              "reason": "it has another key",
              "memory_total_bytes": 17179869184,
              "memory_available_bytes": 8589934592,
              "thermal": null,
              "memory_pressure": "elevated"
            }
          ],
          "links": [
            {
              "a": "NODE-1",
              "b": "NODE-2",
              "round_trip_us": 180,
              "bandwidth_bytes_per_s": 1200000000,
              "kind": "ethernet"
            }
          ],
          "instances": [
            {
              "id": "00000000000000fe",
              "model": "sprout",
              "sharding": "pipeline",
              "state": "mending",
              "error": {
                "code": "not_enough_memory",
                "message": "it does not fit",
                "hint": "add a node"
              },
              "fetching": [],
              "loading": {
                "bytes_done": 5,
                "bytes_total": 10
              },
              "owner": "NODE-1",
              "generation": 2,
              "shards": [
                {
                  "node_id": "NODE-1",
                  "rank": 0,
                  "layers": [
                    3,
                    6
                  ],
                  "tensor": [
                    0,
                    1
                  ],
                  "bytes": 1024
                }
              ],
              "activity": {
                "reading": 0,
                "answering": 2,
                "waiting": 1,
                "tokens_per_s": 31.25
              },
              "on_demand": true,
              "expires_unix_ms": 1700000000000,
              "quantize": 4,
              "kv_bits": 8,
              "draft": "acme/small"
            }
          ]
        }"#]]
    .assert_eq(&json.replace(&one, "NODE-1").replace(&two, "NODE-2"));
}

#[test]
fn what_nodes_fetch_in_json() {
    let mut view = instance();
    view.shards.push(ShardView {
        node: NodeId([2; 32]),
        fetching_bytes: Some((3, 7)),
        ..view.shards[0].clone()
    });
    let json = serde_json::to_value(model::Instance::from(&view)).unwrap();
    let expected = serde_json::json!([
        {"node_id": NodeId([2; 32]).to_string(), "bytes_done": 3, "bytes_total": 7}
    ]);
    assert_eq!(json["fetching"], expected);
}

#[track_caller]
fn check(body: &str, expected: &Expect) {
    let said = match parse_wish(body.as_bytes()) {
        Ok(wish) => format!("{wish:?}"),
        Err(failure) => format!("{} | {failure}", failure.param.as_deref().unwrap_or("-")),
    };
    expected.assert_eq(&said);
}

#[test]
fn wishes() {
    check(
        r#"{"model": "sprout"}"#,
        &expect![[
            r#"OpenInstance { model: "sprout", sharding: Auto, node_count: None, node_ids: [], quantize: None, kv_bits: None, draft: None }"#
        ]],
    );
    check(
        r#"{"model": "/m", "sharding": "tensor", "node_count": 2}"#,
        &expect![[
            r#"OpenInstance { model: "/m", sharding: Tensor, node_count: Some(2), node_ids: [], quantize: None, kv_bits: None, draft: None }"#
        ]],
    );
    check(
        r#"{"model": "m", "quantize": 4}"#,
        &expect![[
            r#"OpenInstance { model: "m", sharding: Auto, node_count: None, node_ids: [], quantize: Some(QuantizedBits(4)), kv_bits: None, draft: None }"#
        ]],
    );
    for wrong in ["7", "0", "255"] {
        check(
            &format!(r#"{{"model": "m", "quantize": {wrong}}}"#),
            &expect!["quantize | quantize is one of [2, 3, 4, 5, 6, 8]"],
        );
    }
    check(
        r#"{"model": "m", "kv_bits": 8}"#,
        &expect![[
            r#"OpenInstance { model: "m", sharding: Auto, node_count: None, node_ids: [], quantize: None, kv_bits: Some(CacheBits(8)), draft: None }"#
        ]],
    );
    check(
        r#"{"model": "m", "kv_bits": 6}"#,
        &expect!["kv_bits | kv_bits is one of [4, 8]"],
    );
    check(
        r#"{"model": "m", "draft": "small"}"#,
        &expect![[
            r#"OpenInstance { model: "m", sharding: Auto, node_count: None, node_ids: [], quantize: None, kv_bits: None, draft: Some("small") }"#
        ]],
    );
    let id = "ab".repeat(32);
    check(
        &format!(r#"{{"model": "m", "sharding": "pipeline", "node_ids": ["{id}"]}}"#),
        &expect![[
            r#"OpenInstance { model: "m", sharding: Pipeline, node_count: None, node_ids: [NodeId(abababab)], quantize: None, kv_bits: None, draft: None }"#
        ]],
    );
    check("{}", &expect!["- | the body: missing field `model`"]);
    check(r#"{"model": ""}"#, &expect!["model | model is empty"]);
    check(
        r#"{"model": "m", "sharding": "diagonal"}"#,
        &expect![
            "sharding | sharding: unknown variant `diagonal`, expected one of `auto`, `pipeline`, `tensor`"
        ],
    );
    check(
        r#"{"model": "m", "node_count": 0}"#,
        &expect!["node_count | node_count must be at least 1"],
    );
    check(
        r#"{"model": "m", "nodes": 2}"#,
        &expect![
            "nodes | nodes: unknown field `nodes`, expected one of `model`, `sharding`, `node_count`, `node_ids`, `replicas`, `quantize`, `kv_bits`, `draft`"
        ],
    );
    check(
        r#"{"model": "m", "node_ids": ["x"]}"#,
        &expect!["node_ids[0] | node_ids[0] is not an id: expected 64 hex digits"],
    );
    check(
        &format!(r#"{{"model": "m", "node_ids": ["{id}", "{id}"]}}"#),
        &expect!["node_ids[1] | node_ids[1] is there twice"],
    );
    check(
        &format!(r#"{{"model": "m", "node_count": 2, "node_ids": ["{id}"]}}"#),
        &expect!["node_count | node_count and node_ids contradict each other"],
    );
}

/// The dashboard's types are these, word for word; `UPDATE_EXPECT=1` writes them anew.
#[test]
fn the_dashboard_knows_the_same_types() {
    let config = Config::new().with_large_int("number");
    let mut text = String::from(
        "// The admin API's types. Made from engine/serve/src/admin/model.rs by its tests: do not edit;\n\
         // UPDATE_EXPECT=1 cargo nextest run -p serve the_dashboard_knows_the_same_types\n",
    );
    for declared in [
        model::State::decl(&config),
        model::Node::decl(&config),
        model::NodeState::decl(&config),
        model::Level::decl(&config),
        model::Link::decl(&config),
        model::LinkKind::decl(&config),
        model::Instance::decl(&config),
        model::InstanceState::decl(&config),
        model::Sharding::decl(&config),
        model::Fetching::decl(&config),
        model::Loading::decl(&config),
        model::Shard::decl(&config),
        model::Activity::decl(&config),
        crate::admin::settings::Settings::decl(&config),
        crate::admin::settings::ModelFolder::decl(&config),
        crate::admin::settings::FolderWish::decl(&config),
        crate::admin::user_data::Conversations::decl(&config),
        crate::admin::user_data::ConversationSummary::decl(&config),
        crate::admin::user_data::KeptConversation::decl(&config),
        crate::admin::user_data::ApiKeys::decl(&config),
        crate::admin::user_data::ApiKey::decl(&config),
        crate::admin::user_data::Scope::decl(&config),
        crate::admin::user_data::NewApiKey::decl(&config),
        crate::admin::user_data::HubToken::decl(&config),
        crate::admin::user_data::NewHubToken::decl(&config),
        crate::admin::user_data::Logs::decl(&config),
        crate::admin::calls::Calls::decl(&config),
        crate::admin::calls::Call::decl(&config),
        crate::admin::membership::Membership::decl(&config),
        crate::admin::membership::Member::decl(&config),
        crate::admin::membership::Nearby::decl(&config),
        crate::admin::membership::Belonging::decl(&config),
        crate::admin::membership::Pairing::decl(&config),
        crate::admin::membership::Stage::decl(&config),
        crate::admin::downloads::Downloads::decl(&config),
        crate::admin::downloads::Download::decl(&config),
        crate::admin::downloads::DownloadState::decl(&config),
        crate::admin::downloads::DownloadWish::decl(&config),
        crate::admin::disk::DiskUsage::decl(&config),
        crate::admin::disk::Folder::decl(&config),
        crate::admin::disk::FolderKind::decl(&config),
        crate::admin::disk::Held::decl(&config),
        crate::admin::disk::Begun::decl(&config),
        crate::admin::disk::Leftover::decl(&config),
        crate::admin::disk::Room::decl(&config),
        crate::admin::disk::CleanWish::decl(&config),
        crate::admin::disk::Cleaned::decl(&config),
        crate::admin::hub::KnownModels::decl(&config),
        crate::admin::hub::KnownModel::decl(&config),
        crate::admin::hub::KnownRepository::decl(&config),
        crate::admin::hub::HubModel::decl(&config),
        model::ErrorOut::decl(&config),
        model::Models::decl(&config),
        model::Model::decl(&config),
        model::Placements::decl(&config),
        model::Placement::decl(&config),
        model::Wish::decl(&config),
        model::ShardingWish::decl(&config),
        model::Opened::decl(&config),
    ] {
        writeln!(text, "\nexport {declared}").unwrap();
    }
    expect_file!["../../../../../ui/src/generated/admin.ts"].assert_eq(&text);
}

#[test]
fn replicas_are_counted() {
    let parse = |body: &str| parse_opening(body.as_bytes());
    let counted = |body: &str| parse(body).map(|(_, replicas)| replicas);
    assert_eq!(counted(r#"{"model": "m"}"#), Ok(1));
    assert_eq!(counted(r#"{"model": "m", "replicas": 3}"#), Ok(3));
    let id = "ab".repeat(32);
    for refused in [
        r#"{"model": "m", "replicas": 0}"#.to_owned(),
        r#"{"model": "m", "replicas": 65}"#.to_owned(),
        format!(r#"{{"model": "m", "replicas": 2, "node_ids": ["{id}"]}}"#),
    ] {
        let failure = parse(&refused).unwrap_err();
        assert_eq!(failure.param.as_deref(), Some("replicas"), "{refused}");
    }
}
