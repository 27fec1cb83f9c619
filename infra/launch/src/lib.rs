//! Cargo's output while it builds, as files that grow: how far it is, and why it failed.
//!
//! `cargo dev` runs this package's program. It starts one cargo for the command line and all functions, so that each crate is compiled
//! once and both processors are busy, and becomes `ops dev` as soon as that is built; `ops dev` follows the same files until the last
//! function is there. So Postgres starts, and the first routes answer, while others still compile.

mod failure;
mod line;
mod progress;
mod tail;

pub use failure::sentence;
pub use line::Line;
pub use progress::Progress;
pub use tail::Tail;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The file of cargo's messages: one JSON document a line.
pub const MESSAGES: &str = "messages";
/// The file of what cargo says to people: diagnostics, and the bar that tells how far it is.
pub const PROGRESS: &str = "progress";

/// A cargo that builds these binaries, with its output in two new files of `directory`.
///
/// One selection of packages, the whole workspace, goes for every build on a laptop: features are then the same in all of them, and no crate
/// is compiled again for another command (<https://doc.rust-lang.org/cargo/reference/features.html#feature-unification>).
///
/// # Errors
/// The files cannot be created.
pub fn cargo(workspace: &Path, directory: &Path, binaries: &[impl AsRef<str>]) -> io::Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(workspace).args(["build", "--message-format=json-render-diagnostics"]);
    command.args(binaries.iter().flat_map(|binary| ["--bin", binary.as_ref()]));
    redirect(&mut command, directory)?;
    Ok(command)
}

/// The sentence for a port that another program has.
#[must_use]
pub fn port_is_taken(port: u16) -> String {
    format!("port {port} is taken: stop the program that listens there, or choose another with --port")
}

/// Sends a cargo's output to two new files of `directory`, and has it draw its bar there.
///
/// # Errors
/// The files cannot be created.
pub fn redirect(command: &mut Command, directory: &Path) -> io::Result<()> {
    for name in own_package() {
        command.env_remove(name);
    }
    command.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", "200").env("CARGO_TERM_QUIET", "false");
    command.stdin(Stdio::null()).stdout(File::create_new(directory.join(MESSAGES))?).stderr(File::create_new(directory.join(PROGRESS))?);
    Ok(())
}

/// The variables in which cargo tells the program that it runs about that program's own package. To a cargo that the program starts they
/// would look like changes to build scripts.
pub fn own_package() -> impl Iterator<Item = OsString> {
    let is_own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    std::env::vars_os().map(|(name, _)| name).filter(move |name| name.to_str().is_some_and(is_own))
}

/// The names of the functions' packages, which are those of their folders and of their binaries.
///
/// # Errors
/// The folder cannot be read.
pub fn functions(workspace: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in workspace.join("functions").read_dir()? {
        let path: PathBuf = entry?.path();
        if path.join("Cargo.toml").is_file() {
            names.extend(path.file_name().and_then(|name| name.to_str()).map(str::to_owned));
        }
    }
    names.sort();
    Ok(names)
}
