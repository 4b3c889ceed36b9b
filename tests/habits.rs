//! What keeps the code readable, as tests: who may see whom, how long a file may be, and what must be absent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
/// All of the app: it is a view, and everything it can do the node does.
const APP_LINES_MAX: usize = 2000;

/// Every edge between crates of the workspace that is allowed. See engine/ARCHITECTURE.md.
const EDGES: [(&str, &[&str]); 15] = [
    ("base", &[]),
    ("wire", &["base"]),
    ("cluster", &["base"]),
    ("text", &["base"]),
    ("store", &["base"]),
    ("serve", &["base"]),
    ("net", &["base", "wire"]),
    ("infer", &["base", "text"]),
    ("models", &["base", "infer"]),
    ("worker", &["base", "wire", "text", "infer", "models"]),
    (
        "node",
        &["base", "wire", "cluster", "text", "net", "store", "serve"],
    ),
    // `base` and `cluster` for what a node tells, `serve` for its API without a port.
    ("app", &["base", "cluster", "serve", "node"]),
    ("installer", &[]),
    ("dist", &[]),
    (
        "tests",
        &[
            "base", "wire", "cluster", "text", "net", "store", "serve", "infer", "models", "node",
        ],
    ),
];

/// The platform that is built here: what only others need is not on this machine.
const PLATFORM: &str = if cfg!(target_os = "macos") {
    "aarch64-apple-darwin"
} else {
    "x86_64-unknown-linux-gnu"
};

fn metadata() -> Result<Metadata> {
    let filter = ["--filter-platform", PLATFORM].map(str::to_owned);
    Ok(MetadataCommand::new()
        .manifest_path(workspace().join("Cargo.toml"))
        .other_options(filter.to_vec())
        .exec()?)
}

fn workspace() -> PathBuf {
    tests::folder::of_tests("..")
}

#[test]
fn crates_see_only_what_they_may() -> Result<()> {
    let allowed: BTreeMap<&str, &[&str]> = EDGES.into_iter().collect();
    let metadata = metadata()?;
    let members: BTreeSet<String> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let may = allowed
            .get(name)
            .with_context(|| format!("{name} is not in the table of edges"))?;
        for dependency in &package.dependencies {
            let other = dependency.name.as_str();
            let is_edge = members.contains(other) && dependency.kind != DependencyKind::Development;
            assert!(
                !is_edge || may.contains(&other),
                "{name} must not depend on {other}"
            );
        }
    }
    Ok(())
}

#[test]
fn mlx_is_seen_by_models_alone_and_absent_from_node_and_app() -> Result<()> {
    let metadata = metadata()?;
    for package in metadata.workspace_packages() {
        let direct = package
            .dependencies
            .iter()
            .any(|dependency| dependency.name.starts_with("mlx-"));
        assert_eq!(
            direct,
            package.name.as_str() == "models",
            "{}",
            package.name
        );
    }
    // The app sees the node, so this is about both.
    let seen = all_below(&metadata, "app")?;
    let mlx = seen.iter().find(|id| id.repr.contains("mlx"));
    assert_eq!(mlx, None, "MLX would be linked into the node or the app");
    Ok(())
}

/// Every first start compiles `cargo xtask`; what signs and packs is compiled only by those who package.
#[test]
fn packaging_is_absent_from_the_first_start() -> Result<()> {
    let metadata = metadata()?;
    for name in ["apple-codesign", "fstool", "ed25519-dalek"] {
        let is_below = |package: &str| {
            let below = all_below(&metadata, package)?;
            Ok::<_, anyhow::Error>(
                below
                    .iter()
                    .any(|id| id.repr.contains(&format!("#{name}@"))),
            )
        };
        assert!(is_below("dist")?, "{name} is not where it belongs");
        assert!(!is_below("installer")?, "cargo xtask would compile {name}");
    }
    Ok(())
}

