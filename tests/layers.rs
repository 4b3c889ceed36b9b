//! Some of a model's layers, of a model whose weights lie in several files: fetched without the rest, and loaded.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use store::download::{DownloadError, Limits, Progress, Wanted, fetch_layers, held_layers};
use store::{Catalogue, Places};
use tests::hub::trial::{REPOSITORY, attempt, check_files, limits, settings};
use tests::hub::{Fault, Faults, HARMLESS, Snapshot, TestHub, of_folder};
use tests::pieces::{ENDS, LAYERS, file_of, sprout_in_files};

/// No download of these tests takes as long.
const LONG: Duration = Duration::from_mins(1);
/// A header and what may come with it of an answer that is broken off.
const HEADER_BYTES_MAX: u64 = 20_000;

fn snapshot() -> Result<Snapshot> {
    let folder = tempfile::tempdir()?;
    sprout_in_files(folder.path(), 512)?;
    of_folder(folder.path())
}

fn wanted(hub: &TestHub) -> Result<Wanted> {
    Ok(Wanted::parse(&format!(
        "{REPOSITORY}@{}",
        hub.contents().main
    ))?)
}

/// Fetches layers; the folder that they lie in.
fn layers_of(
    hub: &TestHub,
    layers: Range<u32>,
    models: &Path,
    limits: &Limits,
) -> Result<Result<PathBuf, DownloadError>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (wanted, progress) = (wanted(hub)?, Progress::default());
    let settings = settings(hub);
    runtime.block_on(async {
        let fetching = fetch_layers(&wanted, layers, models, &settings, limits, &progress);
        let done = tokio::time::timeout(LONG, fetching).await;
        done.context("it takes too long")
    })
}

/// What the hub sent of a file, and how long it is.
fn sent(hub: &TestHub, snapshot: &Snapshot, name: &str) -> (u64, u64) {
    let sent = hub.contents().sent.get(name).copied().unwrap_or(0);
    (sent, snapshot.files[name].size())
}

#[test]
fn layers_come_without_the_others_and_the_others_later_without_them() -> Result<()> {
    let snapshot = snapshot()?;
    let hub = TestHub::start(snapshot.clone())?;
    let models = tempfile::tempdir()?;
    let places = Places::from(models.path().to_owned());
    let held =
        |layers: Range<u32>| Ok::<_, anyhow::Error>(held_layers(&places, &wanted(&hub)?, &layers));

    assert_eq!(held(1..3)?, None);
    let folder = layers_of(&hub, 1..3, models.path(), &limits(1))??;
    assert_eq!(held(1..3)?, Some(folder.clone()));
    assert_eq!(held(1..2)?, Some(folder.clone()));
    assert_eq!(held(1..4)?, None);
    for layer in 0..LAYERS {
        let (sent, size) = sent(&hub, &snapshot, &file_of(layer));
        let is_wanted = (1..3).contains(&layer);
        ensure!(
            is_wanted == (sent == size),
            "layer {layer}: {sent} of {size}"
        );
        ensure!(
            is_wanted || sent < HEADER_BYTES_MAX,
            "layer {layer}: {sent}"
        );
    }
    let (ends, size) = sent(&hub, &snapshot, ENDS);
    ensure!(ends == size, "what belongs to no layer is needed: {ends}");
    ensure!(
        !models.path().join(REPOSITORY).exists(),
        "that would be a model"
    );

    let again = layers_of(&hub, 2..5, models.path(), &limits(2))??;
    assert_eq!(again, folder);
    assert_eq!(held(1..5)?, Some(folder));
    let done = attempt(models.path(), &settings(&hub), &limits(3), LONG)?;
    done.context("it takes too long")??;
    let model = models.path().join(REPOSITORY);
    check_files(&snapshot, &model)?;
    assert_eq!(held(0..LAYERS)?, Some(model.clone()));
    for (name, file) in &snapshot.files {
        let sent = sent(&hub, &snapshot, name).0;
        assert_eq!(sent, file.size(), "each byte of {name} came once");
    }
    let hidden =
        fs::read_dir(&model)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let hidden: Vec<String> = hidden.filter(|name| name.starts_with('.')).collect();
    assert_eq!(hidden, [".download.json"]);
    Ok(())
}

#[test]
fn all_layers_are_the_model_and_take_its_place() -> Result<()> {
    let snapshot = snapshot()?;
    let hub = TestHub::start(snapshot.clone())?;
    let models = tempfile::tempdir()?;
    let folder = layers_of(&hub, 0..LAYERS, models.path(), &limits(1))??;
    assert_eq!(folder, models.path().join(REPOSITORY));
    check_files(&snapshot, &folder)?;
    let again = layers_of(&hub, 0..2, models.path(), &limits(1))??;
    assert_eq!(again, folder);
    Ok(())
}

#[test]
fn layers_come_whatever_goes_wrong_on_the_way() -> Result<()> {
    let snapshot = snapshot()?;
    for seed in 0..8 {
        let hub = TestHub::start(snapshot.clone())?;
        let mut kinds = HARMLESS.to_vec();
        kinds.push(|_| Fault::WrongContent);
        hub.contents().faults = Faults::new(seed, 10, &kinds);
        let models = tempfile::tempdir()?;
        let mut tries = 0;
        // Ends: each try uses up faults.
        let folder = loop {
            match layers_of(&hub, 0..3, models.path(), &limits(seed))? {
                Ok(folder) => break folder,
                Err(error) => ensure!(tries < 10, "seed {seed}: {error}"),
            }
            tries += 1;
        };
        for name in (0..3).map(file_of).chain([ENDS.to_owned()]) {
            let right = fs::read(folder.join(&name))? == snapshot.files[&name].bytes;
            ensure!(right, "seed {seed}: {name}");
        }
    }
    Ok(())
}

#[test]
fn a_part_is_a_model_of_this_computer_and_no_leftover() -> Result<()> {
    let hub = TestHub::start(snapshot()?)?;
    let data = tempfile::tempdir()?;
    let catalogue = Catalogue::open(data.path())?;
    let models = data.path().join("models");
    let folder = layers_of(&hub, 0..2, &models, &limits(1))??;
    let model = catalogue.by_name(REPOSITORY)?;
    assert_eq!(model.folder.path, folder);
    let commit = model.part_of.context("it is no part")?.revision;
    assert_eq!(commit, hub.contents().main);
    let whole = catalogue.locate(&model.name, &folder, model.folder.fingerprint);
    ensure!(whole.is_err(), "it is not whole");

    let usage = catalogue.usage(&BTreeSet::new(), SystemTime::now());
    ensure!(usage.leftovers.is_empty(), "{:?}", usage.leftovers);
    let held = usage.models.iter().find(|held| held.name == REPOSITORY);
    let bytes = held.context("it is not told of")?.bytes;
    ensure!(
        bytes < model.folder.weights_bytes,
        "{bytes} bytes of a part"
    );

    catalogue.remove(REPOSITORY)?;
    ensure!(catalogue.by_name(REPOSITORY).is_err() && !folder.exists());
    Ok(())
}
