//! `espalier models`: what a request may name.

use serde_json::Value;

use super::Target;
use super::client::Client;
use super::failure::CommandFailure;

pub(super) async fn list(target: &Target, json: bool) -> Result<(), CommandFailure> {
    let models = Client::new(target).get("/v1/models").await?;
    if json {
        println!("{models}");
        return Ok(());
    }
    for model in models["data"].as_array().map_or(&[][..], Vec::as_slice) {
        println!("{}", model["id"].as_str().unwrap_or_default());
    }
    Ok(())
}

/// The name under which requests reach a model: a folder is opened first, anything else is a name already.
pub(super) async fn name_of(client: &Client, model: &str) -> Result<String, CommandFailure> {
    let Some(folder) = as_folder(model) else {
        return Ok(model.to_string());
    };
    let body = serde_json::json!({"model": folder, "sharding": "auto"});
    let answer = client.post("/admin/instances", &body).await?;
    let id = answer["id"].as_str().unwrap_or_default();
    let instance: Value = client.get(&format!("/admin/instances/{id}")).await?;
    Ok(instance["model"].as_str().unwrap_or(model).to_string())
}

/// The absolute path, if `model` is a model's folder: the node runs somewhere else. A name that happens to be the
/// name of some folder here stays a name.
pub(super) fn as_folder(model: &str) -> Option<String> {
    let looks_like_path = model.starts_with(['.', '/']) || model.ends_with('/');
    let path = std::fs::canonicalize(model).ok()?;
    let meant = looks_like_path || path.join("config.json").is_file();
    (meant && path.is_dir()).then(|| path.to_string_lossy().into_owned())
}
