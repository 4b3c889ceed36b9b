//! Sparkle inside of the app.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Result, bail};
use dist::bundle::files;
use dist::inputs::hex;
use dist::names::APP_PROGRAM;
use dist::trial;
use dist::verify::verify;
use sha2::{Digest, Sha256};

use crate::made::{Made, reader, with_changed_byte};

/// A framework of Sparkle's shape: versions, links, a helper program, an app inside.
fn framework(folder: &Path) -> Result<()> {
    let framework = folder.join("Sparkle.framework");
    let version = framework.join("Versions/B");
    let updater = version.join("Updater.app/Contents");
    fs::create_dir_all(updater.join("MacOS"))?;
    fs::create_dir_all(version.join("Resources"))?;
    let info = |name: &str, kind: &str| {
        format!(
            "<plist version=\"1.0\"><dict><key>CFBundleExecutable</key><string>{name}</string>\
             <key>CFBundleIdentifier</key><string>org.example.{name}</string>\
             <key>CFBundlePackageType</key><string>{kind}</string></dict></plist>"
        )
    };
    fs::write(updater.join("Info.plist"), info("Updater", "APPL"))?;
    fs::write(
        version.join("Resources/Info.plist"),
        info("Sparkle", "FMWK"),
    )?;
    fs::write(updater.join("MacOS/Updater"), trial::program("Updater"))?;
    fs::write(version.join("Autoupdate"), trial::program("Autoupdate"))?;
    let mut library = trial::program("Sparkle");
    library[12] = 6; // a library instead of a program
    fs::write(version.join("Sparkle"), library)?;
    symlink("B", framework.join("Versions/Current"))?;
    for name in ["Sparkle", "Autoupdate", "Updater.app", "Resources"] {
        symlink(
            Path::new("Versions/Current").join(name),
            framework.join(name),
        )?;
    }
    Ok(())
}

#[test]
fn the_updater_is_an_input_by_hash_signed_again_and_checked_inside() -> Result<()> {
    let made = Made::inputs()?;
    framework(made.folder.path())?;
    let archive = made.text("Sparkle.tar.xz");
    reader(
        &["tar"],
        &["-cJf", &archive, "-C", &made.text(""), "Sparkle.framework"],
    )?;
    let hash = hex(&Sha256::digest(fs::read(&archive)?));
    let wrong = hash.replace(&hash[..1], "x");
    let refused = made.make("out", &["--sparkle", &archive, "--sparkle-sha256", &wrong]);
    assert!(refused.unwrap_err().to_string().contains(&hash));
    made.make("out", &["--sparkle", &archive, "--sparkle-sha256", &hash])?;
    let app = made.app();
    verify(&made.path("out"))?;
    let inside = app.join("Contents/Frameworks/Sparkle.framework/Versions/B");
    let names = files(&inside)?;
    assert_eq!(names.len(), 7, "{names:?}");
    for name in names {
        let file = inside.join(&name);
        let length = usize::try_from(file.metadata()?.len())?;
        for at in [0, length / 2, length - 1] {
            let Err(error) = with_changed_byte(&file, at, || verify(&app))? else {
                bail!("byte {at} of {} does not matter", name.display());
            };
            let own = file.file_name().unwrap_or_default().to_string_lossy();
            assert!(
                format!("{error:#}").contains(&*own),
                "{}: {error:#}",
                name.display()
            );
        }
    }
    let program = fs::read(app.join("Contents/MacOS").join(APP_PROGRAM))?;
    let entitled = b"com.apple.security.cs.disable-library-validation";
    assert!(program.windows(entitled.len()).any(|part| part == entitled));
    Ok(())
}
