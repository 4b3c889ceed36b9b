//! The feed of several releases.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use dist::bundle::{self, Parts};
use dist::disk_image;
use dist::inputs::Programs;
use dist::plists::Updates;
use dist::version::Version;
use expect_test::expect;

use crate::made::{Made, dist, reader, text, with_changed_byte};

/// Every item of a feed, read by Python.
const ITEMS: &str = r#"
import sys, xml.etree.ElementTree as tree
name = "{http://www.andymatuschak.org/xml-namespaces/sparkle}"
for item in tree.parse(sys.argv[1]).getroot().iter("item"):
    print(*[item.findtext(name + part) for part in ["shortVersionString", "version", "channel", "minimumSystemVersion"]])
    print(item.findtext("pubDate"))
    for file in item.iter("enclosure"):
        print(" ", file.get("url"), file.get("length"), file.get(name + "deltaFrom"))
"#;

/// A folder with disk images of these versions, whose apps trust the key.
fn releases(made: &Made, versions: &[&str]) -> Result<PathBuf> {
    let folder = made.path("releases");
    fs::create_dir(&folder)?;
    let updates = Updates {
        feed_url: "https://example.com/appcast.xml".into(),
        public_key: fs::read_to_string(made.path("public-key"))?.trim().into(),
    };
    for version in versions {
        let version = &Version::parse(version)?;
        let parts = Parts {
            version,
            programs: &Programs::find(&made.path("programs"))?,
            sparkle: None,
            metallib: None,
            updates: Some(&updates),
        };
        let app = bundle::lay_out(&parts, made.folder.path())?;
        let image = folder.join(format!("Espalier-{version}.dmg"));
        disk_image::write(&app, &image, 1_790_000_000)?;
    }
    Ok(folder)
}

fn make(made: &Made) -> Result<String> {
    let url = "https://example.com/";
    let (folder, key) = (made.text("releases"), made.text("key"));
    let done = dist(&["appcast", &folder, "--ed-key-file", &key, "--url", url])?;
    ensure!(done.status.success(), "{}", text(&done.stderr));
    Ok(text(&done.stdout))
}

fn verify(made: &Made, more: &[&str]) -> Result<()> {
    let feed = made.text("releases/appcast.xml");
    let checked = dist(&[&["appcast", "verify", &feed], more].concat())?;
    ensure!(checked.status.success(), "{}", text(&checked.stderr));
    Ok(())
}

#[test]
fn every_release_is_offered_on_its_channel_with_its_deltas() -> Result<()> {
    let made = Made::inputs()?;
    let folder = releases(&made, &["1.9.0", "1.10.0", "1.10.0-beta.2"])?;
    fs::write(folder.join("Espalier1.10.0-1.9.0.delta"), "one")?;
    fs::write(folder.join("Espalier1.10.0-1.10.0b2.delta"), "two!")?;
    let said = make(&made)?;
    let offered: Vec<_> = said.lines().take(3).collect();
    expect![[r#"
        [
            "1.10.0 (stable), deltas from 1.10.0b2 and 1.9.0",
            "1.10.0-beta.2 (beta)",
            "1.9.0 (stable)",
        ]
    "#]]
    .assert_debug_eq(&offered);
    let length = |version: &str| fs::metadata(folder.join(format!("Espalier-{version}.dmg")));
    let length = |version: &str| length(version).map(|file| file.len().to_string());
    let mut items = reader(
        &["python3"],
        &["-c", ITEMS, &made.text("releases/appcast.xml")],
    )?;
    for version in ["1.9.0", "1.10.0", "1.10.0-beta.2"] {
        items = items.replace(&format!(".dmg {}", length(version)?), ".dmg BYTES");
    }
    expect![[r"
        1.10.0 1.10.0 None 14.0
        Mon, 21 Sep 2026 14:13:20 +0000
          https://example.com/Espalier-1.10.0.dmg BYTES None
          https://example.com/Espalier1.10.0-1.10.0b2.delta 4 1.10.0b2
          https://example.com/Espalier1.10.0-1.9.0.delta 3 1.9.0
        1.10.0-beta.2 1.10.0b2 beta 14.0
        Mon, 21 Sep 2026 14:13:20 +0000
          https://example.com/Espalier-1.10.0-beta.2.dmg BYTES None
        1.9.0 1.9.0 None 14.0
        Mon, 21 Sep 2026 14:13:20 +0000
          https://example.com/Espalier-1.9.0.dmg BYTES None
    "]]
    .assert_eq(&items);
    verify(&made, &[])
}

#[test]
fn one_changed_byte_of_feed_image_or_delta_is_named() -> Result<()> {
    let made = Made::inputs()?;
    let folder = releases(&made, &["1.2.0", "1.1.0"])?;
    fs::write(folder.join("Espalier1.2.0-1.1.0.delta"), "difference")?;
    make(&made)?;
    let names = [
        "appcast.xml",
        "Espalier1.2.0-1.1.0.delta",
        "Espalier-1.1.0.dmg",
    ];
    for name in names {
        let file = folder.join(name);
        let middle = fs::read(&file)?.len() / 2;
        let error = with_changed_byte(&file, middle, || verify(&made, &[]))?.unwrap_err();
        assert!(error.to_string().contains(&format!("{name}: ")), "{error}");
    }
    let beside = Command::new(env!("CARGO_BIN_EXE_dist"))
        .args(["appcast", "verify", "appcast.xml"])
        .current_dir(&folder)
        .status()?;
    assert!(beside.success());
    let other = dist(&["keygen", &made.text("other")])?;
    let error = verify(&made, &["--public-key", text(&other.stdout).trim()]).unwrap_err();
    assert!(
        error.to_string().contains("the feed was changed"),
        "{error}"
    );
    fs::remove_file(folder.join("Espalier-1.1.0.dmg"))?;
    let error = verify(&made, &[]).unwrap_err();
    assert!(error.to_string().contains("Espalier-1.1.0.dmg"), "{error}");
    Ok(())
}

#[test]
fn what_no_installed_app_could_use_is_refused() -> Result<()> {
    let made = Made::inputs()?;
    let folder = releases(&made, &["1.2.0"])?;
    make(&made)?;
    let refused = |part: &str| {
        let error = make(&made).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("hint"), "{error}");
    };
    fs::write(folder.join("Espalier9.9.9-1.1.0.delta"), "")?;
    refused("Espalier9.9.9-1.1.0.delta leads to no release");
    fs::remove_file(folder.join("Espalier9.9.9-1.1.0.delta"))?;
    let (image, copy) = (folder.join("Espalier-1.2.0.dmg"), folder.join("copy.dmg"));
    fs::copy(&image, &copy)?;
    refused("1.2.0 is there twice");
    assert!(
        verify(&made, &[])
            .unwrap_err()
            .to_string()
            .contains("does not offer")
    );
    fs::rename(&copy, folder.join("a copy.dmg"))?;
    refused("a copy.dmg: its name");
    fs::remove_file(folder.join("a copy.dmg"))?;
    fs::remove_file(made.path("key"))?;
    dist(&["keygen", &made.text("key")])?;
    refused("does not trust this key");
    fs::remove_file(image)?;
    refused("no disk images");
    Ok(())
}
