//! Several folders of models: where downloads go, disks that come and go, folders that are only read, what other tools have
//! fetched, and tidying up. By real nodes and the real command line.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::api::Api;
use tests::hub::trial::{REPOSITORY, check_files, check_verified, sent_of_verified};
use tests::hub::{Snapshot, TestHub, model, model_of, of_folder};
use tests::nodes::{Node, NodeOptions, program};

/// Nothing of these tests takes as long.
const LIMIT: Duration = Duration::from_mins(1);

/// A place for a data folder and others, and a hub.
struct Place {
    hub: TestHub,
    all: TempDir,
}

impl Place {
    fn of(snapshot: Snapshot) -> Result<Self> {
        let place = Self {
            hub: TestHub::start(snapshot)?,
            all: tempfile::tempdir()?,
        };
        for folder in ["disk", "nfs"] {
            fs::create_dir(place.path(folder))?;
        }
        Ok(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.all.path().join(name)
    }

    fn node(&self, arguments: &[&str]) -> Result<Node> {
        Node::start(&NodeOptions {
            data: Some(self.path("data")),
            hub: Some(self.hub.endpoint()),
            hub_cache: Some(self.path("cache")),
            arguments: arguments
                .iter()
                .map(|&argument| argument.to_owned())
                .collect(),
            ..NodeOptions::default()
        })
    }

    /// Sprout under another name in a folder.
    fn plant(&self, folder: &str) -> Result<()> {
        let (from, to) = (self.path("data/models/sprout"), self.path(folder));
        fs::create_dir_all(&to)?;
        for file in fs::read_dir(from)?.flatten() {
            fs::copy(file.path(), to.join(file.file_name()))?;
        }
        Ok(())
    }
}

fn download(api: &Api, model: &str) -> Result<()> {
    let (status, answer) = api.post_any("/admin/downloads", &json!({"model": model}))?;
    ensure!(status == 204, "{status} {answer}");
    Ok(())
}

/// Waits until a download is like this.
fn wait_for(api: &Api, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
    let begin = Instant::now();
    loop {
        let (_, list) = api.get("/admin/downloads")?;
        let found = list["downloads"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|one| is_so(one));
        if let Some(found) = found {
            return Ok(found.clone());
        }
        ensure!(begin.elapsed() < LIMIT, "never {what}: {list}");
        sleep(Duration::from_millis(20));
    }
}

fn wait_done(api: &Api) -> Result<()> {
    wait_for(api, "done", |one| one["state"] == "done").map(drop)
}

fn names(api: &Api) -> Result<String> {
    Ok(api.get("/v1/models")?.1.to_string())
}

/// What `espalier` says with these arguments, and whether all went well.
fn espalier(node: &Node, arguments: &[&str]) -> Result<(bool, String)> {
    let mut command = Command::new(program("espalier")?);
    command
        .args(arguments)
        .args(["--port", &node.port.to_string()]);
    let output = command.output()?;
    let both =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    Ok((output.status.success(), both.concat()))
}

/// Everything under a folder: inodes, lengths and times.
fn seen(folder: &Path) -> Result<BTreeMap<PathBuf, (u64, u64, i64, i64)>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let data = fs::symlink_metadata(&path)?;
            if data.is_dir() {
                folders.push(path.clone());
            }
            let what = (data.ino(), data.len(), data.mtime(), data.mtime_nsec());
            all.insert(path, what);
        }
    }
    Ok(all)
}

