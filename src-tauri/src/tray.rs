//! The tray: follows the node, and draws icon and menu when what they show has changed.

pub mod menu;
pub mod status;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use node::NodeHandle;
use tauri::menu::{CheckMenuItem, IsMenuItem, Menu, MenuItem, PredefinedMenuItem, Submenu};
use tauri::tray::{TrayIcon, TrayIconBuilder};
use tauri::{AppHandle, Manager, Runtime};
use tauri_plugin_autostart::ManagerExt;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::{clicks, icon, updates};
use menu::{Click, Entry, Icon};
use status::{Said, Status};

/// Between two drawings: what changes faster cannot be read.
const PAUSE: Duration = Duration::from_millis(250);
/// Folders of models come and go by hand, seldom.
const MODELS_INTERVAL: Duration = Duration::from_secs(30);

/// The tray, and what it shows.
pub struct Tray<R: Runtime> {
    icon: TrayIcon<R>,
    /// On Linux a tray's menu can't be replaced, only what is in it.
    menu: Menu<R>,
    shown: Mutex<Option<Shown>>,
    /// What the last click could not do.
    problem: Mutex<Option<String>>,
    /// Something that no watch tells has changed.
    look_again: Notify,
}

#[derive(Debug, PartialEq)]
struct Shown {
    icon: Icon,
    entries: Vec<Entry>,
}

impl<R: Runtime> Tray<R> {
    fn problem(&self) -> Option<String> {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        problem.clone()
    }
}

/// Makes the tray.
pub(crate) fn build(app: &AppHandle) -> tauri::Result<()> {
    let menu = Menu::new(app)?;
    let icon = TrayIconBuilder::with_id("espalier")
        .icon(icon::picture(Icon::Alone)?)
        .icon_as_template(icon::IS_TEMPLATE)
        .tooltip("Espalier")
        .menu(&menu)
        .on_menu_event(|app, event| {
            if let Some(click) = Click::of(event.id().as_ref()) {
                clicks::act(app, click);
            }
        })
        .build(app)?;
    app.manage(Tray {
        icon,
        menu,
        shown: Mutex::new(None),
        problem: Mutex::new(None),
        look_again: Notify::new(),
    });
    show(app, Status::starting());
    Ok(())
}

/// Says what the last click could not do, or that it could.
pub(crate) fn tell(app: &AppHandle, problem: Option<String>) {
    let tray = app.state::<Tray<tauri::Wry>>();
    *tray.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    tray.look_again.notify_one();
}

/// Shows the node as long as it lives.
pub(crate) async fn follow(app: &AppHandle, node: &Arc<NodeHandle>) {
    let tray = app.state::<Tray<tauri::Wry>>();
    let (mut view, mut switches, mut activity) = (node.changes(), node.switches(), node.activity());
    let (mut membership, recent) = (node.membership(), node.recent_models());
    let mut models = node.models().await;
    loop {
        let problem = tray.problem();
        let status = Status::of(&Said {
            view: &view.borrow_and_update().clone(),
            switches: &switches.borrow_and_update().clone(),
            activity: &activity.borrow_and_update().clone(),
            membership: &membership.borrow_and_update().clone(),
            models: &models,
            recent: &recent.borrow().clone(),
            problem: problem.as_deref(),
            launch_at_login: app.autolaunch().is_enabled().ok(),
            updates: updates::offered(app),
        });
        show(app, status);
        sleep(PAUSE).await;
        let changed = tokio::select! {
            changed = view.changed() => changed,
            changed = switches.changed() => changed,
            changed = activity.changed() => changed,
            changed = membership.changed() => changed,
            () = tray.look_again.notified() => Ok(()),
            () = sleep(MODELS_INTERVAL) => {
                models = node.models().await;
                Ok(())
            }
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Draws a status, if it looks different from what is shown.
pub(crate) fn show(app: &AppHandle, status: Status) {
    let handle = app.clone();
    // Menus belong to the main thread.
    let drawn = app.run_on_main_thread(move || {
        let shown = Shown {
            icon: menu::icon(&status),
            entries: menu::menu(&status),
        };
        let tray = handle.state::<Tray<tauri::Wry>>();
        let mut old = tray.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if old.as_ref() != Some(&shown) {
            if let Err(error) = draw(&handle, &tray, &shown, old.as_ref()) {
                tracing::warn!(%error, "the tray cannot be drawn");
            }
            *old = Some(shown);
        }
    });
    if let Err(error) = drawn {
        tracing::debug!(%error, "nothing is drawn any more");
    }
}

fn draw<R: Runtime>(
    app: &AppHandle<R>,
    tray: &Tray<R>,
    new: &Shown,
    old: Option<&Shown>,
) -> tauri::Result<()> {
    if old.is_none_or(|old| old.icon != new.icon) {
        let picture = icon::picture(new.icon)?;
        tray.icon
            .set_icon_with_as_template(Some(picture), icon::IS_TEMPLATE)?;
    }
    if old.is_none_or(|old| old.entries != new.entries) {
        while tray.menu.remove_at(0)?.is_some() {}
        for entry in &new.entries {
            tray.menu.append(&*item(app, entry)?)?;
        }
    }
    Ok(())
}

fn item<R: Runtime>(app: &AppHandle<R>, entry: &Entry) -> tauri::Result<Box<dyn IsMenuItem<R>>> {
    const NO_KEY: Option<&str> = None;
    Ok(match entry {
        Entry::Text(label) => Box::new(MenuItem::new(app, label, false, NO_KEY)?),
        Entry::Item(click, label) => {
            Box::new(MenuItem::with_id(app, click.id(), label, true, NO_KEY)?)
        }
        Entry::Check(click, label, on) => Box::new(CheckMenuItem::with_id(
            app,
            click.id(),
            label,
            true,
            *on,
            NO_KEY,
        )?),
        Entry::More(label, entries) => {
            let more = Submenu::new(app, label, true)?;
            for entry in entries {
                more.append(&*item(app, entry)?)?;
            }
            Box::new(more)
        }
        Entry::Separator => Box::new(PredefinedMenuItem::separator(app)?),
    })
}
