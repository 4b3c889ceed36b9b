//! Joining without a key: two nodes pair, link again by themselves after a restart, let a third in, and remove it.

use std::fs::File;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::api::{Api, online_nodes};
use tests::desktop::wait_for;
use tests::nodes::{Node, NodeOptions, program};

const LIMIT: Duration = Duration::from_secs(15);
const PART_LIMIT: Duration = Duration::from_secs(1);

/// A computer: its data outlives its node.
struct Computer {
    data: TempDir,
    name: &'static str,
}

impl Computer {
    fn new(name: &'static str) -> Result<Self> {
        Ok(Self {
            data: tempfile::tempdir()?,
            name,
        })
    }

    /// Starts its node, which calls these others.
    fn start(&self, others: &[&Node]) -> Result<Node> {
        let address = |node: &&Node| format!("127.0.0.1:{}", node.peer_port);
        Node::start(&NodeOptions {
            data: Some(self.data.path().to_path_buf()),
            peers: others.iter().map(address).collect(),
            arguments: vec!["--name".into(), self.name.into()],
            ..NodeOptions::default()
        })
    }
}

fn membership(api: &Api) -> Result<Value> {
    let (status, membership) = api.get("/admin/membership")?;
    ensure!(status == 200, "{membership}");
    Ok(membership)
}

/// What `api`'s node thinks that another is, once it sees it.
fn belongs(api: &Api, id: &str) -> Result<Option<String>> {
    let membership = membership(api)?;
    let nearby = membership["nearby"].as_array().context("nearby")?;
    let near = nearby.iter().find(|near| near["id"] == id);
    Ok(near
        .and_then(|near| near["belongs"].as_str())
        .map(str::to_owned))
}

fn members(api: &Api) -> Result<usize> {
    let membership = membership(api)?;
    Ok(membership["members"].as_array().context("members")?.len())
}

fn ask(api: &Api, what: &str, id: &str) -> Result<()> {
    let (status, answer) =
        api.post_any(&format!("/admin/pairing{what}"), &json!({"node_id": id}))?;
    ensure!(status == 204, "{status}: {answer}");
    Ok(())
}

/// The digits that a node shows, once it does.
fn digits(api: &Api) -> Result<String> {
    let mut shown = None;
    wait_for("digits", || {
        shown = membership(api)?["pairing"]["digits"]
            .as_str()
            .map(str::to_owned);
        Ok(shown.is_some())
    })?;
    shown.context("digits")
}

/// The guest, which was told where the host is, asks.
fn pair(host: &Node, guest: &Node, host_is: &str) -> Result<()> {
    let (here, there) = (host.api(), guest.api());
    let sees_it = || Ok(belongs(&there, &host.id)?.as_deref() == Some(host_is));
    wait_for("it sees the other", sees_it)?;
    ask(&there, "", &host.id)?;
    let shown = digits(&here)?;
    assert_eq!(shown.len(), 6);
    assert_eq!(shown, digits(&there)?);
    ask(&there, "/confirm", &host.id)?;
    // One click is not enough.
    assert_eq!(online_nodes(&there.state()?), 1);
    ask(&here, "/confirm", &guest.id)?;
    wait_for("they belong together", || {
        Ok(members(&there)? == members(&here)? && members(&there)? > 1)
    })?;
    Ok(())
}

#[test]
fn computers_pair_come_back_by_themselves_and_can_be_removed() -> Result<()> {
    let [study, attic, cellar] = ["Study", "Attic", "Cellar"].map(Computer::new);
    let (study, attic, cellar) = (study?, attic?, cellar?);
    let first = study.start(&[])?;
    let second = attic.start(&[&first])?;
    pair(&first, &second, "newcomer")?;
    let joined = first.api().wait_for_nodes(2, LIMIT);
    joined.with_context(|| format!("paired: {}\n{}", first.log(), second.log()))?;
    // They end without a goodbye, which may be before the disk has it.
    for computer in [&study, &attic] {
        let roster = computer.data.path().join("roster");
        wait_for("the roster is kept", || Ok(roster.is_file()))?;
    }
    drop((first, second));

    let first = study.start(&[])?;
    let second = attic.start(&[&first])?;
    let back = first.api().wait_for_nodes(2, LIMIT);
    back.with_context(|| format!("started again: {}\n{}", first.log(), second.log()))?;

    let third = cellar.start(&[&first, &second])?;
    pair(&first, &third, "elsewhere")?;
    for node in [&first, &second, &third] {
        node.api().wait_for_nodes(3, LIMIT)?;
    }

    let start = Instant::now();
    assert_eq!(
        first
            .api()
            .delete(&format!("/admin/members/{}", third.id))?,
        204
    );
    wait_for("it is out", || Ok(online_nodes(&third.api().state()?) == 1))?;
    assert!(start.elapsed() < PART_LIMIT, "{:?}", start.elapsed());
    wait_for("it knows", || Ok(members(&third.api())? == 0))?;
    let notice = membership(&third.api())?["notice"].to_string();
    assert!(notice.contains("Study removed"), "{notice}");
    wait_for("the others agree", || Ok(members(&second.api())? == 2))?;
    second.api().wait_for_nodes(2, LIMIT)?;
    Ok(())
}

