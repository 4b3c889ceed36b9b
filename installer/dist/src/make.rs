//! The whole way: inputs, bundle, signature, disk image, feed, and then the check of it all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, Utc};

use crate::bundle::{self, Parts};
use crate::inputs::{Programs, Sparkle};
use crate::keys::UpdateKey;
use crate::names::{APP_FOLDER, APP_PROGRAM, APPCAST, TRIAL_IMAGE, image_name};
use crate::plists::Updates;
use crate::progress::{skipped, step};
use crate::sign::Signer;
use crate::version::Version;
use crate::{disk_image, notarize, releases, trial, verify};

/// A trial's updates come from nowhere: this name can never exist.
const TRIAL_URL: &str = "https://espalier.invalid";

/// What to make, and from what.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Where everything is written.
    #[arg(long, value_name = "DIR", default_value = "target/dist")]
    pub output: PathBuf,
    /// Folder with espalier-app, espalier and espalier-worker, built for aarch64-apple-darwin.
    #[arg(long, value_name = "DIR", conflicts_with = "trial")]
    pub binaries: Option<PathBuf>,
    /// Use placeholder programs that do nothing, to try packaging without a Mac.
    #[arg(long)]
    pub trial: bool,
    /// MLX's compiled Metal kernels.
    #[arg(long, value_name = "FILE")]
    pub metallib: Option<PathBuf>,
    /// Sparkle's release archive (Sparkle-2.x.tar.xz), for updates.
    #[arg(long, value_name = "FILE", requires = "sparkle_sha256")]
    pub sparkle: Option<PathBuf>,
    /// Its SHA-256.
    #[arg(long, value_name = "HASH", requires = "sparkle")]
    pub sparkle_sha256: Option<String>,
    /// Certificate and key that sign the app; without it, the signature is ad hoc.
    #[arg(long, value_name = "FILE", requires = "p12_password_file")]
    pub p12: Option<PathBuf>,
    /// File with the password of --p12.
    #[arg(long, value_name = "FILE", requires = "p12")]
    pub p12_password_file: Option<PathBuf>,
    /// Key that signs updates (`keygen` makes one).
    #[arg(long, value_name = "FILE", requires = "url")]
    pub ed_key_file: Option<PathBuf>,
    /// Where disk image and feed will be downloaded from.
    #[arg(long, value_name = "URL", requires = "ed_key_file")]
    pub url: Option<String>,
    /// Notarize with this profile of `xcrun notarytool store-credentials` (on a Mac).
    #[arg(long, value_name = "NAME", requires = "p12")]
    pub notary_profile: Option<String>,
}

/// Makes everything that the options allow, says what was skipped, and checks the result.
pub fn make(options: &Options, version: &Version, time: DateTime<Utc>) -> Result<()> {
    let placeholders = tempfile::tempdir()?;
    let programs = Programs::find(programs_folder(options, placeholders.path())?)?;
    let sparkle = match (&options.sparkle, &options.sparkle_sha256) {
        (Some(archive), Some(hash)) => Some(Sparkle::find(archive, hash)?),
        _ => None,
    };
    let signer = match (&options.p12, &options.p12_password_file) {
        (Some(file), Some(password)) => Signer::from_p12(file, password)?,
        _ => Signer::AdHoc,
    };
    let release = release_key(options)?;
    let updates = release.as_ref().map(|(key, url)| Updates {
        feed_url: format!("{url}/{APPCAST}"),
        public_key: key.public(),
    });
    check_updates(&programs, sparkle.is_some(), updates.is_some())?;
    let parts = Parts {
        version,
        programs: &programs,
        sparkle: sparkle.as_ref(),
        metallib: options.metallib.as_deref(),
        updates: updates.as_ref(),
    };
    let output = &options.output;
    clear(output)?;
    let app = step("Laying out the app", || bundle::lay_out(&parts, output))?;
    step("Signing the app", || signer.sign_app(&app, time))?;
    let image = output.join(if options.trial {
        TRIAL_IMAGE.into()
    } else {
        image_name(version)
    });
    let seconds =
        u32::try_from(time.timestamp()).context("the time is before 1970 or after 2106")?;
    step("Writing the disk image", || {
        disk_image::write(&app, &image, seconds)?;
        signer.sign_image(&image, time)
    })?;
    if let Some(profile) = &options.notary_profile {
        step("Notarizing the disk image", || {
            notarize::notarize(&image, profile)
        })?;
    }
    if let Some((key, url)) = &release {
        step("Signing the update feed", || {
            releases::write_feed(output, key, url)
        })?;
    }
    say_what_is_missing(options);
    let checked = step("Checking all of it", || verify::verify(output))?;
    for line in checked {
        println!("{line}");
    }
    Ok(())
}

