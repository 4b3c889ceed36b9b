//! The one window: made when it is wanted, gone when it is closed, so that it costs nothing in between.

use tauri::{AppHandle, Manager, Runtime, WebviewUrl, WebviewWindowBuilder};

const LABEL: &str = "main";
const SIZE: (f64, f64) = (1100.0, 740.0);
const SIZE_MIN: (f64, f64) = (640.0, 480.0);

/// Forgets what its page has kept.
pub(crate) fn forget<R: Runtime>(app: &AppHandle<R>) -> tauri::Result<()> {
    match app.get_webview_window(LABEL) {
        Some(window) => window.clear_all_browsing_data(),
        None => Ok(()),
    }
}

/// Shows the window, in front.
pub(crate) fn show<R: Runtime>(app: &AppHandle<R>) {
    let shown = match app.get_webview_window(LABEL) {
        Some(window) => window
            .unminimize()
            .and_then(|()| window.show())
            .and_then(|()| window.set_focus()),
        None => WebviewWindowBuilder::new(app, LABEL, WebviewUrl::default())
            .title("Espalier")
            .inner_size(SIZE.0, SIZE.1)
            .min_inner_size(SIZE_MIN.0, SIZE_MIN.1)
            .build()
            .map(drop),
    };
    if let Err(error) = shown {
        tracing::warn!(%error, "the window cannot be shown");
    }
}
