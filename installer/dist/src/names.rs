//! Every name that more than one part of packaging must agree on.

use crate::version::Version;

/// Of the app, for macOS. Never changes: the system keeps permissions, settings and updates under it.
pub const BUNDLE_ID: &str = "app.espalier.Espalier";
/// The app as a person sees it, and the name of the disk image's volume.
pub const APP_NAME: &str = "Espalier";
/// The bundle's folder.
pub const APP_FOLDER: &str = "Espalier.app";
/// The program that macOS starts: the tray and its windows.
pub const APP_PROGRAM: &str = "espalier-app";
/// The command line.
pub const COMMAND_PROGRAM: &str = "espalier";
/// Computes with MLX. Beside the other two, where a node looks for it.
pub const WORKER_PROGRAM: &str = "espalier-worker";
/// All programs of the bundle, under cargo's own names.
pub const PROGRAMS: [&str; 3] = [APP_PROGRAM, COMMAND_PROGRAM, WORKER_PROGRAM];
/// MLX's compiled Metal kernels.
pub const METALLIB: &str = "mlx.metallib";
/// The update feed.
pub const APPCAST: &str = "appcast.xml";
/// The disk image of a build from placeholder programs.
pub const TRIAL_IMAGE: &str = "Espalier-trial.dmg";

/// The disk image of a version.
pub fn image_name(version: &Version) -> String {
    format!("{APP_NAME}-{version}.dmg")
}
