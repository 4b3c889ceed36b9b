//! Lays out `Espalier.app`, the same on every system.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::artwork;
use crate::inputs::{Programs, Sparkle};
use crate::names::{APP_FOLDER, METALLIB, PROGRAMS};
use crate::plists::{self, Updates};
use crate::version::Version;

/// Says to old parts of macOS that this is an application of no known creator.
pub const PACKAGE_INFO: &str = "APPL????";

/// All that goes into a bundle.
#[derive(Debug)]
pub struct Parts<'a> {
    /// From Cargo.toml.
    pub version: &'a Version,
    /// The programs.
    pub programs: &'a Programs,
    /// The updater, where there is one.
    pub sparkle: Option<&'a Sparkle>,
    /// MLX's Metal kernels.
    pub metallib: Option<&'a Path>,
    /// Where updates come from.
    pub updates: Option<&'a Updates>,
}

/// Writes the bundle into `folder`, in place of an older one, and says where it is.
pub fn lay_out(parts: &Parts<'_>, folder: &Path) -> Result<PathBuf> {
    let app = folder.join(APP_FOLDER);
    if app.exists() {
        fs::remove_dir_all(&app)?;
    }
    let contents = app.join("Contents");
    let (programs, resources) = (contents.join("MacOS"), contents.join("Resources"));
    fs::create_dir_all(&programs)?;
    fs::create_dir_all(&resources)?;
    fs::write(
        contents.join("Info.plist"),
        plists::info(parts.version, parts.updates)?,
    )?;
    fs::write(contents.join("PkgInfo"), PACKAGE_INFO)?;
    fs::write(resources.join("AppIcon.icns"), artwork::icon()?)?;
    for name in PROGRAMS {
        let to = programs.join(name);
        fs::copy(parts.programs.path(name), &to)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
    }
    if let Some(metallib) = parts.metallib {
        fs::copy(metallib, resources.join(METALLIB)).with_context(|| {
            format!(
                "cannot read {}\nhint: --metallib is mlx.metallib of the build",
                metallib.display()
            )
        })?;
        // MLX looks beside the program that it is linked into; a signature wants data to be in Resources.
        symlink(format!("../Resources/{METALLIB}"), programs.join(METALLIB))?;
    }
    if let Some(sparkle) = parts.sparkle {
        let frameworks = contents.join("Frameworks");
        fs::create_dir_all(&frameworks)?;
        sparkle.unpack(&frameworks)?;
    }
    Ok(app)
}

/// Every file and link under `folder`, by its path inside of it, in order.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut next = vec![folder.to_path_buf()];
    while let Some(inside) = next.pop() {
        for entry in fs::read_dir(&inside).with_context(|| inside.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                next.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(folder)?.to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::trial;

    #[test]
    fn everything_is_in_its_place_and_no_two_names_differ_by_case_alone() {
        let folder = tempfile::tempdir().unwrap();
        trial::write_programs(folder.path()).unwrap();
        let metallib = folder.path().join("kernels");
        fs::write(&metallib, "kernels").unwrap();
        let parts = Parts {
            version: &Version::parse("1.2.3").unwrap(),
            programs: &Programs::find(folder.path()).unwrap(),
            sparkle: None,
            metallib: Some(&metallib),
            updates: None,
        };
        let app = lay_out(&parts, folder.path()).unwrap();
        let found = files(&app).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.to_str().unwrap()).collect();
        let expected = [
            "Contents/Info.plist",
            "Contents/MacOS/espalier",
            "Contents/MacOS/espalier-app",
            "Contents/MacOS/espalier-worker",
            "Contents/MacOS/mlx.metallib",
            "Contents/PkgInfo",
            "Contents/Resources/AppIcon.icns",
            "Contents/Resources/mlx.metallib",
        ];
        assert_eq!(names, expected);
        let lowercase: BTreeSet<_> = names.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(lowercase.len(), names.len());
        let beside = fs::read(app.join("Contents/MacOS/mlx.metallib")).unwrap();
        assert_eq!(beside, b"kernels");
        for program in PROGRAMS {
            let file = app.join("Contents/MacOS").join(program);
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o755);
        }
    }
}
