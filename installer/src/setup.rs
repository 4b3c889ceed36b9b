//! Makes a machine ready, once: every part checks what is there and does only what is missing.

mod app;
mod bindings;
mod browser;
mod dashboard;
mod mlx;
mod node_packages;
mod packages;
mod packaging;
mod python;
mod stamp;

use anyhow::Result;

use crate::command;

pub use dashboard::{node, npm};

/// Everything needed to build and run the product.
pub fn for_product() -> Result<()> {
    if cfg!(target_os = "linux") {
        mlx::install()?;
    } else if !command::exists("cmake") {
        // On a Mac mlx-sys builds MLX itself, with Xcode's compilers.
        anyhow::bail!(
            "cmake is missing\nhint: brew install cmake, and install Xcode from the App Store"
        );
    }
    dashboard::build()
}

/// Everything needed to build and run the menu-bar app.
pub fn for_app() -> Result<()> {
    for_product()?;
    app::for_build()
}

/// Everything the tests need besides the product.
pub fn for_tests() -> Result<()> {
    for_product()?;
    app::for_tests()?;
    python::install()?;
    browser::install()?;
    node_packages::install("programs", "the programs that the tests run")?;
    node_packages::install("clients", "the clients that the tests talk through")?;
    packaging::install()?;
    if !command::exists("cargo-nextest") {
        command::step(
            "Installing cargo-nextest",
            command::cargo().args(["install", "--locked", "cargo-nextest"]),
            "install it by hand: cargo install --locked cargo-nextest",
        )?;
    }
    Ok(())
}
