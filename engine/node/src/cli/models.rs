//! `espalier models`: what a request may name, what it takes of the disk, and what comes from a hub.

use std::io::{IsTerminal, Write};
use std::path::Path;

use serde_json::Value;

use super::client::{Client, in_path};
use super::failure::CommandFailure;
use super::pull::in_words;
use super::table::{bytes, table};
use super::{ModelsCommand, Target};

pub(super) async fn models(command: ModelsCommand) -> Result<(), CommandFailure> {
    match command {
        ModelsCommand::List { target, json } => list(&target, json).await,
        ModelsCommand::Du { target, json } => du(&target, json).await,
        ModelsCommand::Delete { target, model, yes } => delete(&target, &model, yes).await,
        ModelsCommand::Pause { target, model } => ask(&target, &model, "pause").await,
        ModelsCommand::Resume { target, model } => ask(&target, &model, "resume").await,
        ModelsCommand::Cancel { target, model } => {
            let path = format!("/admin/downloads/{}", in_path(&model));
            Client::new(&target).delete(&path).await
        }
    }
}

async fn list(target: &Target, json: bool) -> Result<(), CommandFailure> {
    let client = Client::new(target);
    let models = client.get("/v1/models").await?;
    if json {
        println!("{models}");
        return Ok(());
    }
    for model in items(&models["data"]) {
        println!("{}", model["id"].as_str().unwrap_or_default());
    }
    let downloads = client.get("/admin/downloads").await?;
    print!("{}", coming(&downloads));
    Ok(())
}

/// The downloads that are not done, in words.
fn coming(downloads: &Value) -> String {
    let all = items(&downloads["downloads"]).iter();
    let coming = all.filter(|download| download["state"] != "done");
    let rows: Vec<[String; 2]> = coming
        .map(|download| [text(download, "model"), in_words(download)])
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{}", table(["DOWNLOAD", "STATE"], &rows))
}

async fn du(target: &Target, json: bool) -> Result<(), CommandFailure> {
    let client = Client::new(target);
    let models = client.get("/admin/models").await?;
    let mut rows: Vec<(String, u64, String)> = items(&models["models"])
        .iter()
        .map(|model| {
            let folder = text(model, "folder");
            (text(model, "id"), size_of(Path::new(&folder)), folder)
        })
        .collect();
    let downloads = client.get("/admin/downloads").await?;
    let all = items(&downloads["downloads"]).iter();
    let parts = all.filter(|download| download["state"] != "done");
    rows.extend(parts.map(|download| {
        let bytes = download["bytes_done"].as_u64().unwrap_or_default();
        (text(download, "model"), bytes, "not whole yet".to_owned())
    }));
    // The largest first: that is what is looked for.
    rows.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    if json {
        let row = |(model, bytes, folder)| serde_json::json!({"model": model, "bytes": bytes, "folder": folder});
        let rows: Vec<Value> = rows.into_iter().map(row).collect();
        println!("{}", Value::from(rows));
        return Ok(());
    }
    let total = rows.iter().map(|row| row.1).sum();
    let mut rows: Vec<[String; 3]> = rows
        .into_iter()
        .map(|(model, size, folder)| [model, bytes(size), folder])
        .collect();
    rows.push(["all".to_owned(), bytes(total), String::new()]);
    print!("{}", table(["MODEL", "SIZE", "FOLDER"], &rows));
    Ok(())
}

/// Bytes of the files in a model's folder; it has no folders in it. Links count as what they lead to.
fn size_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| std::fs::metadata(entry.path()).ok());
    files
        .filter(std::fs::Metadata::is_file)
        .map(|file| file.len())
        .sum()
}

async fn delete(target: &Target, model: &str, yes: bool) -> Result<(), CommandFailure> {
    if !yes && !agreed(model)? {
        println!("Nothing was deleted.");
        return Ok(());
    }
    let path = format!("/admin/models/{}", in_path(model));
    Client::new(target).delete(&path).await?;
    println!("{model} is deleted.");
    Ok(())
}

/// Whether somebody at the terminal says yes.
fn agreed(model: &str) -> Result<bool, CommandFailure> {
    if !std::io::stdin().is_terminal() {
        let hint = "add --yes to delete it all the same";
        return Err(CommandFailure::with_hint("nobody can be asked here", hint));
    }
    print!("Delete the files of {model} from this computer? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdout()
        .flush()
        .and_then(|()| std::io::stdin().read_line(&mut answer));
    read.map_err(|error| CommandFailure::other(format!("cannot read the answer: {error}")))?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// Pauses a download or goes on with it.
async fn ask(target: &Target, model: &str, what: &str) -> Result<(), CommandFailure> {
    let path = format!("/admin/downloads/{}/{what}", in_path(model));
    let nothing = Value::Object(serde_json::Map::new());
    Client::new(target).post(&path, &nothing).await?;
    Ok(())
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
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

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn what_comes_is_told_below_what_is_here() {
        let downloads = json!({"downloads": [
            {"model": "ada/old", "state": "done", "bytes_done": 5, "bytes_total": 5},
            {"model": "ada/new", "state": "paused", "bytes_done": 5, "bytes_total": 10},
        ]});
        expect![[r"

            DOWNLOAD  STATE
            ada/new   5 B of 10 B, paused
        "]]
        .assert_eq(&coming(&downloads));
        assert_eq!(coming(&json!({"downloads": []})), "");
    }
}
