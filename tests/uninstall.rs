//! Taking Espalier off a computer: `espalier uninstall`, and the app from its window.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use tests::desktop::{Desktop, Tray, wait_for};
use tests::namespaces::Namespaces;
use tests::nodes::{Node, NodeOptions, program};
use tests::webdriver::Window;

use crate::tray::let_in;

fn uninstall(data: &Path, options: &[&str]) -> Result<Output> {
    Ok(Command::new(program("espalier")?)
        .args(["uninstall", "--data"])
        .arg(data)
        .args(options)
        .stdin(Stdio::null())
        .output()?)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn the_command_removes_what_it_says_and_nothing_of_a_running_node() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let node = Node::start(&NodeOptions {
        data: Some(data.clone()),
        ..NodeOptions::default()
    })?;
    let error = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let refused = uninstall(&data, &["--yes"])?;
    ensure!(!refused.status.success());
    ensure!(
        error(&refused).contains("a node runs in"),
        "{}",
        error(&refused)
    );
    let before = names(&data);
    ensure!(before.contains(&"node.key".to_owned()), "{before:?}");
    drop(node);

    let unasked = uninstall(&data, &[])?;
    ensure!(!unasked.status.success());
    ensure!(error(&unasked).contains("--yes"), "{}", error(&unasked));
    assert_eq!(names(&data), before);

    fs::write(data.join("thesis.txt"), "mine")?;
    let done = uninstall(&data, &["--yes"])?;
    ensure!(done.status.success(), "{}", error(&done));
    let said = String::from_utf8_lossy(&done.stdout);
    ensure!(said.contains("models (--models removes it)"), "{said}");
    ensure!(said.contains("thesis.txt (no node made it)"), "{said}");
    assert_eq!(
        names(&data),
        ["lock", "logs", "models", "run", "thesis.txt"]
    );

    let done = uninstall(&data, &["--yes", "--models", "--caches"])?;
    ensure!(done.status.success(), "{}", error(&done));
    assert_eq!(names(&data), ["thesis.txt"]);
    // Nothing shows any more that this was a node's folder.
    fs::create_dir(data.join("models"))?;
    let refused = uninstall(&data, &["--yes", "--models"])?;
    ensure!(
        error(&refused).contains("no node has ever run"),
        "{}",
        error(&refused)
    );
    assert_eq!(names(&data), ["models", "thesis.txt"]);
    Ok(())
}

/// Asks the app for what its settings page asks it for; the answer is kept in the page.
const ASK: &str = r#"
    window.refused = null;
    window.__TAURI_INTERNALS__
        .invoke("uninstall", { conversations: true, caches: true, models: false })
        .catch((error) => (window.refused = error));
"#;

#[test]
fn the_app_removes_itself_and_ends() -> Result<()> {
    let desktop = Desktop::start()?;
    let data = desktop.home().join("DATA/espalier");
    fs::create_dir_all(&data)?;
    // Any port will do, so that other tests may have theirs; the first run is over.
    fs::write(
        data.join("settings.toml"),
        "api_port = 0\nwelcomed = true\n",
    )?;
    let (window, tray) = open(&desktop)?;
    window.wait("//h1[normalize-space()='Cluster']")?;
    tray.click("Launch at login")?;
    tray.wait("Launch at login", |line| line.checked == Some(true))?;
    let login = desktop.home().join(".config/autostart");
    // The item shows its mark before the app has been told of the click.
    wait_for("the login item", || Ok(names(&login).len() == 1))?;

    // What is no node's folder is not touched, and the app goes on.
    fs::remove_file(data.join("lock"))?;
    window.run(ASK)?;
    wait_for("the refusal", || {
        let refused = window.run("return window.refused")?;
        Ok(refused.to_string().contains("no node has ever run"))
    })?;
    tray.wait("1 computer", |_| true)?;
    ensure!(data.join("node.key").is_file() && data.join("lock").is_file());

    // It may be gone before it has said so.
    let _ = window.run(ASK);
    wait_for("the app ends", || Ok(!desktop.shows_window("Espalier")?))?;
    assert_eq!(names(&data), ["lock", "models"]);
    assert_eq!(names(&login), Vec::<String>::new());
    Ok(())
}

#[test]
fn an_app_that_is_removed_leaves_its_cluster() -> Result<()> {
    if !Namespaces::possible() {
        eprintln!("skipped: network namespaces need root on Linux");
        return Ok(());
    }
    let hosts = Namespaces::make(2)?;
    let desktop = Desktop::start()?;
    let study = Node::start(&NodeOptions {
        discover: Some("all"),
        namespace: Some(hosts.name(1).to_string()),
        arguments: vec!["--name".into(), "Study".into()],
        ..NodeOptions::default()
    })?;
    // Whatever is started inside of a host, and whoever asks it, is on that host.
    let (window, tray) = hosts.inside(0, || open(&desktop))??;
    let_in(&hosts, &tray, &study)?;
    let api = study.api();
    let members = || -> Result<usize> {
        let (_, membership) = api.get("/admin/membership")?;
        Ok(membership["members"].as_array().context("members")?.len())
    };
    hosts.inside(1, || wait_for("two members", || Ok(members()? == 2)))??;
    // The app may be gone before it has said so.
    let _ = hosts.inside(0, || window.run(ASK))?;
    hosts.inside(1, || wait_for("it has left", || Ok(members()? == 1)))??;
    let data = desktop.home().join("DATA/espalier");
    wait_for("its data are gone", || {
        Ok(names(&data) == ["lock", "models"])
    })?;
    Ok(())
}

/// The app's window, asked for in its tray.
fn open(desktop: &Desktop) -> Result<(Window, Tray)> {
    Window::open(desktop, || {
        let tray = desktop.tray()?;
        tray.click("Open Espalier")?;
        Ok(tray)
    })
}
