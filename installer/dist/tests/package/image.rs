//! The disk image, read by other programs.

use std::fs;

use anyhow::{Context, Result};
use dist::bundle::files;
use dist::names::APP_FOLDER;

use crate::made::{Made, reader};

#[test]
fn other_programs_read_the_disk_image() -> Result<()> {
    let made = Made::with(&[])?;
    let (image, raw) = (made.image().display().to_string(), made.text("raw"));
    if cfg!(target_os = "macos") {
        reader(&["hdiutil"], &["verify", &image])?;
        let app = made.app().display().to_string();
        reader(&["codesign"], &["--verify", "--deep", "--strict", &app])?;
        return Ok(());
    }
    // 7-Zip reads compressed image and volume by itself.
    let unpacked = made.text("unpacked");
    reader(
        &["7zz", "7z"],
        &["x", "-snld", "-y", &format!("-o{unpacked}"), &image],
    )?;
    let volume = made.path("unpacked").join("Espalier");
    let inside = if volume.is_dir() {
        volume
    } else {
        made.path("unpacked")
    };
    for name in files(&made.app())? {
        let (ours, theirs) = (made.app().join(&name), inside.join(APP_FOLDER).join(&name));
        if !ours.is_symlink() {
            assert!(fs::read(ours)? == fs::read(&theirs)?, "{}", name.display());
        }
    }
    let listed = reader(&["7zz", "7z"], &["l", "-slt", &image])?;
    assert!(
        listed.contains("Applications") && listed.contains(".DS_Store"),
        "{listed}"
    );
    // dmg2img unpacks the image, sleuthkit reads the volume.
    reader(&["dmg2img"], &["-i", &image, "-o", &raw])?;
    let listed = reader(&["fls"], &["-r", "-p", "-f", "hfs", &raw])?;
    for name in [
        "Espalier.app/Contents/MacOS/espalier-worker",
        ".background/background.png",
        ".DS_Store",
    ] {
        assert!(listed.contains(name), "{name} is not in {listed}");
    }
    let link = listed.lines().find(|line| line.ends_with("\tApplications"));
    let link = link.context("no Applications")?;
    assert!(link.starts_with("l/"), "{link}");
    let id = link.split([' ', ':']).nth(1).context("no id")?;
    assert_eq!(
        reader(&["icat"], &["-f", "hfs", &raw, id])?,
        "/Applications"
    );
    let volume = reader(&["fsstat"], &["-f", "hfs", &raw])?;
    assert!(volume.contains("Volume Name: Espalier"), "{volume}");
    let icon = made.app().join("Contents/Resources/AppIcon.icns");
    let icons = reader(&["icns2png"], &["-l", &icon.display().to_string()])?;
    assert!(icons.contains("1024x1024"), "{icons}");
    Ok(())
}
