//! A folder of releases: disk images of one or more versions, and deltas between them. Makes their feed, and checks it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use chrono::DateTime;
use plist::{Dictionary, Value};

use crate::appcast::{self, Download, Release};
use crate::disk_image;
use crate::keys::UpdateKey;
use crate::names::{APP_NAME, APPCAST, BUNDLE_ID};
use crate::version::Version;

/// Writes the feed of all releases in `folder`, newest first; what it offers, for people.
pub fn write_feed(folder: &Path, key: &UpdateKey, url: &str) -> Result<Vec<String>> {
    let mut releases = Vec::new();
    for image in ending(folder, "dmg")? {
        releases.push(release(&image, key, url).with_context(|| image.display().to_string())?);
    }
    releases.sort_by(|one, other| other.version.cmp(&one.version));
    if let Some(twice) = releases
        .windows(2)
        .find(|two| two[0].version == two[1].version)
    {
        bail!(
            "{} is there twice\nhint: keep one of its disk images",
            twice[0].version
        );
    }
    ensure!(
        !releases.is_empty(),
        "{} holds no disk images\nhint: put one Espalier-VERSION.dmg per release there",
        folder.display()
    );
    for delta in ending(folder, "delta")? {
        add_delta(&mut releases, &delta, key, url)?;
    }
    fs::write(folder.join(APPCAST), appcast::write(&releases, key))?;
    Ok(releases.iter().map(shown).collect())
}

/// Checks a feed and every file that it offers; those lie beside it. Without a key, that of the apps in the disk images
/// is taken, as an installed Espalier would.
pub fn check_feed(feed: &Path, public_key: Option<&str>) -> Result<Vec<String>> {
    let text = fs::read(feed).with_context(|| {
        format!(
            "cannot read {}\nhint: appcast.xml, with its disk images beside it",
            feed.display()
        )
    })?;
    let text = str::from_utf8(&text).with_context(|| format!("{}: not text", feed.display()))?;
    let folder = match feed.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let images = ending(folder, "dmg")?;
    let public_key = match public_key {
        Some(key) => key.to_owned(),
        None => key_of(&images)?,
    };
    let downloads = appcast::read(text, &public_key).with_context(|| feed.display().to_string())?;
    let mut checked = vec![format!(
        "{}: its signature, with the key {public_key}",
        feed.display()
    )];
    let mut offered = Vec::new();
    for download in downloads {
        let name = download.url.rsplit('/').next().unwrap_or_default();
        let file = folder.join(name);
        let bytes = fs::read(&file).with_context(|| {
            format!(
                "{} offers {}, which cannot be read",
                feed.display(),
                file.display()
            )
        })?;
        let outcome = download.check(&bytes, &public_key);
        outcome.with_context(|| file.display().to_string())?;
        checked.push(format!("{}: length and signature", file.display()));
        offered.push(file);
    }
    if let Some(other) = images.iter().find(|image| !offered.contains(image)) {
        bail!(
            "{} does not offer {}\nhint: make the feed again",
            feed.display(),
            other.display()
        );
    }
    Ok(checked)
}

fn release(image: &Path, key: &UpdateKey, url: &str) -> Result<Release> {
    let inside = disk_image::app_info(image)?;
    let part = |name| text(&inside.info, name);
    ensure!(
        part("CFBundleIdentifier")? == BUNDLE_ID,
        "the app in it is not {APP_NAME}"
    );
    let version = Version::parse(part("CFBundleShortVersionString")?)?;
    ensure!(
        part("CFBundleVersion")? == version.compared(),
        "its app's two versions contradict each other"
    );
    ensure!(
        part("SUPublicEDKey").is_ok_and(|trusted| trusted == key.public()),
        "its app does not trust this key, and would refuse every update\nhint: package it with the same --ed-key-file"
    );
    let date = DateTime::from_timestamp(inside.written.into(), 0);
    Ok(Release {
        version,
        date: date.context("its date is out of range")?.to_rfc2822(),
        system_version_min: part("LSMinimumSystemVersion")?.to_owned(),
        image: download(image, key, url)?,
        deltas: Vec::new(),
    })
}

/// Sparkle's tool `BinaryDelta` makes them; their names say between which versions, as its `generate_appcast` has it.
fn add_delta(releases: &mut [Release], delta: &Path, key: &UpdateKey, url: &str) -> Result<()> {
    let name = delta.file_stem().unwrap_or_default().to_string_lossy();
    let versions = name
        .strip_prefix(APP_NAME)
        .and_then(|rest| rest.split_once('-'));
    let to_and_from = versions.and_then(|(to, from)| {
        let release = releases
            .iter_mut()
            .find(|one| one.version.compared() == to)?;
        is_compared(from).then_some((release, from.to_owned()))
    });
    let Some((release, from)) = to_and_from else {
        bail!(
            "{} leads to no release here\nhint: the name is {APP_NAME}NEW-OLD.delta, for example {APP_NAME}1.2.0-1.1.0b3.delta",
            delta.display()
        );
    };
    release.deltas.push((from, download(delta, key, url)?));
    Ok(())
}

/// Whether a text has the form that Sparkle compares.
fn is_compared(text: &str) -> bool {
    let known = |letter: char| letter.is_ascii_alphanumeric() || letter == '.';
    text.starts_with(|letter: char| letter.is_ascii_digit()) && text.chars().all(known)
}

fn download(file: &Path, key: &UpdateKey, url: &str) -> Result<Download> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    ensure!(
        name.chars().all(plain),
        "its name cannot be a part of an address\nhint: letters, digits, dots and dashes"
    );
    let url = format!("{}/{name}", url.trim_end_matches('/'));
    Ok(Download::of(url, &fs::read(file)?, key))
}

/// The key that all apps trust.
fn key_of(images: &[PathBuf]) -> Result<String> {
    let mut keys = Vec::new();
    for image in images {
        let inside = disk_image::app_info(image).with_context(|| image.display().to_string())?;
        let key = text(&inside.info, "SUPublicEDKey");
        keys.push(key.with_context(|| image.display().to_string())?.to_owned());
    }
    keys.dedup();
    match keys.as_slice() {
        [key] => Ok(key.clone()),
        [] => bail!(
            "there is no disk image beside the feed, of which the key could be taken\nhint: --public-key KEY"
        ),
        _ => bail!("the apps in the disk images trust different keys\nhint: --public-key KEY"),
    }
}

fn text<'a>(info: &'a Dictionary, name: &str) -> Result<&'a str> {
    let value = info.get(name).and_then(Value::as_string);
    value.with_context(|| format!("its app's Info.plist has no {name}"))
}

/// The files in `folder` with this ending, in the order of their names.
fn ending(folder: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == end) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// For example `1.2.3-beta.4 (beta), deltas from 1.2.3b3 and 1.2.2`.
fn shown(release: &Release) -> String {
    let channel = if release.version.is_beta() {
        "beta"
    } else {
        "stable"
    };
    let from: Vec<_> = release
        .deltas
        .iter()
        .map(|(from, _)| from.as_str())
        .collect();
    let deltas = if from.is_empty() {
        String::new()
    } else {
        format!(", deltas from {}", from.join(" and "))
    };
    format!("{} ({channel}){deltas}", release.version)
}
