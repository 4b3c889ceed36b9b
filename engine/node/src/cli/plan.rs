//! `espalier plan`: how a model would be divided, without loading it.

use serde_json::{Value, json};

use super::PlanArguments;
use super::client::Client;
use super::failure::CommandFailure;
use super::models::as_folder;
use super::table::{bytes, table};

pub(super) async fn plan(arguments: &PlanArguments) -> Result<(), CommandFailure> {
    let model = as_folder(&arguments.model).unwrap_or_else(|| arguments.model.clone());
    let mut body = json!({"model": model, "sharding": arguments.sharding.word()});
    if let Some(bits) = arguments.quantize.bits {
        body["quantize"] = bits.get().into();
    }
    if let Some(bits) = arguments.quantize.kv_bits {
        body["kv_bits"] = bits.get().into();
    }
    if let Some(draft) = &arguments.quantize.draft {
        body["draft"] = as_folder(draft).unwrap_or_else(|| draft.clone()).into();
    }
    if let Some(count) = arguments.node_count {
        body["node_count"] = count.into();
    }
    let client = Client::new(&arguments.target);
    let answer = client.post("/admin/plan", &body).await?;
    if arguments.json {
        println!("{answer}");
        return Ok(());
    }
    let state = client.get("/admin/state").await?;
    print!("{}", describe(&answer, &state));
    Ok(())
}

/// The placements in words, best first.
fn describe(answer: &Value, state: &Value) -> String {
    let placements = answer["placements"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let rows: Vec<[String; 5]> = placements
        .iter()
        .zip(1..)
        .map(|(placement, number)| {
            let shards = placement["shards"]
                .as_array()
                .map_or(&[][..], Vec::as_slice);
            let total: u64 = shards
                .iter()
                .filter_map(|shard| shard["bytes"].as_u64())
                .sum();
            [
                format!("{number}"),
                placement["sharding"]
                    .as_str()
                    .unwrap_or_default()
                    .to_string(),
                format!(
                    "{:.1}",
                    placement["tokens_per_s"].as_f64().unwrap_or_default()
                ),
                bytes(total),
                super::status::holders(state, placement),
            ]
        })
        .collect();
    table(["", "SHARDING", "TOKENS/S", "MEMORY", "SHARDS"], &rows)
        + "\nTokens per second are predicted; the order is what counts.\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn placements_in_words() {
        let answer = json!({"placements": [{"sharding": "tensor", "tokens_per_s": 41.26, "shards": [
            {"node_id": "a", "layers": [0, 6], "tensor": [0, 2], "bytes": 1024},
            {"node_id": "b", "layers": [0, 6], "tensor": [1, 2], "bytes": 1024}]}]});
        let state = json!({"nodes": [{"id": "a", "name": "oak"}, {"id": "b", "name": "elm"}]});
        expect![[r"
               SHARDING  TOKENS/S  MEMORY   SHARDS
            1  tensor    41.3      2.0 KiB  elm 0-6 2/2, oak 0-6 1/2

            Tokens per second are predicted; the order is what counts.
        "]]
        .assert_eq(&describe(&answer, &state));
    }
}
