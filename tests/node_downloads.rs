//! Downloads of a running node: by its API, by Ollama's, by the command line; with faults, paused, and over a restart.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::api::Api;
use tests::hub::trial::{REPOSITORY, check_files, check_verified, sent_of_verified};
use tests::hub::{Fault, Faults, Snapshot, TestHub, model, model_of, of_folder};
use tests::nodes::{Node, NodeOptions, program};

/// No download of these tests takes as long.
const LIMIT: Duration = Duration::from_mins(1);

/// A hub, and a data folder for a node that knows it.
struct Place {
    hub: TestHub,
    data: TempDir,
}

impl Place {
    fn of(snapshot: Snapshot) -> Result<Self> {
        Ok(Self {
            hub: TestHub::start(snapshot)?,
            data: tempfile::tempdir()?,
        })
    }

    /// A hub whose model takes some seconds.
    fn slow(seed: u64) -> Result<Self> {
        let place = Self::of(slow_model(seed))?;
        place.hub.contents().piece_pause = Duration::from_millis(4);
        Ok(place)
    }

    fn node(&self) -> Result<Node> {
        Node::start(&NodeOptions {
            data: Some(self.data.path().to_owned()),
            hub: Some(self.hub.endpoint()),
            ..NodeOptions::default()
        })
    }

    fn models(&self) -> PathBuf {
        self.data.path().join("models")
    }

    fn check_model(&self, snapshot: &Snapshot) -> Result<()> {
        check_files(snapshot, &self.models().join(REPOSITORY))
    }

    fn sent(&self) -> u64 {
        self.hub.contents().sent.values().sum()
    }
}

fn slow_model(seed: u64) -> Snapshot {
    model_of(seed, &[200_000, 8_000_000])
}

fn path(what: &str) -> String {
    format!("/admin/downloads/{REPOSITORY}{what}")
}

fn start(api: &Api, model: &str) -> Result<()> {
    let (status, answer) = api.post_any("/admin/downloads", &json!({"model": model}))?;
    ensure!(status == 204, "{status} {answer}");
    Ok(())
}

fn downloads(api: &Api) -> Result<Vec<Value>> {
    let (_, answer) = api.get("/admin/downloads")?;
    let list = answer["downloads"].as_array();
    Ok(list.context("no list")?.clone())
}

/// Waits until a download of the list is like this.
fn wait_for(api: &Api, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
    let begin = Instant::now();
    loop {
        let list = downloads(api)?;
        if let Some(found) = list.iter().find(|download| is_so(download)) {
            return Ok(found.clone());
        }
        ensure!(begin.elapsed() < LIMIT, "never {what}: {list:?}");
        sleep(Duration::from_millis(20));
    }
}

fn wait_done(api: &Api) -> Result<Value> {
    wait_for(api, "done", |download| download["state"] == "done")
}

