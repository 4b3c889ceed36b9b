//! A desktop without a screen: an X server, a session bus, and a panel that shows tray icons, for the real app.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use zbus::blocking::Connection;
use zbus::blocking::connection::Builder;
use zbus::message::Header;
use zbus::zvariant::{OwnedValue, Value};

use crate::nodes::program;

/// Everything on this machine answers within this, busy as it may be.
const LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
/// What Debian calls the programs that this needs.
const PACKAGES: &str = "xvfb dbus-daemon x11-utils";
/// A bus for its clients alone: without it the desktop's own services would be started from the system's folders.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=SOCKET</listen><policy context="default">
<allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>"#;

/// The desktop. Everything in it ends when it is dropped.
#[derive(Debug)]
pub struct Desktop {
    folder: TempDir,
    screen: Child,
    bus: Child,
    display: String,
    panel: Connection,
    items: Mutex<Receiver<Item>>,
}

/// A tray icon as it announced itself: on which connection, at which path.
#[derive(Debug, Clone)]
struct Item {
    owner: String,
    path: String,
}

/// The part of a desktop that tray icons look for.
struct Panel {
    items: SyncSender<Item>,
}

#[expect(
    clippy::unused_self,
    clippy::needless_pass_by_value,
    reason = "the shape that zbus asks for"
)]
#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Panel {
    fn register_status_notifier_item(&self, service: &str, #[zbus(header)] header: Header<'_>) {
        let owner = header.sender().map(ToString::to_string).unwrap_or_default();
        let item = if service.starts_with('/') {
            let path = service.to_owned();
            Item { owner, path }
        } else {
            let path = "/StatusNotifierItem".to_owned();
            Item {
                owner: service.to_owned(),
                path,
            }
        };
        // One app with one icon; a further one would be seen as missing.
        let _ = self.items.try_send(item);
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }

    #[zbus(property)]
    fn registered_status_notifier_items(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A line of a tray's menu, submenus after their line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    id: i32,
    /// What it says.
    pub label: String,
    /// Whether its mark is on, if it has one.
    pub checked: Option<bool>,
}