#[test]
fn a_download_waits_for_the_disk_that_it_goes_to() -> Result<()> {
    let snapshot = model_of(21, &[200_000, 8_000_000]);
    let place = Place::of(snapshot.clone())?;
    place.hub.contents().piece_pause = Duration::from_millis(4);
    let (disk, away) = (place.path("disk"), place.path("unplugged"));
    let folders = json!([place.path("nfs"), {"path": disk, "writable": true}]);
    let mut node = place.node(&[])?;
    let (status, settings) = node
        .api()
        .patch("/admin/settings", &json!({"model_folders": folders}))?;
    assert_eq!(status, 200, "{settings}");
    let shown = &settings["model_folders"];
    assert_eq!(
        (&shown[0]["writable"], &shown[1]["writable"]),
        (&json!(false), &json!(true))
    );
    ensure!(shown[1]["free_bytes"].as_u64() > Some(0), "{shown}");
    download(&node.api(), REPOSITORY)?;
    let some = |one: &Value| one["bytes_done"].as_u64() > Some(1_000_000);
    wait_for(&node.api(), "begun", some)?;

    fs::rename(&disk, &away)?;
    let waits = |one: &Value| {
        let reason = one["reason"].as_str().unwrap_or_default();
        one["state"] == "waiting" && reason.contains("disk is not there now")
    };
    wait_for(&node.api(), "waiting", waits)?;
    let (_, settings) = node.api().get("/admin/settings")?;
    assert_eq!(settings["model_folders"][1]["available"], false);
    let verified = sent_of_verified(&place.hub, &away);
    node.kill();
    // What some systems leave of a disk that is not connected.
    fs::create_dir(&disk)?;
    let node = place.node(&[])?;
    let api = node.api();
    wait_for(&api, "waiting again", waits)?;
    sleep(Duration::from_secs(2));
    wait_for(&api, "still waiting", waits)?;
    ensure!(fs::read_dir(&disk)?.next().is_none(), "it began anew");

    fs::remove_dir(&disk)?;
    fs::rename(&away, &disk)?;
    wait_done(&api)?;
    check_verified(&place.hub, &verified)?;
    check_files(&snapshot, &disk.join(REPOSITORY))?;
    ensure!(names(&api)?.contains(REPOSITORY));
    let own = fs::read_dir(place.path("data/models"))?.flatten();
    let own: Vec<_> = own.map(|entry| entry.file_name()).collect();
    assert_eq!(own, ["sprout"]);
    ensure!(fs::read_dir(place.path("nfs"))?.next().is_none());

    // Its models go with the disk, and come with it.
    fs::rename(&disk, &away)?;
    ensure!(!names(&api)?.contains(REPOSITORY));
    fs::rename(&away, &disk)?;
    ensure!(names(&api)?.contains(REPOSITORY));
    assert_eq!(api.delete(&format!("/admin/models/{REPOSITORY}"))?, 204);
    ensure!(!disk.join(REPOSITORY).exists());
    Ok(())
}

#[test]
fn what_is_only_read_is_run_and_never_touched() -> Result<()> {
    let place = Place::of(model(22, 1000))?;
    drop(place.node(&[])?);
    place.plant("nfs/acme/read")?;
    place.plant("nfs/acme/both")?;
    place.plant("disk/acme/both")?;
    fs::create_dir_all(place.path("nfs/.downloads/a/b/partial"))?;
    fs::create_dir_all(place.path("nfs/.deleted-x"))?;
    let (nfs, disk) = (place.path("nfs"), place.path("disk"));
    let before = seen(&nfs)?;
    let flags = [
        "--model-folder",
        nfs.to_str().context("a path")?,
        "--download-to",
        disk.to_str().context("a path")?,
    ];
    let node = place.node(&flags)?;
    let api = node.api();
    let (_, models) = api.get("/admin/models")?;
    let models = models["models"].as_array().context("no list")?;
    let lies = |name: &str| {
        let mut found = models.iter().filter(|model| model["id"] == name);
        let one = found.next().context("it is not listed")?;
        ensure!(found.next().is_none(), "{name} is listed twice");
        Ok((one["folder"].clone(), one["is_own"].clone()))
    };
    assert_eq!(
        lies("acme/read")?,
        (json!(nfs.join("acme/read")), json!(false))
    );
    assert_eq!(
        lies("acme/both")?,
        (json!(disk.join("acme/both")), json!(true))
    );
    ensure!(!api.complete("acme/read", &json!("Hello"), 4)?.is_empty());
    let (_, instances) = api.get("/admin/instances")?;
    api.close(instances["instances"][0]["id"].as_str().context("none")?)?;
    let (is_deleted, said) = espalier(&node, &["models", "delete", "acme/read", "--yes"])?;
    ensure!(
        !is_deleted && said.contains(nfs.join("acme/read").to_str().context("a path")?),
        "{said}"
    );
    let (is_clean, said) = espalier(&node, &["models", "clean", "--yes"])?;
    ensure!(is_clean && said.contains("nothing to clean up"), "{said}");
    let (_, said) = espalier(&node, &["models", "du"])?;
    ensure!(
        said.contains("acme/read") && said.contains("only read"),
        "{said}"
    );
    // The other copy comes to light, and stays.
    let (is_deleted, said) = espalier(&node, &["models", "delete", "acme/both", "--yes"])?;
    ensure!(is_deleted && !disk.join("acme/both").exists(), "{said}");
    ensure!(names(&api)?.contains("acme/both"));
    assert_eq!(api.delete("/admin/models/acme/both")?, 400);
    drop(node);
    assert_eq!(seen(&nfs)?, before);
    Ok(())
}

