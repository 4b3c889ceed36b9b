//! What a click in the tray's menu does.

use std::sync::{Arc, Mutex, PoisonError};

use arboard::Clipboard;
use base::Failure;
use node::{NodeHandle, SomeSettings};
use tauri::{AppHandle, Manager};
use tauri_plugin_autostart::ManagerExt;

use crate::own_node::{self, OwnNode};
use crate::tray::menu::Click;
use crate::{tray, updates, window};

/// Does what was clicked; the tray says if it could not be done.
pub fn act(app: &AppHandle, click: Click) {
    match click {
        // The window shows the digits of a pairing above every page.
        Click::Open | Click::Compare => window::show(app),
        Click::Quit => app.exit(0),
        Click::Retry => own_node::start(app),
        Click::LaunchAtLogin => tray::tell(app, toggle_launch_at_login(app).err()),
        Click::CopyUrl => tray::tell(app, copy_url(app).err()),
        Click::Update => tray::tell(app, updates::check(app).err()),
        Click::Join | Click::Server | Click::Approve(_) | Click::Load(_) | Click::Unload(_) => {
            if matches!(click, Click::Approve(_)) {
                window::show(app);
            }
            let Some(node) = app.state::<OwnNode>().get() else {
                return;
            };
            let app = app.clone();
            tauri::async_runtime::spawn(async move {
                let done = ask(&node, click).await;
                tray::tell(&app, done.err().map(|failure| failure.message));
            });
        }
    }
}

async fn ask(node: &Arc<NodeHandle>, click: Click) -> Result<(), Failure> {
    let now = node.switches().borrow().settings.clone();
    match click {
        Click::Join => {
            let join = SomeSettings {
                join: Some(!now.join),
                ..SomeSettings::default()
            };
            node.change(join).await
        }
        Click::Server => {
            let server = SomeSettings {
                api: Some(!now.api),
                ..SomeSettings::default()
            };
            node.change(server).await
        }
        Click::Approve(other) => node.pair(other).await,
        Click::Load(model) => node.open(&model.0).await.map(drop),
        Click::Unload(instance) => node.close(instance).await,
        Click::Open
        | Click::Compare
        | Click::Quit
        | Click::Retry
        | Click::LaunchAtLogin
        | Click::CopyUrl
        | Click::Update => Ok(()),
    }
}

/// The computer starts without it from now on.
pub(crate) fn forget_login(app: &AppHandle) -> Result<(), String> {
    let login = app.autolaunch();
    if login.is_enabled().map_err(|error| error.to_string())? {
        login.disable().map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn toggle_launch_at_login(app: &AppHandle) -> Result<(), String> {
    let login = app.autolaunch();
    let on = login.is_enabled().map_err(|error| error.to_string())?;
    let changed = if on { login.disable() } else { login.enable() };
    changed.map_err(|error| error.to_string())
}

/// What was copied last. On Linux it is gone with whoever holds it, so it is held for as long as the app runs.
#[derive(Default)]
pub(crate) struct Copied(Mutex<Option<Clipboard>>);

fn copy_url(app: &AppHandle) -> Result<(), String> {
    let node = app.state::<OwnNode>().get();
    let address = node.and_then(|node| node.switches().borrow().api);
    let Some(address) = address else {
        return Ok(());
    };
    let mut clipboard = Clipboard::new().map_err(|error| error.to_string())?;
    let url = format!("http://{address}/v1");
    clipboard.set_text(url).map_err(|error| error.to_string())?;
    let copied = app.state::<Copied>();
    *copied.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(clipboard);
    Ok(())
}
