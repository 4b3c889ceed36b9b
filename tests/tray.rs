//! The real app on a desktop without a screen: its tray's menu is read and clicked over D-Bus.

use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::api::Api;
use tests::desktop::{Desktop, Tray, wait_for};
use tests::namespaces::Namespaces;
use tests::nodes::{Node, NodeOptions};

const API_PORT: u16 = 3775;
/// Others see a node leave within this; noticing its silence would take them much longer.
const LEAVE_LIMIT: Duration = Duration::from_secs(1);
const KEY: &str = "a key for the tray's test";

/// The app with its tray, on a host of its own.
struct App {
    child: Child,
    tray: Tray,
}

impl App {
    fn start(desktop: &Desktop, host: &str, key: Option<&str>) -> Result<Self> {
        let mut command = desktop.command("espalier-app", Some(host))?;
        if let Some(key) = key {
            command.env("ESPALIER_CLUSTER_KEY", key);
        }
        let child = command.stdin(Stdio::null()).spawn().context("the app")?;
        let tray = desktop.tray()?;
        tray.wait("Open Espalier", |_| true)?;
        Ok(Self { child, tray })
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_open() -> bool {
    TcpStream::connect(("127.0.0.1", API_PORT)).is_ok()
}

fn online(api: &Api) -> Result<usize> {
    let (_, state) = api.get("/admin/state")?;
    let nodes = state["nodes"].as_array().context("nodes")?;
    Ok(nodes
        .iter()
        .filter(|node| node["state"] == "online")
        .count())
}

#[test]
fn the_trays_menu_does_what_it_says() -> Result<()> {
    if !Namespaces::possible() {
        eprintln!("skipped: network namespaces need root on Linux");
        return Ok(());
    }
    let hosts = Namespaces::make(2)?;
    let desktop = Desktop::start()?;
    let mut app = App::start(&desktop, hosts.name(0), Some(KEY))?;
    let other = Node::start(&NodeOptions {
        cluster_key: Some(KEY.into()),
        discover: Some("all"),
        namespace: Some(hosts.name(1).to_string()),
        ..NodeOptions::default()
    })?;
    let api = other.api();

    hosts.inside(0, || ensure_open(&app.tray))??;
    joins_and_leaves(&app.tray, &hosts, &api)?;
    loads_and_unloads(&app.tray)?;
    shows_its_window_once(&desktop, &hosts, &app.tray)?;

    app.tray.click("Join cluster")?;
    hosts.inside(1, || wait_for("joined again", || Ok(online(&api)? == 2)))??;
    app.tray.click("Quit Espalier")?;
    let left = hosts.inside(1, || wait_for("left", || Ok(online(&api)? == 1)))??;
    ensure!(left < LEAVE_LIMIT, "it took {left:?} to see the app leave");
    wait_for("the end", || Ok(app.child.try_wait()?.is_some()))?;
    Ok(())
}

/// The port is open while the menu says so, and only then.
fn ensure_open(tray: &Tray) -> Result<()> {
    ensure!(is_open(), "the API does not answer though the app is up");
    tray.click("Local server")?;
    tray.wait("Local server", |line| line.checked == Some(false))?;
    wait_for("the port is closed", || Ok(!is_open()))?;
    tray.click("Local server")?;
    tray.wait("Local server on 127.0.0.1:3775", |line| {
        line.checked == Some(true)
    })?;
    wait_for("the port is open", || Ok(is_open()))?;
    Ok(())
}

/// Nobody sees it before it joins; everybody sees it leave.
fn joins_and_leaves(tray: &Tray, hosts: &Namespaces, api: &Api) -> Result<()> {
    tray.wait("Join cluster", |line| line.checked == Some(false))?;
    let nodes = |api: &Api| -> Result<usize> {
        let (_, state) = api.get("/admin/state")?;
        Ok(state["nodes"].as_array().context("nodes")?.len())
    };
    ensure!(
        hosts.inside(1, || nodes(api))?? == 1,
        "seen before it joined"
    );
    tray.click("Join cluster")?;
    tray.wait("Join cluster", |line| line.checked == Some(true))?;
    hosts.inside(1, || wait_for("joined", || Ok(online(api)? == 2)))??;
    tray.wait("2 computers", |_| true)?;
    tray.click("Join cluster")?;
    let left = hosts.inside(1, || wait_for("left", || Ok(online(api)? == 1)))??;
    ensure!(left < LEAVE_LIMIT, "it took {left:?} to see it leave");
    tray.wait("Join cluster", |line| line.checked == Some(false))?;
    tray.wait("1 computer", |_| true)?;
    Ok(())
}

fn loads_and_unloads(tray: &Tray) -> Result<()> {
    tray.click("sprout")?;
    tray.wait("sprout — ready", |_| true)?;
    tray.click("Unload")?;
    tray.wait("Load a model", |_| true)?;
    tray.wait("sprout", |line| line.label == "sprout")?;
    Ok(())
}

/// A second start ends at once and brings the first one's window forward.
fn shows_its_window_once(desktop: &Desktop, hosts: &Namespaces, tray: &Tray) -> Result<()> {
    ensure!(
        !desktop.shows_window("Espalier")?,
        "a window before anybody asked"
    );
    let mut second = desktop.command("espalier-app", Some(hosts.name(0)))?;
    let mut second = second.stdin(Stdio::null()).spawn()?;
    wait_for("the second start ends", || Ok(second.try_wait()?.is_some()))?;
    wait_for("the window", || desktop.shows_window("Espalier"))?;
    // The tray is still there, and one.
    tray.wait("Open Espalier", |_| true)?;
    Ok(())
}

#[test]
fn a_computer_is_let_in_from_the_tray() -> Result<()> {
    if !Namespaces::possible() {
        eprintln!("skipped: network namespaces need root on Linux");
        return Ok(());
    }
    let hosts = Namespaces::make(2)?;
    let desktop = Desktop::start()?;
    let app = App::start(&desktop, hosts.name(0), None)?;
    let study = Node::start(&NodeOptions {
        discover: Some("all"),
        namespace: Some(hosts.name(1).to_string()),
        arguments: vec!["--name".into(), "Study".into()],
        ..NodeOptions::default()
    })?;
    let_in(&hosts, &app.tray, &study)?;
    ensure!(
        desktop.shows_window("Espalier")?,
        "no window with the digits"
    );
    let lines = app.tray.lines()?;
    let asks = lines.iter().any(|line| line.label.contains("Study"));
    ensure!(!asks, "it is in and still asks: {lines:#?}");
    Ok(())
}

/// A node called Study on the second host joins the app on the first, approved in the app's tray.
pub(crate) fn let_in(hosts: &Namespaces, tray: &Tray, study: &Node) -> Result<()> {
    tray.click("Join cluster")?;
    tray.click("Study wants to join: Approve")?;
    tray.wait("Compare digits with Study", |_| true)?;
    let (here, there) = (Api::new(API_PORT), study.api());
    let mine = hosts.inside(0, || digits(&here))??;
    let theirs = hosts.inside(1, || digits(&there))??;
    assert_eq!(mine.1, theirs.1);
    let confirm = |api: &Api, other: &str| -> Result<()> {
        let body = json!({"node_id": other});
        let (status, answer) = api.post_any("/admin/pairing/confirm", &body)?;
        ensure!(status == 204, "{status}: {answer}");
        Ok(())
    };
    hosts.inside(0, || confirm(&here, &mine.0))??;
    hosts.inside(1, || confirm(&there, &theirs.0))??;
    tray.wait("2 computers", |_| true)?;
    Ok(())
}

/// The other one's id and the digits of a pairing, once there are some.
fn digits(api: &Api) -> Result<(String, String)> {
    let mut found = None;
    wait_for("digits", || {
        let (_, membership) = api.get("/admin/membership")?;
        let pairing = &membership["pairing"];
        let text = |name: &str| pairing[name].as_str().map(str::to_owned);
        found = text("node_id").zip(text("digits"));
        Ok(found.is_some())
    })?;
    found.context("digits")
}
