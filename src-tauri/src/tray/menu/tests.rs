//! The menu for every kind of status, as text.

use std::fmt::Write;

use expect_test::{Expect, expect};

use super::*;
use crate::tray::status::Asking;

const GB: u64 = 1 << 30;

fn check(status: &Status, expected: &Expect) {
    let mut text = format!("{:?}\n", icon(status));
    draw(&menu(status), 0, &mut text);
    expected.assert_eq(&text);
}

fn draw(entries: &[Entry], depth: usize, text: &mut String) {
    for entry in entries {
        let indent = "  ".repeat(depth);
        match entry {
            Entry::Text(label) => writeln!(text, "{indent}{label}").unwrap(),
            Entry::Item(click, label) => {
                writeln!(text, "{indent}[{label}] {}", click.id()).unwrap();
            }
            Entry::Check(click, label, on) => {
                let mark = if *on { "x" } else { " " };
                writeln!(text, "{indent}({mark}) {label} {}", click.id()).unwrap();
            }
            Entry::More(label, more) => {
                writeln!(text, "{indent}{label} >").unwrap();
                draw(more, depth + 1, text);
            }
            Entry::Separator => writeln!(text, "{indent}--").unwrap(),
        }
    }
}

fn alone() -> Status {
    Status {
        computers: 1,
        all_macs: true,
        memory_bytes: 64 * GB,
        offered: vec![ModelId("sprout".into())],
        api: Some(([127, 0, 0, 1], 3775).into()),
        launch_at_login: Some(false),
        ..Status::default()
    }
}

fn one(id: u64, model: &str, state: InstanceState) -> Loaded {
    Loaded {
        id: InstanceId(id),
        model: ModelId(model.into()),
        state,
        reason: None,
    }
}

#[test]
fn a_first_start() {
    check(
        &alone(),
        &expect![[r"
        Alone
        1 Mac · 64 GB
        --
        ( ) Join cluster join
        --
        Load a model >
          [sprout] load sprout
        --
        (x) Local server on 127.0.0.1:3775 server
        [Copy URL] copy-url
        --
        [Open Espalier…] open
        ( ) Launch at login launch-at-login
        --
        [Quit Espalier] quit
    "]],
    );
}

#[test]
fn a_cluster_at_work() {
    let status = Status {
        joined: true,
        computers: 3,
        memory_bytes: 768 * GB,
        loaded: vec![one(7, "mlx-community/Qwen3-235B", InstanceState::Ready)],
        requests: 1,
        tokens_per_s: 31.4,
        updates: true,
        ..alone()
    };
    check(
        &status,
        &expect![[r"
        Working
        3 Macs · 768 GB · Qwen3-235B ready · 31 tok/s
        --
        (x) Join cluster join
        --
        Qwen3-235B — ready >
          [Unload] unload 0000000000000007
        Load a model >
          [sprout] load sprout
        --
        (x) Local server on 127.0.0.1:3775 server
        [Copy URL] copy-url
        --
        [Open Espalier…] open
        ( ) Launch at login launch-at-login
        [Check for updates…] update
        --
        [Quit Espalier] quit
    "]],
    );
}

#[test]
fn some_models_and_a_failure_on_a_closed_port() {
    let mut failed = one(8, "oak", InstanceState::Failed);
    failed.reason = Some("layer 3 of model.safetensors is damaged; ".repeat(3));
    let status = Status {
        all_macs: false,
        computers: 2,
        loaded: vec![one(7, "elm", InstanceState::Loading), failed],
        offered: Vec::new(),
        api: None,
        launch_at_login: None,
        ..alone()
    };
    check(
        &status,
        &expect![[r"
        Trouble
        2 computers · 64 GB · 0 of 2 models ready
        --
        ( ) Join cluster join
        --
        elm — loading >
          [Unload] unload 0000000000000007
        oak — failed >
          layer 3 of model.safetensors is damaged; layer 3 of model.sa…
          [Unload] unload 0000000000000008
        --
        ( ) Local server server
        --
        [Open Espalier…] open
        --
        [Quit Espalier] quit
    "]],
    );
}

#[test]
fn computers_that_want_to_join() {
    let joined = Status {
        joined: true,
        ..alone()
    };
    let asks = |number, name: &str| Asking {
        node: NodeId([number; 32]),
        name: name.to_owned(),
    };
    let status = Status {
        asking: vec![asks(1, "Study"), asks(0xee, "Attic")],
        ..joined.clone()
    };
    let entries = joining(&status);
    let mut text = String::new();
    draw(&entries, 0, &mut text);
    expect![[r"
        [Study wants to join: Approve…] approve 0101010101010101010101010101010101010101010101010101010101010101
        [Attic wants to join: Approve…] approve eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee
    "]]
    .assert_eq(&text);
    let status = Status {
        pairing_with: Some("Study".to_owned()),
        ..joined
    };
    check(
        &status,
        &expect![[r"
        Alone
        1 Mac · 64 GB
        --
        (x) Join cluster join
        [Compare digits with Study…] compare
        --
        Load a model >
          [sprout] load sprout
        --
        (x) Local server on 127.0.0.1:3775 server
        [Copy URL] copy-url
        --
        [Open Espalier…] open
        ( ) Launch at login launch-at-login
        --
        [Quit Espalier] quit
    "]],
    );
}

#[test]
fn before_and_without_a_node() {
    check(
        &Status::starting(),
        &expect![[r"
        Alone
        Starting…
        --
        [Quit Espalier] quit
    "]],
    );
    check(
        &Status::troubled("the port is taken"),
        &expect![[r"
        Trouble
        Espalier did not start
        the port is taken
        --
        [Try again] retry
        [Quit Espalier] quit
    "]],
    );
}

#[test]
fn every_click_comes_back_from_its_id() {
    for click in [
        Click::Join,
        Click::Load(ModelId("a b/c".into())),
        Click::Unload(InstanceId(77)),
        Click::Approve(NodeId([7; 32])),
        Click::Compare,
        Click::Update,
        Click::Quit,
    ] {
        assert_eq!(Click::of(&click.id()), Some(click));
    }
    assert_eq!(Click::of("unload everything"), None);
    assert_eq!(Click::of("approve everybody"), None);
    assert_eq!(Click::of("dance"), None);
}

#[test]
fn icons_show_what_matters_most() {
    let mut status = alone();
    assert_eq!(icon(&status), Icon::Alone);
    status.computers = 2;
    assert_eq!(icon(&status), Icon::Joined);
    status.loaded = vec![one(1, "oak", InstanceState::Ready)];
    assert_eq!(icon(&status), Icon::Serving);
    status.requests = 1;
    assert_eq!(icon(&status), Icon::Working);
    status.loaded.push(one(2, "elm", InstanceState::Failed));
    assert_eq!(icon(&status), Icon::Trouble);
}
