//! `espalier status`: the cluster as one node sees it.

use std::fmt::Write;

use serde_json::Value;

use super::StatusArguments;
use super::client::Client;
use super::failure::CommandFailure;
use super::table::{bytes, table};

pub(super) async fn status(arguments: &StatusArguments) -> Result<(), CommandFailure> {
    let state = Client::new(&arguments.target).get("/admin/state").await?;
    if arguments.json {
        println!("{state}");
    } else {
        print!("{}", describe(&state));
    }
    Ok(())
}

/// The state in words. Fields that a state lacks read as empty: an older node may not have them.
fn describe(state: &Value) -> String {
    let here = &state["node_id"];
    let nodes: Vec<[String; 5]> = list(state, "nodes")
        .iter()
        .map(|node| {
            let mark = if node["id"] == *here { "*" } else { "" };
            [
                format!("{}{mark}", text(node, "name")),
                short(node, "id"),
                state_of(node),
                bytes(number(node, "memory_available_bytes")),
                bytes(number(node, "memory_total_bytes")),
            ]
        })
        .collect();
    let mut said = table(["NODE", "ID", "STATE", "FREE", "MEMORY"], &nodes);
    let instances = list(state, "instances");
    if instances.is_empty() {
        said += "\nNo model is loaded. One is loaded when a request names it; `espalier models list` shows which.\n";
        return said;
    }
    said.push('\n');
    let rows: Vec<[String; 5]> = instances
        .iter()
        .map(|instance| {
            [
                text(instance, "model"),
                text(instance, "id"),
                text(instance, "state"),
                text(instance, "sharding"),
                holders(state, instance),
            ]
        })
        .collect();
    said += &table(["MODEL", "INSTANCE", "STATE", "SHARDING", "SHARDS"], &rows);
    for instance in instances {
        if let Some(fetching) = fetching(state, instance) {
            // Writing to a String cannot fail.
            let _ = writeln!(said, "\n{}: {fetching}", text(instance, "model"));
        }
        let failure = super::client::failure_in(instance);
        if let Some(failure) = failure {
            // Writing to a String cannot fail.
            let _ = writeln!(said, "\n{}: {failure}", text(instance, "model"));
        }
    }
    said
}

/// What is fetched of a model before it can be read, in all and by whom.
fn fetching(state: &Value, instance: &Value) -> Option<String> {
    let parts = list(instance, "fetching");
    let of = |done, total| format!("{} of {}", bytes(done), bytes(total));
    let by_node = parts.iter().map(|part| {
        let (done, total) = (number(part, "bytes_done"), number(part, "bytes_total"));
        format!("{}: {}", name_of(state, part), of(done, total))
    });
    let by_node: Vec<String> = by_node.collect();
    let sum = |field| {
        let numbers = parts.iter().map(|part| number(part, field));
        numbers.fold(0, u64::saturating_add)
    };
    let all = of(sum("bytes_done"), sum("bytes_total"));
    match by_node.len() {
        0 => None,
        1 => Some(format!("fetching {all}")),
        _ => Some(format!("fetching {all} ({})", by_node.join(", "))),
    }
}

/// The name of the node that something of an instance is on.
fn name_of(state: &Value, part: &Value) -> String {
    let mut nodes = list(state, "nodes").iter();
    let node = nodes.find(|node| node["id"] == part["node_id"]);
    node.map_or_else(|| short(part, "node_id"), |node| text(node, "name"))
}

/// A node's state, and why it is so.
fn state_of(node: &Value) -> String {
    match node["reason"].as_str() {
        Some(reason) => format!("{}: {reason}", text(node, "state")),
        None => text(node, "state"),
    }
}

/// Who holds which layers, highest rank (the first layers of a pipeline) first.
pub(super) fn holders(state: &Value, instance: &Value) -> String {
    let shards = list(instance, "shards").iter().rev();
    let parts: Vec<String> = shards
        .map(|shard| {
            let name = name_of(state, shard);
            let slice = match number_at(&shard["tensor"], 1) {
                of if of > 1 => format!(" {}/{of}", number_at(&shard["tensor"], 0) + 1),
                _ => String::new(),
            };
            let layers = &shard["layers"];
            format!(
                "{name} {}-{}{slice}",
                number_at(layers, 0),
                number_at(layers, 1)
            )
        })
        .collect();
    parts.join(", ")
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_string()
}

fn short(value: &Value, field: &str) -> String {
    text(value, field).chars().take(8).collect()
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_default()
}

fn number_at(value: &Value, index: usize) -> u64 {
    value[index].as_u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn a_cluster_in_words() {
        let state = json!({
            "node_id": "aaaaaaaaaaaa",
            "nodes": [
                {"id": "aaaaaaaaaaaa", "name": "oak", "state": "online",
                 "memory_available_bytes": 2_147_483_648_u64, "memory_total_bytes": 4_294_967_296_u64},
                {"id": "bbbbbbbbbbbb", "name": "elm", "state": "locked", "reason": "wrong cluster key (cluster orchard)"},
            ],
            "instances": [{"id": "00000000000000fe", "model": "sprout", "state": "ready", "sharding": "pipeline",
                "shards": [{"node_id": "aaaaaaaaaaaa", "layers": [3, 6], "tensor": [0, 1]},
                           {"node_id": "bbbbbbbbbbbb", "layers": [0, 3], "tensor": [0, 1]}]}],
        });
        expect![[r"
            NODE  ID        STATE                                        FREE     MEMORY
            oak*  aaaaaaaa  online                                       2.0 GiB  4.0 GiB
            elm   bbbbbbbb  locked: wrong cluster key (cluster orchard)  0 B      0 B

            MODEL   INSTANCE          STATE  SHARDING  SHARDS
            sprout  00000000000000fe  ready  pipeline  elm 0-3, oak 3-6
        "]]
        .assert_eq(&describe(&state));
    }

    #[test]
    fn what_is_fetched_in_words() {
        let part = |node: &str, done: u64| json!({"node_id": node, "bytes_done": done << 30, "bytes_total": 20_u64 << 30});
        let mut state = json!({
            "node_id": "a",
            "nodes": [{"id": "a", "name": "oak", "state": "online"}, {"id": "b", "name": "elm", "state": "online"}],
            "instances": [{"id": "fe", "model": "big", "state": "downloading", "sharding": "pipeline",
                "fetching": [part("a", 1), part("b", 2)],
                "shards": [{"node_id": "a", "layers": [3, 6], "tensor": [0, 1]},
                           {"node_id": "b", "layers": [0, 3], "tensor": [0, 1]}]}],
        });
        let last = |state: &Value| {
            describe(state)
                .lines()
                .last()
                .unwrap_or_default()
                .to_string()
        };
        expect![
            "big: fetching 3.0 GiB of 40.0 GiB (oak: 1.0 GiB of 20.0 GiB, elm: 2.0 GiB of 20.0 GiB)"
        ]
        .assert_eq(&last(&state));
        state["instances"][0]["fetching"] = json!([part("b", 2)]);
        expect!["big: fetching 2.0 GiB of 20.0 GiB"].assert_eq(&last(&state));
        state["instances"][0]["fetching"] = json!([]);
        expect!["big    fe        downloading  pipeline  elm 0-3, oak 3-6"]
            .assert_eq(&last(&state));
    }
}