/// Waits until so much came that something is half there.
fn wait_for_bytes(place: &Place, more: u64) -> Result<()> {
    let (begin, before) = (Instant::now(), place.sent());
    while place.sent() < before + more {
        ensure!(begin.elapsed() < LIMIT, "no bytes come");
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn names(api: &Api) -> Result<String> {
    Ok(api.get("/v1/models")?.1.to_string())
}

#[test]
fn a_node_downloads_what_it_is_told_whatever_goes_wrong() -> Result<()> {
    let place = Place::of(model(1, 300_000))?;
    let kinds: [fn(u64) -> Fault; 4] = [
        Fault::Cut,
        |_| Fault::TooMany,
        |_| Fault::Broken,
        |_| Fault::WrongLength,
    ];
    place.hub.contents().faults = Faults::new(5, 6, &kinds);
    let node = place.node()?;
    let api = node.api();
    ensure!(!names(&api)?.contains(REPOSITORY));
    start(&api, REPOSITORY)?;
    let done = wait_done(&api)?;
    let snapshot = model(1, 300_000);
    assert_eq!(done["commit"], snapshot.commit.as_str());
    ensure!(done["bytes_done"] == done["bytes_total"], "{done}");
    place.check_model(&snapshot)?;
    ensure!(place.hub.contents().faults.caused.len() > 2);
    for (name, sent) in &place.hub.contents().sent {
        assert_eq!(*sent, snapshot.files[name].bytes.len() as u64, "{name}");
    }
    ensure!(names(&api)?.contains(REPOSITORY), "it is not listed");
    assert_eq!(api.delete(&path(""))?, 204);
    ensure!(downloads(&api)?.is_empty() && names(&api)?.contains(REPOSITORY));

    start(&api, "ada/tiny-model@no-such-revision")?;
    let failed = wait_for(&api, "failed", |download| download["state"] == "failed")?;
    let hint = failed["error"]["hint"].as_str();
    ensure!(
        hint.is_some_and(|hint| hint.contains("revision")),
        "{failed}"
    );
    let (status, refused) = api.post("/admin/downloads", &json!({"model": "../x"}))?;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (400, &json!("invalid_request"))
    );
    Ok(())
}

#[test]
fn a_paused_download_stays_so_over_a_restart_and_goes_on_where_it_was() -> Result<()> {
    let place = Place::slow(7)?;
    let mut node = place.node()?;
    start(&node.api(), REPOSITORY)?;
    wait_for_bytes(&place, 2_000_000)?;
    let (status, _) = node.api().post_any(&path("/pause"), &json!({}))?;
    assert_eq!(status, 204);
    sleep(Duration::from_millis(500));
    let (sent, verified) = (place.sent(), sent_of_verified(&place.hub, &place.models()));
    ensure!(!verified.is_empty(), "nothing is verified yet");
    sleep(Duration::from_millis(500));
    assert_eq!(place.sent(), sent, "it goes on all the same");
    node.kill();
    let node = place.node()?;
    let api = node.api();
    let [paused] = downloads(&api)?.try_into().ok().context("one download")?;
    assert_eq!(paused["state"], "paused");
    ensure!(paused["bytes_done"].as_u64() > Some(0), "{paused}");
    sleep(Duration::from_millis(300));
    assert_eq!(place.sent(), sent);
    assert_eq!(api.post_any(&path("/resume"), &json!({}))?.0, 204);
    wait_done(&api)?;
    check_verified(&place.hub, &verified)?;
    place.check_model(&slow_model(7))
}

#[test]
fn a_download_goes_on_after_a_node_was_killed() -> Result<()> {
    let place = Place::slow(8)?;
    let mut node = place.node()?;
    start(&node.api(), REPOSITORY)?;
    let mut verified = BTreeMap::new();
    for _ in 0..3 {
        wait_for_bytes(&place, 1_000_000)?;
        node.kill();
        check_verified(&place.hub, &verified)?;
        verified = sent_of_verified(&place.hub, &place.models());
        node = place.node()?;
    }
    wait_done(&node.api())?;
    check_verified(&place.hub, &verified)?;
    place.check_model(&slow_model(8))
}

#[test]
fn a_token_is_kept_shown_to_the_hub_and_to_nobody_else() -> Result<()> {
    let place = Place::of(model(13, 1000))?;
    let node = place.node()?;
    let api = node.api();
    let is_set = || Ok::<_, anyhow::Error>(api.get("/admin/hub-token")?.1);
    assert_eq!(is_set()?, json!({"is_set": false}));
    let put = |token: &str| api.put("/admin/hub-token", &json!({"token": token}));
    assert_eq!(put("not a token")?, 400);
    assert_eq!(put("hf_first")?, 204);
    assert_eq!(put("hf_second")?, 204);
    assert_eq!(is_set()?, json!({"is_set": true}));
    let file = place.data.path().join("hub.token");
    if cfg!(not(target_os = "macos")) {
        assert_eq!(fs::read_to_string(&file)?, "hf_second");
        assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    }
    drop(node);
    let node = place.node()?;
    let api = node.api();
    api.get(&format!("/admin/hub/{REPOSITORY}"))?;
    start(&api, REPOSITORY)?;
    wait_done(&api)?;
    let (with_token, without) = place.hub.contents().with_token;
    ensure!(with_token > 0 && without == 0, "{with_token} {without}");
    assert_eq!(place.hub.contents().leaked, 0);
    assert_eq!(api.delete("/admin/hub-token")?, 204);
    ensure!(!file.exists());
    start(&api, "ada/other")?;
    wait_for(&api, "the other", |one| {
        one["model"] == "ada/other" && one["state"] == "done"
    })?;
    ensure!(place.hub.contents().with_token.1 > 0, "it is still shown");
    Ok(())
}

#[test]
fn what_is_cancelled_is_deleted() -> Result<()> {
    let place = Place::slow(9)?;
    let node = place.node()?;
    let api = node.api();
    start(&api, REPOSITORY)?;
    wait_for_bytes(&place, 1_000_000)?;
    assert_eq!(api.delete(&path(""))?, 204);
    ensure!(downloads(&api)?.is_empty());
    let left = place.models().join(".downloads").join(REPOSITORY);
    let left: Vec<_> = fs::read_dir(left)?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, ["lock"]);
    assert_eq!(api.delete(&path(""))?, 404);
    Ok(())
}