impl Desktop {
    /// Starts a desktop.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("espalier-desk-")
            .tempdir()?;
        let socket = folder.path().join("bus");
        let configuration = folder.path().join("bus.conf");
        fs::write(
            &configuration,
            BUS.replace("SOCKET", &socket.to_string_lossy()),
        )?;
        let mut bus = Command::new("dbus-daemon");
        bus.arg("--nofork").arg("--config-file").arg(&configuration);
        let bus = quietly(&mut bus)?;
        let mut screen = Command::new("Xvfb");
        screen.args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            "1280x800x24",
            "-nolisten",
            "tcp",
        ]);
        screen.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut screen = spawn(&mut screen)?;
        let number = screen.stdout.take().context("stdout is not piped")?;
        let mut display = String::new();
        BufReader::new(number).read_line(&mut display)?;
        wait_for("the bus", || Ok(socket.exists()))?;
        let (sender, items) = sync_channel(1);
        let address = format!("unix:path={}", socket.display());
        let panel = Builder::address(address.as_str())?
            .serve_at("/StatusNotifierWatcher", Panel { items: sender })?
            .name("org.kde.StatusNotifierWatcher")?
            .build()?;
        Ok(Self {
            display: format!(":{}", display.trim()),
            folder,
            screen,
            bus,
            panel,
            items: Mutex::new(items),
        })
    }

    /// A program that will run on this desktop, in a network namespace if one is named, with its own home.
    pub fn command(&self, name: &str, namespace: Option<&str>) -> Result<Command> {
        let program = program(name)?;
        let mut command = match namespace {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(program);
                command
            }
            None => Command::new(program),
        };
        self.dress(&mut command)?;
        Ok(command)
    }

    /// The same for a program of the system.
    pub fn system_command(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(name);
        self.dress(&mut command)?;
        Ok(command)
    }

    fn dress(&self, command: &mut Command) -> Result<()> {
        let home = self.home();
        fs::create_dir_all(&home)?;
        command.env("HOME", &home).env("XDG_RUNTIME_DIR", &home);
        for other in ["DATA", "CONFIG", "CACHE"] {
            command.env(format!("XDG_{other}_HOME"), home.join(other));
        }
        let bus = self.folder.path().join("bus");
        command.env(
            "DBUS_SESSION_BUS_ADDRESS",
            format!("unix:path={}", bus.display()),
        );
        command
            .env("DISPLAY", &self.display)
            .env("GDK_BACKEND", "x11");
        command
            .env("NO_AT_BRIDGE", "1")
            .env("LIBGL_ALWAYS_SOFTWARE", "1");
        Ok(())
    }

    /// Where programs on this desktop keep their things.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Waits for a tray icon to appear.
    pub fn tray(&self) -> Result<Tray> {
        let items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let item = items.recv_timeout(LIMIT).context("no tray icon appeared")?;
        let bus = self.panel.clone();
        let interface = Some("org.freedesktop.DBus.Properties");
        let asked = ("org.kde.StatusNotifierItem", "Menu");
        let owner = Some(item.owner.as_str());
        let reply = bus.call_method(owner, item.path.as_str(), interface, "Get", &asked)?;
        let menu: OwnedValue = reply.body().deserialize()?;
        let menu = zbus::zvariant::OwnedObjectPath::try_from(menu)?;
        Ok(Tray {
            bus,
            owner: item.owner,
            menu: menu.as_str().to_owned(),
        })
    }

    /// Whether a window of this title is shown.
    pub fn shows_window(&self, title: &str) -> Result<bool> {
        let mut tree = Command::new("xwininfo");
        tree.args(["-display", &self.display, "-root", "-tree"]);
        let output = tree.output().with_context(|| missing("xwininfo"))?;
        Ok(String::from_utf8_lossy(&output.stdout).contains(&format!("\"{title}\"")))
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        for child in [&mut self.screen, &mut self.bus] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A tray icon with its menu.
#[derive(Debug)]
pub struct Tray {
    bus: Connection,
    owner: String,
    menu: String,
}

impl Tray {
    /// The lines of the menu now.
    pub fn lines(&self) -> Result<Vec<Line>> {
        let asked = (0_i32, -1_i32, Vec::<String>::new());
        let reply = self.call("GetLayout", &asked)?;
        let (_, (_, _, children)): (u32, Root) = reply.body().deserialize()?;
        let mut lines = Vec::new();
        for child in &children {
            collect(child, &mut lines)?;
        }
        Ok(lines)
    }

    /// Waits until some line's label begins like this and `holds`.
    pub fn wait(&self, label: &str, holds: impl Fn(&Line) -> bool) -> Result<Line> {
        let start = Instant::now();
        loop {
            let lines = match self.lines() {
                // The icon is announced before its menu is there.
                Err(error) if is_called(&error, "UnknownMethod") && start.elapsed() < LIMIT => {
                    std::thread::sleep(POLL);
                    continue;
                }
                lines => lines?,
            };
            let found = lines
                .iter()
                .find(|line| line.label.starts_with(label) && holds(line));
            if let Some(found) = found {
                return Ok(found.clone());
            }
            ensure!(
                start.elapsed() < LIMIT,
                "no such line {label:?} in {lines:#?}"
            );
            std::thread::sleep(POLL);
        }
    }

    /// Clicks the line whose label begins like this.
    pub fn click(&self, label: &str) -> Result<()> {
        let start = Instant::now();
        loop {
            let line = self.wait(label, |_| true)?;
            let clicked = self.call("Event", &(line.id, "clicked", Value::from(0_i32), 0_u32));
            match clicked {
                Ok(_) => return Ok(()),
                // What was clicked has ended the app before its answer.
                Err(error) if is_called(&error, "NoReply") => return Ok(()),
                // The menu was drawn anew in between, and this line has another id now.
                Err(_) if start.elapsed() < LIMIT => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn call<B>(&self, method: &str, body: &B) -> Result<zbus::Message>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        let interface = Some("com.canonical.dbusmenu");
        let owner = Some(self.owner.as_str());
        Ok(self
            .bus
            .call_method(owner, self.menu.as_str(), interface, method, body)?)
    }
}

/// Whether it is D-Bus's own error of this name.
fn is_called(error: &anyhow::Error, what: &str) -> bool {
    match error.downcast_ref() {
        Some(zbus::Error::MethodError(name, ..)) => {
            let own = name.as_str().strip_prefix("org.freedesktop.DBus.Error.");
            own == Some(what)
        }
        _ => false,
    }
}

/// The menu itself, which is no line: id, properties, children.
type Root = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

/// A menu's node is `(id, properties, children)`, each child such a node in a variant.
fn collect(node: &Value<'_>, lines: &mut Vec<Line>) -> Result<()> {
    let node = match node {
        Value::Value(inner) => return collect(inner, lines),
        Value::Structure(node) => node.fields(),
        other => bail!("no node of a menu: {other:?}"),
    };
    let [
        Value::I32(id),
        Value::Dict(properties),
        Value::Array(children),
    ] = node
    else {
        bail!("no node of a menu: {node:?}");
    };
    let properties: HashMap<String, OwnedValue> = properties.try_clone()?.try_into()?;
    let label = properties
        .get("label")
        .and_then(|label| <&str>::try_from(label).ok());
    let checked = properties
        .get("toggle-state")
        .and_then(|state| i32::try_from(state).ok());
    if let Some(label) = label {
        lines.push(Line {
            id: *id,
            label: label.replace('_', ""),
            checked: checked.map(|state| state == 1),
        });
    }
    children.iter().try_for_each(|child| collect(child, lines))
}

/// Waits until something is so.
pub fn wait_for(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let start = Instant::now();
    while !holds()? {
        ensure!(start.elapsed() < LIMIT, "{what}: not so within {LIMIT:?}");
        std::thread::sleep(POLL);
    }
    Ok(start.elapsed())
}

fn quietly(command: &mut Command) -> Result<Child> {
    spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))
}

fn spawn(command: &mut Command) -> Result<Child> {
    let name = Path::new(command.get_program()).display().to_string();
    command
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| missing(&name))
}

fn missing(program: &str) -> String {
    format!("{program} is missing (hint: apt-get install {PACKAGES})")
}