/// Files as Hugging Face's own tools keep them.
fn cache(cache: &Path, snapshot: &Snapshot) -> Result<PathBuf> {
    let repository = cache.join(format!("models--{}", REPOSITORY.replace('/', "--")));
    let commit = repository.join("snapshots").join(&snapshot.commit);
    for folder in [&commit, &repository.join("blobs"), &repository.join("refs")] {
        fs::create_dir_all(folder)?;
    }
    fs::write(repository.join("refs/main"), &snapshot.commit)?;
    for (name, file) in &snapshot.files {
        let hash = file.etag();
        fs::write(repository.join("blobs").join(&hash), &file.bytes)?;
        symlink(format!("../../blobs/{hash}"), commit.join(name))?;
    }
    Ok(repository)
}

#[test]
fn what_other_tools_fetched_is_run_and_need_not_be_fetched() -> Result<()> {
    let place = Place::of(model(23, 1000))?;
    drop(place.node(&[])?);
    let snapshot = of_folder(&place.path("data/models/sprout"))?;
    place.hub.publish(snapshot.clone());
    let repository = cache(&place.path("cache"), &snapshot)?;
    let fetching = repository.join("blobs/0123.incomplete");
    fs::write(&fetching, "")?;
    let node = place.node(&[])?;
    let api = node.api();
    ensure!(!names(&api)?.contains(REPOSITORY), "it is not whole");
    fs::remove_file(fetching)?;
    let before = seen(&repository)?;
    ensure!(names(&api)?.contains(REPOSITORY));
    ensure!(!api.complete(REPOSITORY, &json!("Hello"), 4)?.is_empty());
    let (_, instances) = api.get("/admin/instances")?;
    api.close(instances["instances"][0]["id"].as_str().context("none")?)?;
    let (is_deleted, said) = espalier(&node, &["models", "delete", REPOSITORY, "--yes"])?;
    ensure!(
        !is_deleted && said.contains("Hugging Face's own tools"),
        "{said}"
    );
    assert_eq!(seen(&repository)?, before);

    download(&api, REPOSITORY)?;
    wait_done(&api)?;
    let sent: u64 = place.hub.contents().sent.values().sum();
    assert_eq!(sent, 0, "it was fetched all the same");
    let own = place.path("data/models").join(REPOSITORY);
    check_files(&snapshot, &own)?;
    assert_eq!(api.delete(&format!("/admin/models/{REPOSITORY}"))?, 204);
    ensure!(!own.exists() && names(&api)?.contains(REPOSITORY));
    assert_eq!(seen(&repository)?.len(), before.len());
    Ok(())
}