#[test]
fn some_run_at_once_and_all_together_keep_to_the_limit() -> Result<()> {
    const LIMIT_BYTES: u64 = 1_000_000;
    let place = Place::of(model_of(10, &[3_000_000]))?;
    let node = place.node()?;
    let api = node.api();
    let limit = |bytes: u64| {
        api.patch(
            "/admin/settings",
            &json!({"download_bytes_per_s_max": bytes}),
        )
    };
    assert_eq!(
        limit(LIMIT_BYTES)?.1["download_bytes_per_s_max"],
        LIMIT_BYTES
    );
    for name in ["ada/one", "ada/two", "ada/three"] {
        start(&api, name)?;
    }
    let begin = Instant::now();
    let mut came = 0;
    while came < 4 * LIMIT_BYTES {
        let list = downloads(&api)?;
        let all = list.iter().filter_map(|one| one["bytes_done"].as_u64());
        came = all.sum();
        let may = (begin.elapsed().as_secs_f64() + 0.5) * LIMIT_BYTES as f64;
        ensure!(
            came as f64 <= may,
            "{came} bytes after {:?}",
            begin.elapsed()
        );
        if came > LIMIT_BYTES && came < 3 * LIMIT_BYTES {
            let states: Vec<&Value> = list.iter().map(|one| &one["state"]).collect();
            assert_eq!(states, ["running", "running", "waiting"]);
        }
        sleep(Duration::from_millis(50));
    }
    ensure!(
        begin.elapsed() < Duration::from_secs(12),
        "{:?}",
        begin.elapsed()
    );
    let text = fs::read_to_string(place.data.path().join("settings.toml"))?;
    assert_eq!(text, "download_bytes_per_s_max = 1000000\n");
    limit(0)?;
    wait_for(&api, "the last one", |one| {
        one["model"] == "ada/three" && one["state"] == "done"
    })?;
    Ok(())
}

#[test]
fn an_open_model_is_neither_deleted_nor_replaced() -> Result<()> {
    let place = Place::of(model(1, 1))?;
    let node = place.node()?;
    let api = node.api();
    let mut snapshot = of_folder(&place.models().join("sprout"))?;
    place.hub.publish(snapshot.clone());
    start(&api, REPOSITORY)?;
    wait_done(&api)?;
    let id = api.place(REPOSITORY, "auto", 1)?;
    api.wait_ready(&id, LIMIT)?;
    let here = format!("/admin/models/{REPOSITORY}");
    assert_eq!(api.delete(&here)?, 400, "its files are in use");

    let template = snapshot.files.get_mut("tokenizer_config.json");
    template.context("no configuration")?.bytes.push(b'\n');
    snapshot.commit = model(2, 1).commit;
    place.hub.publish(snapshot.clone());
    start(&api, REPOSITORY)?;
    let waits =
        |one: &Value| one["state"] == "waiting" && one["reason"].to_string().contains("open");
    wait_for(&api, "waiting", waits)?;
    ensure!(place.check_model(&snapshot).is_err(), "it was replaced");
    api.close(&id)?;
    wait_done(&api)?;
    let folder = place.models().join(REPOSITORY);
    let config = fs::read(folder.join("tokenizer_config.json"))?;
    ensure!(config.ends_with(b"\n"), "it was not replaced");
    let weights = &snapshot.files["model.safetensors"];
    let sent = place.hub.contents().sent["model.safetensors"];
    assert_eq!(
        sent,
        weights.bytes.len() as u64,
        "the same weights came twice"
    );
    ensure!(!api.complete(REPOSITORY, &json!("Hello"), 4)?.is_empty());

    let instances = api.get("/admin/instances")?.1;
    let id = instances["instances"][0]["id"].as_str().context("none")?;
    api.close(id)?;
    assert_eq!(api.delete(&here)?, 204);
    ensure!(!folder.exists() && !names(&api)?.contains(REPOSITORY));
    assert_eq!(api.delete(&here)?, 404);
    Ok(())
}

