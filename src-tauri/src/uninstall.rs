//! Removing Espalier from this computer, as its window asks: the node leaves its cluster and ends, what it kept goes, and
//! then the app itself. What goes is decided in `node::uninstall`.

use std::io::ErrorKind;

use node::uninstall::{Besides, Uninstall};
use tauri::{AppHandle, Manager};

use crate::own_node::{self, OwnNode};
use crate::{clicks, window};

/// Removes settings, keys, membership and the login item, and besides what is asked for; then the app ends. After an
/// error it goes on, with a node that starts anew, so that one can try again.
#[tauri::command]
pub async fn uninstall(
    app: AppHandle,
    conversations: bool,
    caches: bool,
    models: bool,
) -> Result<(), String> {
    let besides = Besides {
        conversations,
        caches,
        models,
    };
    own_node::leave_and_end(&app).await;
    if let Err(reason) = remove(&app, besides).await {
        own_node::start(&app);
        return Err(reason);
    }
    to_the_trash()?;
    app.exit(0);
    Ok(())
}

async fn remove(app: &AppHandle, besides: Besides) -> Result<(), String> {
    let data = app.state::<OwnNode>().data_folder()?;
    let removing = tauri::async_runtime::spawn_blocking(move || {
        let prepared = Uninstall::prepare(&data, besides).map_err(|error| error.to_string())?;
        Ok::<_, String>(prepared.carry_out())
    });
    let mut mishaps = removing.await.map_err(|error| error.to_string())??;
    mishaps.extend(clicks::forget_login(app).err());
    if besides.conversations {
        mishaps.extend(window::forget(app).err().map(|error| error.to_string()));
    }
    if besides.caches {
        mishaps.extend(remove_cache(app).err());
    }
    if mishaps.is_empty() {
        return Ok(());
    }
    Err(mishaps.join("\n"))
}

/// What the system's web view keeps for speed.
fn remove_cache(app: &AppHandle) -> Result<(), String> {
    let cache = app.path().app_cache_dir();
    let cache = cache.map_err(|error| error.to_string())?;
    match std::fs::remove_dir_all(&cache) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(format!("{}: {error}", cache.display()))
        }
        _ => Ok(()),
    }
}

/// The bundle that this program is in, if it is in one.
#[cfg(target_os = "macos")]
fn to_the_trash() -> Result<(), String> {
    use trash::TrashContext;
    use trash::macos::{DeleteMethod, TrashContextExtMacos};

    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let is_bundle = |path: &&std::path::Path| path.extension().is_some_and(|end| end == "app");
    let Some(bundle) = program.ancestors().find(is_bundle) else {
        return Ok(());
    };
    let mut trash = TrashContext::new();
    // The other way asks the Finder, and the Finder asks whether this app may.
    trash.set_delete_method(DeleteMethod::NsFileManager);
    trash.delete(bundle).map_err(|error| {
        format!(
            "Everything is removed but the app itself ({error}): quit it and drag it to the Trash"
        )
    })
}

/// Elsewhere the app came with a package, or was built here; that is not for it to remove.
#[cfg(not(target_os = "macos"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the other platform's Trash can refuse"
)]
fn to_the_trash() -> Result<(), String> {
    Ok(())
}
