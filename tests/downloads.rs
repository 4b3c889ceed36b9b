//! Models from a hub: with faults, killed at any instant, refused for what they hold, and by the command line.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use store::download::{Disk, DownloadError};
use tests::hub::kills::{self, Phase};
use tests::hub::trial::{self, REPOSITORY, attempt, check_files, limits, pull, settings};
use tests::hub::{Fault, Faults, TestHub, model};

/// Trials with faults; `measure downloads` runs more of them.
const TRIALS: u64 = 60;
/// Of processes; `measure kills` kills more of them.
const KILLS: usize = 25;
/// No download of these tests takes as long.
const LONG: Duration = Duration::from_mins(1);

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// How the one download of a model goes.
fn once(hub: &TestHub, models: &Path) -> Result<Result<(), DownloadError>> {
    let done = attempt(models, &settings(hub), &limits(1), LONG)?;
    Ok(done.context("it takes too long")?.map(drop))
}

#[test]
fn whatever_goes_wrong_the_bytes_are_right_and_come_once() -> Result<()> {
    let seen = trial::run_all(TRIALS)?;
    ensure!(seen.faults > 100 && seen.interruptions > 20, "{seen:?}");
    Ok(())
}

#[test]
fn whatever_is_killed_the_store_is_clean() -> Result<()> {
    let seen = kills::run_all(KILLS, 7)?;
    let is_varied = seen.contains_key(&Phase::Downloading) && seen.len() > 2;
    ensure!(is_varied, "all kills came at the same time: {seen:?}");
    Ok(())
}

#[test]
fn a_model_is_pulled_once_and_listed() -> Result<()> {
    let hub = TestHub::start(model(3, 1000))?;
    let folder = tempfile::tempdir()?;
    let done = pull(&hub, REPOSITORY, folder.path())?.output()?;
    ensure!(done.status.success(), "{}", error(&done));
    let sent = hub.contents().sent.clone();
    let again = pull(&hub, REPOSITORY, folder.path())?.output()?;
    ensure!(
        String::from_utf8_lossy(&again.stdout).contains("was here already"),
        "{again:?}"
    );
    assert_eq!(hub.contents().sent, sent);

    let offline = pull(&hub, REPOSITORY, folder.path())?
        .env("HF_HUB_OFFLINE", "1")
        .output()?;
    ensure!(
        error(&offline).contains("hint: unset it"),
        "{}",
        error(&offline)
    );
    Ok(())
}

#[test]
fn a_newer_commit_takes_the_place_of_the_old_one_and_what_is_the_same_is_not_fetched_again()
-> Result<()> {
    let hub = TestHub::start(model(3, 100_000))?;
    let models = tempfile::tempdir()?;
    once(&hub, models.path())??;
    let weights = "model-0.safetensors";
    let before = hub.contents().sent[weights];
    let mut newer = model(4, 1000);
    let same = model(3, 100_000).files[weights].clone();
    newer.files.insert(weights.to_owned(), same);
    hub.publish(newer.clone());
    once(&hub, models.path())??;
    check_files(&newer, &models.path().join(REPOSITORY))?;
    assert_eq!(hub.contents().sent[weights], before);
    // Not those that were changed here.
    let place = models.path().join(REPOSITORY);
    let mut bytes = fs::read(place.join(weights))?;
    *bytes.last_mut().context("it is empty")? ^= 1;
    fs::remove_file(place.join(weights))?;
    fs::write(place.join(weights), bytes)?;
    newer.commit = model(9, 1).commit;
    hub.publish(newer.clone());
    once(&hub, models.path())??;
    check_files(&newer, &place)?;
    assert_eq!(hub.contents().sent[weights], 2 * before);
    // What a hub did not bring is somebody's own.
    fs::remove_file(place.join(".download.json"))?;
    hub.publish(model(5, 1000));
    let error = once(&hub, models.path())?.err().context("it went well")?;
    ensure!(
        error.to_string().contains("hint: delete that model first"),
        "{error}"
    );
    check_files(&newer, &place)
}

