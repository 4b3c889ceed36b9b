//! `espalier models`: what a request may name, what it takes of the disk, and what comes from a hub.

mod disk;

use std::io::{IsTerminal, Write};

use serde_json::Value;

use super::client::{Client, in_path};
use super::failure::CommandFailure;
use super::pull::in_words;
use super::table::table;
use super::{ModelsCommand, Target};
pub(super) use disk::parse_bytes;

pub(super) async fn models(command: ModelsCommand) -> Result<(), CommandFailure> {
    match command {
        ModelsCommand::List { target, json } => list(&target, json).await,
        ModelsCommand::Du {
            target,
            suggest,
            json,
        } => disk::du(&target, suggest, json).await,
        ModelsCommand::Clean {
            target,
            dry_run,
            yes,
        } => disk::clean(&target, dry_run, yes).await,
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

async fn delete(target: &Target, model: &str, yes: bool) -> Result<(), CommandFailure> {
    if !yes && !agreed(&format!("Delete the files of {model} from this computer?"))? {
        println!("Nothing was deleted.");
        return Ok(());
    }
    let path = format!("/admin/models/{}", in_path(model));
    Client::new(target).delete(&path).await?;
    println!("{model} is deleted.");
    Ok(())
}

/// Whether somebody at the terminal says yes.
fn agreed(question: &str) -> Result<bool, CommandFailure> {
    if !std::io::stdin().is_terminal() {
        let hint = "add --yes to delete it all the same";
        return Err(CommandFailure::with_hint("nobody can be asked here", hint));
    }
    print!("{question} [y/N] ");
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
