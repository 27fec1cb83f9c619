//! Reads the output of a cargo that builds: the progress, and the reason of a failure.
//!
//! `cargo dev` runs this package's program. It starts one cargo for the command line and all functions: each crate is compiled once, and all
//! processors are used. Cargo writes its output into files. The program shows the progress from them, and becomes `ops dev` (by `exec`) once
//! the command line is built. `ops dev` reads the same files until the last function is built. Meanwhile it starts Postgres and serves the
//! functions that are built.

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
/// The file of cargo's standard error: diagnostics and the progress bar.
pub const PROGRESS: &str = "progress";

/// A cargo that builds these binaries, with its output in two new files of `directory`.
///
/// Every build on a laptop selects the whole workspace. Features are then the same in all builds, and no crate is compiled again for another
/// command (<https://doc.rust-lang.org/cargo/reference/features.html#feature-unification>).
///
/// # Errors
/// The files cannot be created.
pub fn cargo(workspace: &Path, directory: &Path, binaries: &[impl AsRef<str>]) -> io::Result<Command> {
    started_by(Command::new(cargo_program()), workspace, directory, binaries)
}

/// As [`cargo`], ended together with its compilers if this process ends first, also after an `exec`. It has to lead a process group.
///
/// # Errors
/// As [`cargo`].
pub fn watched_cargo(workspace: &Path, directory: &Path, binaries: &[impl AsRef<str>]) -> io::Result<Command> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", WATCH, &std::process::id().to_string()]).arg(cargo_program());
    started_by(shell, workspace, directory, binaries)
}

/// A shell script that starts a watch over the process `$0` and then becomes the command `$@`. The watch comes first: no moment is left in which
/// the owner can end unnoticed.
const WATCH: &str = "{ while kill -0 $0 && kill -0 $$; do sleep 0.5; done; kill -s TERM -- -$$; } </dev/null >/dev/null 2>&1 & exec \"$@\"";

fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))
}

fn started_by(mut command: Command, workspace: &Path, directory: &Path, binaries: &[impl AsRef<str>]) -> io::Result<Command> {
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

/// Redirects a cargo's output to two new files of `directory`, with the progress bar.
///
/// # Errors
/// The files cannot be created.
pub fn redirect(command: &mut Command, directory: &Path) -> io::Result<()> {
    for name in own_package() {
        command.env_remove(name);
    }
    command
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "200")
        .env("CARGO_TERM_QUIET", "false")
        .env("CARGO_TERM_COLOR", "never");
    // The cargo that started this program read it from the folder that the command was given in.
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR").filter(|target| !target.is_empty()) {
        command.env("CARGO_TARGET_DIR", std::path::absolute(target)?);
    }
    command.stdin(Stdio::null()).stdout(File::create_new(directory.join(MESSAGES))?).stderr(File::create_new(directory.join(PROGRESS))?);
    Ok(())
}

/// The variables in which cargo tells the program that it runs about that program's own package. To a cargo that the program starts they
/// would look like changes to build scripts.
pub fn own_package() -> impl Iterator<Item = OsString> {
    let is_own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    std::env::vars_os().map(|(name, _)| name).filter(move |name| name.to_str().is_some_and(is_own))
}

/// The checkout that `folder` lies in: the nearest folder upwards with a `template.yaml` and a `Cargo.toml`.
#[must_use]
pub fn workspace(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|folder| folder.join("template.yaml").is_file() && folder.join("Cargo.toml").is_file())
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
