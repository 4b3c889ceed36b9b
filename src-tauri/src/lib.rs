//! The menu-bar app: a tray, a window and a login item around a node in its own process. A view of one status value;
//! everything it can do, the node does.
//!
//! Entry point: [`main`]. The tray's pure part is `tray::status` and `tray::menu`; the window's door to the node is
//! [`commands`].

mod clicks;
mod commands;
mod icon;
mod own_node;
mod tray;
mod uninstall;
mod updates;
mod window;

use std::process::ExitCode;

use node::environment::Environment;
use node::logging;
use tauri::{App, AppHandle, RunEvent, WindowEvent};
use tauri_plugin_autostart::MacosLauncher;

use clicks::Copied;
use commands::Calls;
use own_node::OwnNode;

/// Runs the app until its user quits it.
pub fn main() -> ExitCode {
    let environment = Environment::read();
    let data = environment.data_folder(None).ok();
    logging::start(&environment, data.as_deref());
    match build(environment) {
        Ok(app) => {
            app.run(handle);
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(%error, "the app cannot start");
            ExitCode::FAILURE
        }
    }
}

fn build(environment: Environment) -> tauri::Result<App> {
    tauri::Builder::default()
        // A second start brings the first one forward. It comes first, or the others would run twice.
        .plugin(tauri_plugin_single_instance::init(|app, _, _| {
            window::show(app);
        }))
        .plugin(tauri_plugin_autostart::init(
            MacosLauncher::LaunchAgent,
            None,
        ))
        .manage(OwnNode::new(environment))
        .manage(Calls::default())
        .manage(Copied::default())
        .invoke_handler(tauri::generate_handler![
            commands::api,
            commands::hang_up,
            uninstall::uninstall,
            updates::updates,
            updates::set_automatic_updates,
            updates::check_for_updates
        ])
        .setup(|app| {
            #[cfg(target_os = "macos")]
            app.set_activation_policy(tauri::ActivationPolicy::Accessory);
            updates::start(app.handle());
            tray::build(app.handle())?;
            own_node::start(app.handle());
            Ok(())
        })
        .build(tauri::generate_context!())
}

fn handle(app: &AppHandle, event: RunEvent) {
    match event {
        // The last window has closed; the tray stays. Quit gives a code.
        RunEvent::ExitRequested {
            code: None, api, ..
        } => api.prevent_exit(),
        RunEvent::Exit => own_node::end(app),
        RunEvent::WindowEvent {
            event: WindowEvent::Destroyed,
            ..
        } => commands::hang_up_all(app),
        // The Dock icon is clicked, or the app opened again from the Finder.
        #[cfg(target_os = "macos")]
        RunEvent::Reopen { .. } => window::show(app),
        _ => {}
    }
}
