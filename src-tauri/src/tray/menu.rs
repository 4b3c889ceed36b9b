//! The tray's menu and icon as a view of one [`Status`]. Pure: the same status gives the same menu.

use base::{InstanceId, ModelId, NodeId};
use cluster::InstanceState;

use super::status::{Loaded, Status};

/// Longest reason shown in the menu, in characters; the window has it whole.
const REASON_CHARS_MAX: usize = 60;

/// A line of the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Only to read.
    Text(String),
    /// To click.
    Item(Click, String),
    /// To click, with a mark when it is on.
    Check(Click, String, bool),
    /// More lines.
    More(String, Vec<Entry>),
    /// A line between groups.
    Separator,
}

/// What a click means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Click {
    /// Take part in the network, or stop doing so.
    Join,
    /// Let a computer in: pair with it, and show the digits to compare.
    Approve(NodeId),
    /// Show the digits to compare.
    Compare,
    /// Open the API's port, or close it.
    Server,
    /// Put the API's address on the clipboard.
    CopyUrl,
    /// Load a model.
    Load(ModelId),
    /// Unload one.
    Unload(InstanceId),
    /// Show the window.
    Open,
    /// Start with the computer, or stop doing so.
    LaunchAtLogin,
    /// Look for a newer Espalier.
    Update,
    /// Try to start the node again.
    Retry,
    /// End everything.
    Quit,
}

impl Click {
    /// As a menu entry's id.
    pub fn id(&self) -> String {
        match self {
            Self::Join => "join".to_owned(),
            Self::Approve(node) => format!("approve {node}"),
            Self::Compare => "compare".to_owned(),
            Self::Server => "server".to_owned(),
            Self::CopyUrl => "copy-url".to_owned(),
            Self::Load(model) => format!("load {model}"),
            Self::Unload(instance) => format!("unload {instance}"),
            Self::Open => "open".to_owned(),
            Self::LaunchAtLogin => "launch-at-login".to_owned(),
            Self::Update => "update".to_owned(),
            Self::Retry => "retry".to_owned(),
            Self::Quit => "quit".to_owned(),
        }
    }

    /// From a menu entry's id.
    pub fn of(id: &str) -> Option<Self> {
        if let Some((verb, what)) = id.split_once(' ') {
            return match verb {
                "load" => Some(Self::Load(ModelId(what.to_owned()))),
                "approve" => what.parse().ok().map(Self::Approve),
                "unload" => what.parse().ok().map(Self::Unload),
                _ => None,
            };
        }
        let plain = [
            Self::Join,
            Self::Compare,
            Self::Server,
            Self::CopyUrl,
            Self::Open,
            Self::LaunchAtLogin,
            Self::Update,
            Self::Retry,
            Self::Quit,
        ];
        plain.into_iter().find(|click| click.id() == id)
    }
}

/// Which icon the tray shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    /// Nobody else and nothing loaded.
    Alone,
    /// Part of a cluster.
    Joined,
    /// A model is ready.
    Serving,
    /// A model answers.
    Working,
    /// Something needs a look.
    Trouble,
}

/// The icon of a status.
pub fn icon(status: &Status) -> Icon {
    let is = |state| status.loaded.iter().any(|loaded| loaded.state == state);
    if status.trouble.is_some() || status.problem.is_some() || is(InstanceState::Failed) {
        Icon::Trouble
    } else if status.requests > 0 {
        Icon::Working
    } else if is(InstanceState::Ready) {
        Icon::Serving
    } else if status.computers > 1 {
        Icon::Joined
    } else {
        Icon::Alone
    }
}

