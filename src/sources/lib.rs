//! Where Cargo unpacked the sources of a dependency: two build scripts read files that come with other crates. For build scripts
//! alone; no crate of the product uses it.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The folder of a package in the dependency graph of the crate whose build script asks.
///
/// # Errors
///
/// What `cargo metadata` said, or that no package has this name.
pub fn folder_of(package: &str) -> Result<PathBuf, Box<dyn Error>> {
    let mut output = metadata(&["--offline"])?;
    if !output.status.success() {
        // A build fetches what it compiles, `cargo metadata` wants all that anything could need (what only tests use, on a fresh
        // machine).
        output = metadata(&[])?;
    }
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let manifest = packages
        .filter(|candidate| candidate["name"] == package)
        .find_map(|candidate| candidate["manifest_path"].as_str())
        .ok_or_else(|| format!("cargo metadata names no package {package}"))?;
    let folder = Path::new(manifest).parent().ok_or_else(|| format!("{manifest} has no folder"))?;
    Ok(folder.to_owned())
}

fn metadata(more: &[&str]) -> Result<Output, Box<dyn Error>> {
    let mut command = Command::new(env::var("CARGO")?);
    command.current_dir(env::var("CARGO_MANIFEST_DIR")?);
    command.args(["metadata", "--format-version", "1", "--locked"]);
    // Both, as build scripts and their dependencies are built for the host.
    command.args(["--filter-platform", &env::var("TARGET")?, "--filter-platform", &env::var("HOST")?]);
    Ok(command.args(more).output()?)
}