/// A package of the workspace and everything that it is built from.
fn all_below<'a>(metadata: &'a Metadata, name: &str) -> Result<BTreeSet<&'a PackageId>> {
    let resolve = metadata.resolve.as_ref().context("no resolved graph")?;
    let top = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == name)
        .context("package")?;
    let (mut seen, mut next) = (BTreeSet::new(), vec![&top.id]);
    while let Some(id) = next.pop() {
        if seen.insert(id) {
            let package = resolve
                .nodes
                .iter()
                .find(|node| node.id == *id)
                .context("package")?;
            next.extend(&package.dependencies);
        }
    }
    Ok(seen)
}

/// Every Rust file of the project with its text.
fn sources() -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for folder in ["engine", "src-tauri", "installer", "tests"] {
        collect(&workspace().join(folder), &mut files)?;
    }
    assert!(files.len() > 100, "only {} files found", files.len());
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, String)>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && name != "target" {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push((path.clone(), fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

/// Whether a file holds tests alone: they may be long, and need not say what they are.
fn is_test(path: &Path) -> bool {
    let inside = path.strip_prefix(workspace()).unwrap_or(path);
    inside.components().any(|part| {
        ["tests", "tests.rs"]
            .map(AsRef::as_ref)
            .contains(&part.as_os_str())
    })
}

/// The part of a file before its tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text)
}

#[test]
fn files_have_one_job_and_say_which() -> Result<()> {
    for (path, text) in sources()? {
        let lines = without_tests(&text).lines().count();
        assert!(
            lines <= FILE_LINES_MAX || is_test(&path),
            "{} has {lines} lines",
            path.display()
        );
        let asset = path.components().any(|part| part.as_os_str() == "assets");
        let fuzz = text.contains("#![no_main]");
        assert!(
            asset || fuzz || is_test(&path) || text.starts_with("//!"),
            "{} does not say what it is",
            path.display()
        );
        assert!(
            !path.ends_with("mod.rs"),
            "{}: use the folder's name instead",
            path.display()
        );
    }
    Ok(())
}

#[test]
fn the_app_is_thin() -> Result<()> {
    let of_app = |path: &Path| {
        path.components()
            .any(|part| part.as_os_str() == "src-tauri")
    };
    let sources = sources()?.into_iter().filter(|(path, _)| of_app(path));
    let lines: usize = sources.map(|(_, text)| text.lines().count()).sum();
    assert!(lines > 0 && lines <= APP_LINES_MAX, "{lines} lines");
    Ok(())
}

#[test]
fn functions_fit_on_a_screen() -> Result<()> {
    for (path, text) in sources()?.into_iter().filter(|(path, _)| !is_test(path)) {
        let mut open: Option<(usize, usize, &str)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            // rustfmt puts a function's closing brace under its first letter.
            match open {
                Some((first, at, name)) if indent == at && line.trim() == "}" => {
                    let lines = number - first + 1;
                    assert!(
                        lines <= FUNCTION_LINES_MAX,
                        "{}: {name} has {lines} lines",
                        path.display()
                    );
                    open = None;
                }
                None if is_function(line) && !line.trim_end().ends_with(['}', ';']) => {
                    open = Some((number, indent, line.trim()));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn is_function(line: &str) -> bool {
    let words = line.trim_start().split([' ', '(']);
    words
        .take_while(|word| {
            [
                "pub", "crate)", "super)", "const", "async", "unsafe", "extern", "fn",
            ]
            .contains(word)
        })
        .any(|word| word == "fn")
}

#[test]
fn unsafe_code_is_in_models_alone_and_explained() -> Result<()> {
    let keyword = concat!("unsafe", " {");
    for (path, text) in sources()?.into_iter().filter(|(path, _)| !is_test(path)) {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.contains(keyword))
        {
            let generated = path.ends_with("assets/x86_half.rs");
            let in_models = path.components().any(|part| part.as_os_str() == "models");
            assert!(
                generated || in_models,
                "{}:{}: {line}",
                path.display(),
                number + 1
            );
            let explained = lines[number.saturating_sub(4)..number]
                .iter()
                .any(|line| line.contains("SAFETY:"));
            assert!(
                generated || explained,
                "{}:{}: no SAFETY comment",
                path.display(),
                number + 1
            );
        }
    }
    Ok(())
}
