//! What the command makes, says and refuses.

use std::fs;

use anyhow::Result;
use dist::bundle::files;
use dist::names::PROGRAMS;

use crate::made::{Made, dist, text};

#[test]
fn one_command_makes_a_trial_that_checks_out() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let output = folder.path().display().to_string();
    let made = dist(&["--trial", "--output", &output])?;
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(folder.path().join("Espalier-trial.dmg").is_file());
    assert!(text(&made.stderr).contains("placeholders"));
    let checked = dist(&["verify", &output])?;
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    let checked = text(&checked.stdout);
    let parts = [
        "Espalier.app: every page",
        "trial.dmg: checksums",
        "appcast.xml: its signature",
        "trial.dmg: length",
    ];
    let lines: Vec<_> = checked.lines().collect();
    assert_eq!(lines.len(), parts.len(), "{checked}");
    for (line, part) in lines.iter().zip(parts) {
        assert!(line.contains(part), "{checked}");
    }
    Ok(())
}

#[test]
fn without_programs_it_says_where_they_come_from() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let refused = dist(&["--output", &folder.path().display().to_string()])?;
    let error = text(&refused.stderr);
    assert!(!refused.status.success());
    assert!(
        error.contains("--binaries") && error.contains("--trial"),
        "{error}"
    );
    let linux = env!("CARGO_BIN_EXE_dist");
    for name in PROGRAMS {
        fs::copy(linux, folder.path().join(name))?;
    }
    let path = folder.path().display().to_string();
    let refused = dist(&["--output", &path, "--binaries", &path])?;
    let error = text(&refused.stderr);
    let native = cfg!(all(target_os = "macos", target_arch = "aarch64"));
    assert!(
        native || error.contains("espalier-app cannot be used"),
        "{error}"
    );
    Ok(())
}

#[test]
fn the_same_input_gives_the_same_bytes() -> Result<()> {
    let made = Made::with(&[])?;
    made.make("again", &[])?;
    let (first, second) = (made.path("out"), made.path("again"));
    let names = files(&first)?;
    assert_eq!(names, files(&second)?);
    for name in &names {
        assert!(
            fs::read(first.join(name))? == fs::read(second.join(name))?,
            "{}",
            name.display()
        );
    }
    Ok(())
}