#[test]
fn what_cannot_be_fetched_says_why_and_leaves_no_model() -> Result<()> {
    let check = |change: &dyn Fn(&TestHub), words: &str| -> Result<()> {
        let hub = TestHub::start(model(5, 1000))?;
        change(&hub);
        let models = tempfile::tempdir()?;
        let error = once(&hub, models.path())?
            .err()
            .context("it went well")?
            .to_string();
        ensure!(
            error.contains(words) && error.contains("(hint: "),
            "{error}"
        );
        ensure!(!models.path().join(REPOSITORY).exists());
        Ok(())
    };
    let always = |fault: fn(u64) -> Fault| {
        move |hub: &TestHub| hub.contents().faults = Faults::always(fault)
    };
    check(
        &always(|_| Fault::WrongContent),
        "other bytes than its hash says",
    )?;
    check(&always(|_| Fault::Broken), "500")?;
    check(
        &always(|_| Fault::WrongLength),
        "other bytes than were asked for",
    )?;
    check(&|hub| hub.contents().forget_all(), "not there")?;
    check(&|hub| hub.contents().more_header = 1 << 20, "cannot fetch")?;
    let with_file = |name: &'static str| {
        move |hub: &TestHub| {
            let mut snapshot = model(6, 1000);
            let file = snapshot.files["config.json"].clone();
            snapshot.files.insert(name.to_owned(), file);
            hub.publish(snapshot);
        }
    };
    check(
        &with_file("../../evil.safetensors"),
        "leads out of the repository",
    )?;
    check(
        &with_file("model-0.safetensors"),
        "refused for \"model-0.safetensors\"",
    )
}

#[test]
fn links_and_names_in_the_way_are_refused() -> Result<()> {
    let hub = TestHub::start(model(5, 1000))?;
    let elsewhere = tempfile::tempdir()?;
    for link in [".downloads", "ada"] {
        let models = tempfile::tempdir()?;
        std::os::unix::fs::symlink(elsewhere.path(), models.path().join(link))?;
        let error = once(&hub, models.path())?.err().context(link)?.to_string();
        ensure!(error.contains("links are not followed"), "{error}");
        ensure!(
            fs::read_dir(elsewhere.path())?.next().is_none(),
            "it was written to"
        );
    }
    let models = tempfile::tempdir()?;
    fs::create_dir_all(models.path().join("Ada/Tiny-Model"))?;
    let error = once(&hub, models.path())?
        .err()
        .context("capitals")?
        .to_string();
    ensure!(error.contains("is there already"), "{error}");
    Ok(())
}

#[test]
fn a_full_disk_is_seen_before_and_during() -> Result<()> {
    let hub = TestHub::start(model(5, 100_000))?;
    let models = tempfile::tempdir()?;
    let with_free = |free: Arc<store::download::FreeBytes>| {
        let mut limits = limits(1);
        limits.disk = Disk {
            free_bytes: free,
            reserve_bytes: 0,
        };
        attempt(models.path(), &settings(&hub), &limits, LONG)?.context("it takes too long")
    };
    let outcome = with_free(Arc::new(|_| Ok(10)))?;
    ensure!(
        matches!(outcome, Err(DownloadError::DiskFull { free: 10, .. })),
        "{outcome:?}"
    );
    ensure!(hub.contents().sent.is_empty(), "it began all the same");
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let fills = move |_: &Path| match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => Ok(u64::MAX),
        _ => Ok(10),
    };
    let outcome = with_free(Arc::new(fills))?;
    ensure!(
        matches!(outcome, Err(DownloadError::DiskFull { .. })),
        "{outcome:?}"
    );
    once(&hub, models.path())??;
    Ok(())
}

#[test]
fn a_proxy_is_used_for_https() -> Result<()> {
    let proxy = TcpListener::bind("127.0.0.1:0")?;
    let mut hub = settings(&TestHub::start(model(5, 1000))?);
    hub.endpoint = "https://hub.invalid".to_owned();
    hub.https_proxy = Some(format!("http://{}", proxy.local_addr()?));
    let asked = std::thread::spawn(move || -> Result<String> {
        let (mut socket, _) = proxy.accept()?;
        let mut start = [0; 30];
        socket.read_exact(&mut start)?;
        socket.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n")?;
        Ok(String::from_utf8_lossy(&start).into_owned())
    });
    let models = tempfile::tempdir()?;
    let outcome = attempt(models.path(), &hub, &limits(1), LONG)?;
    ensure!(
        matches!(outcome, Some(Err(DownloadError::Unreachable { .. }))),
        "{outcome:?}"
    );
    let asked = asked.join().ok().context("the proxy")??;
    ensure!(asked.starts_with("CONNECT hub.invalid:443"), "{asked}");
    Ok(())
}