#[test]
fn a_full_disk_is_told_with_what_to_delete() -> Result<()> {
    const TIB: u64 = 1 << 40;
    let mut snapshot = model(25, 1000);
    let weights = snapshot.files.get_mut("model-0.safetensors");
    weights.context("no weights")?.zeros = 8 * TIB;
    let place = Place::of(snapshot)?;
    let node = place.node(&[])?;
    for (name, size) in [("ada/large", 9 * TIB), ("ada/small", 1)] {
        place.plant(&format!("data/models/{name}"))?;
        // Takes no room, as it has nothing in it.
        let more = place.path("data/models").join(name).join("more.bin");
        fs::File::create(more)?.set_len(size)?;
    }
    let api = node.api();
    download(&api, REPOSITORY)?;
    let failed = wait_for(&api, "failed", |one| one["state"] == "failed")?;
    let hint = failed["error"]["hint"].as_str().unwrap_or_default();
    ensure!(
        hint.starts_with("deleting ada/large would make room"),
        "{failed}"
    );
    Ok(())
}

#[test]
fn what_is_left_over_is_shown_and_removed() -> Result<()> {
    let place = Place::of(model_of(24, &[200_000, 8_000_000]))?;
    place.hub.contents().piece_pause = Duration::from_millis(4);
    let node = place.node(&[])?;
    let api = node.api();
    download(&api, REPOSITORY)?;
    let some = |one: &Value| one["bytes_done"].as_u64() > Some(1_000_000);
    wait_for(&api, "begun", some)?;
    let pause = format!("/admin/downloads/{REPOSITORY}/pause");
    assert_eq!(api.post_any(&pause, &json!({}))?.0, 204);
    let models = place.path("data/models");
    place.plant("data/models/ada/old")?;
    place.plant("data/models/ada/new")?;
    place.plant("data/models/mine")?;
    fs::remove_file(models.join("mine/model.safetensors"))?;
    let leftover = models.join(".downloads/ada/gone/partial/weights");
    fs::create_dir_all(leftover.parent().context("a folder")?)?;
    fs::write(&leftover, [7; 5000])?;
    fs::create_dir_all(models.join(".deleted-gone"))?;
    // It was open a moment ago, and so is not the one to delete.
    ensure!(!api.complete("ada/old", &json!("Hello"), 4)?.is_empty());
    let (_, said) = espalier(&node, &["models", "du"])?;
    for expected in [
        "ada/gone",
        ".deleted-gone",
        "mine is not whole",
        "not whole yet",
        "now",
    ] {
        ensure!(said.contains(expected), "no {expected}: {said}");
    }
    let (_, instances) = api.get("/admin/instances")?;
    api.close(instances["instances"][0]["id"].as_str().context("none")?)?;
    let (_, room) = espalier(&node, &["models", "du", "--suggest", "1M"])?;
    ensure!(
        room.contains("ada/new") && !room.contains("ada/old"),
        "{room}"
    );
    let (_, room) = api.get("/admin/disk/room?bytes=1000000000000")?;
    assert_eq!(
        (&room["is_enough"], room["models"].as_array().map(Vec::len)),
        (&json!(false), Some(2))
    );

    let (is_fine, said) = espalier(&node, &["models", "clean", "--dry-run"])?;
    ensure!(
        is_fine && said.contains("TO REMOVE") && leftover.is_file(),
        "{said}"
    );
    let (is_agreed, said) = espalier(&node, &["models", "clean"])?;
    ensure!(
        !is_agreed && said.contains("--yes") && leftover.is_file(),
        "{said}"
    );
    let (is_clean, said) = espalier(&node, &["models", "clean", "--yes"])?;
    ensure!(is_clean && said.contains("Removed 2 leftovers"), "{said}");
    ensure!(!leftover.exists() && !models.join(".deleted-gone").exists());
    ensure!(
        models.join("mine/config.json").is_file(),
        "that was nobody's to delete"
    );
    let resume = format!("/admin/downloads/{REPOSITORY}/resume");
    let verified = sent_of_verified(&place.hub, &models);
    assert_eq!(api.post_any(&resume, &json!({}))?.0, 204);
    wait_done(&api)?;
    check_verified(&place.hub, &verified)
}