#[test]
fn ollamas_pull_tells_how_far_it_is() -> Result<()> {
    let place = Place::slow(11)?;
    let node = place.node()?;
    let api = node.api();
    let body = json!({"model": format!("hf.co/{REPOSITORY}:latest")});
    let steps = api.lines("/api/pull", &body)?.collect::<Result<Vec<_>>>()?;
    assert_eq!(steps.first(), Some(&json!({"status": "pulling manifest"})));
    assert_eq!(steps.last(), Some(&json!({"status": "success"})));
    let total = steps.iter().find_map(|step| step["total"].as_u64());
    let done: Vec<u64> = steps
        .iter()
        .filter_map(|step| step["completed"].as_u64())
        .collect();
    ensure!(done.len() > 2 && done.is_sorted(), "{steps:?}");
    ensure!(done.last() <= total.as_ref(), "{steps:?}");
    ensure!(api.get("/api/tags")?.1.to_string().contains(REPOSITORY));
    // Nothing comes again.
    let sent = place.sent();
    let again = api.lines("/api/pull", &body)?.last().context("nothing")??;
    assert_eq!((again, place.sent()), (json!({"status": "success"}), sent));
    Ok(())
}

fn espalier(node: &Node, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(program("espalier")?);
    command
        .args(arguments)
        .args(["--port", &node.port.to_string()]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

fn said(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr];
    both.map(|text| String::from_utf8_lossy(text).into_owned())
        .concat()
}

/// Like ^C.
fn interrupt(child: &Child) -> Result<()> {
    Ok(kill(
        Pid::from_raw(i32::try_from(child.id())?),
        Signal::SIGINT,
    )?)
}

#[test]
fn the_command_line_asks_the_node() -> Result<()> {
    let place = Place::slow(12)?;
    let node = place.node()?;
    let api = node.api();
    let pull = espalier(&node, &["pull", REPOSITORY])?.spawn()?;
    wait_for_bytes(&place, 500_000)?;
    interrupt(&pull)?;
    let pulled = pull.wait_with_output()?;
    ensure!(
        pulled.status.success() && said(&pulled).contains("The node goes on"),
        "{pulled:?}"
    );
    wait_for(&api, "known", |one| one["bytes_total"].as_u64() > Some(0))?;
    let list = said(&espalier(&node, &["models", "list"])?.output()?);
    ensure!(
        list.contains("sprout\n") && list.contains(REPOSITORY) && list.contains(" of "),
        "{list}"
    );
    let paused = espalier(&node, &["models", "pause", REPOSITORY])?.output()?;
    ensure!(paused.status.success(), "{paused:?}");
    assert_eq!(downloads(&api)?[0]["state"], "paused");
    let pulled = espalier(&node, &["pull", REPOSITORY])?.output()?;
    ensure!(
        pulled.status.success() && said(&pulled).contains("is here, verified"),
        "{pulled:?}"
    );
    let used = said(&espalier(&node, &["models", "du"])?.output()?);
    ensure!(used.contains(REPOSITORY) && used.contains("all "), "{used}");
    let asked = espalier(&node, &["models", "delete", REPOSITORY])?.output()?;
    ensure!(
        !asked.status.success() && said(&asked).contains("--yes"),
        "{asked:?}"
    );
    let deleted = espalier(&node, &["models", "delete", REPOSITORY, "--yes"])?.output()?;
    ensure!(deleted.status.success(), "{deleted:?}");
    ensure!(!place.models().join(REPOSITORY).exists());
    let unknown = espalier(&node, &["models", "cancel", "ada/none"])?.output()?;
    let answer = said(&unknown);
    ensure!(answer.contains("is not downloaded"), "{answer}");
    Ok(())
}