#[test]
fn a_pairing_can_be_cancelled_and_needs_the_network() -> Result<()> {
    let [study, attic] = ["Study", "Attic"].map(Computer::new);
    let (study, attic) = (study?, attic?);
    let first = study.start(&[])?;
    let second = attic.start(&[&first])?;
    let (here, there) = (first.api(), second.api());
    wait_for("it sees the other", || {
        Ok(belongs(&there, &first.id)?.is_some())
    })?;
    ask(&there, "", &first.id)?;
    digits(&here)?;
    ask(&here, "/cancel", &second.id)?;
    wait_for("both have heard", || {
        let ended =
            |api: &Api| Ok::<_, anyhow::Error>(membership(api)?["pairing"]["stage"] == "ended");
        Ok(ended(&here)? && ended(&there)?)
    })?;
    let (status, error) =
        here.post_any("/admin/pairing/confirm", &json!({"node_id": second.id}))?;
    assert_eq!(status, 404, "{error}");
    here.patch("/admin/settings", &json!({"join": false}))?;
    let (status, error) = here.post_any("/admin/pairing", &json!({"node_id": second.id}))?;
    assert_eq!(status, 403, "{error}");
    assert!(
        error["error"]["hint"].to_string().contains("Join cluster"),
        "{error}"
    );
    Ok(())
}

/// `espalier join`, with a terminal as its input if there is one.
fn join(node: &Node, arguments: &[&str], input: Stdio) -> Result<Child> {
    let port = node.port.to_string();
    let mut command = Command::new(program("espalier")?);
    command.arg("join").args(arguments).args(["--port", &port]);
    command.stdin(input).stdout(Stdio::piped());
    Ok(command.stderr(Stdio::piped()).spawn()?)
}

fn said(child: Child) -> Result<(bool, String)> {
    let output = child.wait_with_output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

#[test]
fn computers_without_a_screen_pair_in_the_terminal() -> Result<()> {
    let [study, attic] = ["Study", "Attic"].map(Computer::new);
    let (study, attic) = (study?, attic?);
    let first = study.start(&[])?;
    let second = attic.start(&[&first])?;
    let (here, there) = (first.api(), second.api());

    let (fine, text) = said(join(&second, &[], Stdio::null())?)?;
    ensure!(!fine && text.contains("--confirm"), "{text}");
    let (fine, text) = said(join(&first, &["--confirm", "123456"], Stdio::null())?)?;
    ensure!(!fine && text.contains("no pairing is under way"), "{text}");

    let terminal = nix::pty::openpty(None, None)?;
    let asking = join(&second, &["study"], terminal.slave.into())?;
    let shown = digits(&here)?;
    assert_eq!(shown, digits(&there)?);
    let wrong: String = shown
        .chars()
        .rev()
        .map(|digit| if digit == '9' { '0' } else { '9' })
        .collect();
    let (fine, text) = said(join(&first, &["--confirm", &wrong], Stdio::null())?)?;
    ensure!(!fine && text.contains("someone is in between"), "{text}");
    let (fine, text) = said(asking)?;
    ensure!(!fine && text.contains("cancelled"), "{text}");
    assert_eq!((members(&here)?, members(&there)?), (0, 0));

    let terminal = nix::pty::openpty(None, None)?;
    let asking = join(&second, &[], terminal.slave.into())?;
    wait_for("it is called again", || {
        Ok(membership(&here)?["pairing"]["stage"] == "compare")
    })?;
    let shown = digits(&here)?;
    File::from(terminal.master.try_clone()?).write_all(b"y\n")?;
    let (fine, text) = said(join(
        &first,
        &["attic", "--confirm", &shown],
        Stdio::null(),
    )?)?;
    ensure!(fine && text.contains("Attic is in the cluster"), "{text}");
    let (fine, text) = said(asking)?;
    let spoken = format!("{} {}", &shown[..3], &shown[3..]);
    ensure!(
        fine && text.contains(&spoken) && text.contains("Study is in the cluster"),
        "{text}"
    );
    here.wait_for_nodes(2, LIMIT)?;
    Ok(())
}