/// The menu of a status.
pub fn menu(status: &Status) -> Vec<Entry> {
    if let Some(trouble) = &status.trouble {
        return vec![
            Entry::Text("Espalier did not start".to_owned()),
            Entry::Text(short(trouble)),
            Entry::Separator,
            Entry::Item(Click::Retry, "Try again".to_owned()),
            Entry::Item(Click::Quit, "Quit Espalier".to_owned()),
        ];
    }
    if status.starting {
        return vec![
            Entry::Text("Starting…".to_owned()),
            Entry::Separator,
            Entry::Item(Click::Quit, "Quit Espalier".to_owned()),
        ];
    }
    let mut menu = vec![Entry::Text(summary(status))];
    menu.extend(
        status
            .problem
            .as_deref()
            .map(|text| Entry::Text(short(text))),
    );
    menu.extend([
        Entry::Separator,
        Entry::Check(Click::Join, "Join cluster".to_owned(), status.joined),
    ]);
    menu.extend(joining(status));
    menu.push(Entry::Separator);
    menu.extend(models(status));
    menu.push(Entry::Separator);
    menu.extend(server(status));
    menu.push(Entry::Separator);
    menu.push(Entry::Item(Click::Open, "Open Espalier…".to_owned()));
    if let Some(on) = status.launch_at_login {
        let label = "Launch at login".to_owned();
        menu.push(Entry::Check(Click::LaunchAtLogin, label, on));
    }
    if status.updates {
        let label = "Check for updates…".to_owned();
        menu.push(Entry::Item(Click::Update, label));
    }
    menu.push(Entry::Separator);
    menu.push(Entry::Item(Click::Quit, "Quit Espalier".to_owned()));
    menu
}

/// For example `3 Macs · 768 GB · Qwen3-235B ready · 31 tok/s`.
fn summary(status: &Status) -> String {
    let kind = match (status.computers, status.all_macs) {
        (1, true) => "Mac",
        (1, false) => "computer",
        (_, true) => "Macs",
        (_, false) => "computers",
    };
    let memory_gb = (status.memory_bytes as f64 / f64::from(1 << 30)).round();
    let mut parts = vec![
        format!("{} {kind}", status.computers),
        format!("{memory_gb} GB"),
    ];
    match status.loaded.as_slice() {
        [] => {}
        [one] => parts.push(format!("{} {}", name(&one.model), word(one.state))),
        many => {
            let ready = many.iter().filter(|one| one.state == InstanceState::Ready);
            parts.push(format!("{} of {} models ready", ready.count(), many.len()));
        }
    }
    if status.tokens_per_s >= 0.5 {
        parts.push(format!("{:.0} tok/s", status.tokens_per_s));
    }
    parts.join(" · ")
}

/// Computers that want to join, or the one that is joining.
fn joining(status: &Status) -> Vec<Entry> {
    let asking = status.asking.iter().map(|asking| {
        let label = format!("{} wants to join: Approve…", short(&asking.name));
        Entry::Item(Click::Approve(asking.node), label)
    });
    let pairing = status.pairing_with.iter().map(|name| {
        let label = format!("Compare digits with {}…", short(name));
        Entry::Item(Click::Compare, label)
    });
    asking.chain(pairing).collect()
}

fn models(status: &Status) -> Vec<Entry> {
    let mut entries: Vec<Entry> = status.loaded.iter().map(loaded).collect();
    let offered = status.offered.iter();
    let offered: Vec<Entry> = offered
        .map(|model| Entry::Item(Click::Load(model.clone()), name(model)))
        .collect();
    if !offered.is_empty() {
        entries.push(Entry::More("Load a model".to_owned(), offered));
    }
    if entries.is_empty() {
        entries.push(Entry::Text("No models on this computer".to_owned()));
    }
    entries
}

fn loaded(loaded: &Loaded) -> Entry {
    let mut lines = Vec::new();
    if let Some(reason) = &loaded.reason {
        lines.push(Entry::Text(short(reason)));
    }
    lines.push(Entry::Item(Click::Unload(loaded.id), "Unload".to_owned()));
    let title = format!("{} — {}", name(&loaded.model), word(loaded.state));
    Entry::More(title, lines)
}

fn server(status: &Status) -> Vec<Entry> {
    let label = |text: &str| text.to_owned();
    let Some(address) = status.api else {
        return vec![Entry::Check(Click::Server, label("Local server"), false)];
    };
    vec![
        Entry::Check(Click::Server, format!("Local server on {address}"), true),
        Entry::Item(Click::CopyUrl, label("Copy URL")),
    ]
}

fn word(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Placing => "being placed",
        InstanceState::Downloading => "downloading",
        InstanceState::Loading => "loading",
        InstanceState::Ready => "ready",
        InstanceState::Mending => "recovering",
        InstanceState::Failed => "failed",
    }
}

/// The part that people say: without the organization it comes from.
fn name(model: &ModelId) -> String {
    let (_, name) = model.0.rsplit_once('/').unwrap_or(("", &model.0));
    short(name)
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(REASON_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