/// The folder with the programs, filled with placeholders for a trial.
fn programs_folder<'a>(options: &'a Options, placeholders: &'a Path) -> Result<&'a Path> {
    match &options.binaries {
        Some(folder) => Ok(folder),
        None if options.trial => {
            trial::write_programs(placeholders)?;
            Ok(placeholders)
        }
        None => bail!(
            "there are no programs to package: only a Mac builds them\n\
             hint: run this on a Mac, or take them from the macOS workflow and name their folder with --binaries;\n\
             cargo xtask dist --trial shows all of packaging with placeholder programs"
        ),
    }
}

/// The key for updates and where they will be; a trial has a key of its own that nobody keeps.
fn release_key(options: &Options) -> Result<Option<(UpdateKey, String)>> {
    match (&options.ed_key_file, &options.url) {
        (Some(file), Some(url)) => {
            let url = url.trim_end_matches('/').to_owned();
            Ok(Some((UpdateKey::read(file)?, url)))
        }
        _ if options.trial => Ok(Some((UpdateKey::generate()?, TRIAL_URL.to_owned()))),
        _ => Ok(None),
    }
}

/// That the programs, Sparkle and its feed fit together: the app would not start, or complain at every start.
fn check_updates(programs: &Programs, sparkle: bool, feed: bool) -> Result<()> {
    ensure!(
        feed || !sparkle,
        "Sparkle is given, and no feed for it\nhint: --ed-key-file FILE --url URL"
    );
    let needed = programs.need_sparkle()?;
    ensure!(
        sparkle || !needed,
        "{APP_PROGRAM} was built with updates and does not start without Sparkle\n\
         hint: --sparkle Sparkle-2.x.tar.xz --sparkle-sha256 HASH"
    );
    if sparkle && !needed {
        skipped(
            "Looking for updates",
            "espalier-app was built without; cargo build --features app/updates",
        );
    }
    Ok(())
}

/// Removes what an earlier run left, and nothing else.
fn clear(output: &Path) -> Result<()> {
    fs::create_dir_all(output).with_context(|| output.display().to_string())?;
    for entry in fs::read_dir(output)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name == APP_FOLDER {
            fs::remove_dir_all(&path)?;
        } else if name == APPCAST || (name.starts_with("Espalier-") && name.ends_with(".dmg")) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn say_what_is_missing(options: &Options) {
    if options.trial {
        skipped(
            "Espalier's own programs",
            "this is a trial with placeholders; never give it to anyone",
        );
    }
    if options.metallib.is_none() {
        skipped(
            "MLX's Metal kernels",
            "--metallib FILE; without them the worker cannot compute",
        );
    }
    if options.sparkle.is_none() {
        skipped(
            "The updater",
            "--sparkle Sparkle-2.x.tar.xz --sparkle-sha256 HASH",
        );
    }
    if options.ed_key_file.is_none() && !options.trial {
        skipped(
            "The update feed",
            "--ed-key-file FILE --url URL; `cargo xtask dist keygen FILE` makes a key",
        );
    }
    if options.p12.is_none() {
        skipped(
            "A certificate's signature",
            "--p12 FILE --p12-password-file FILE; ad hoc, the app opens only where it was made",
        );
    }
    if options.notary_profile.is_none() {
        skipped(
            "Notarizing",
            "--notary-profile NAME, on a Mac; without it Gatekeeper refuses a downloaded app",
        );
    }
}
