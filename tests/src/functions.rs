//! The function binaries, built once per test process with what `cargo dev` builds them with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use local::{build, stack};
use tokio::sync::OnceCell;

use crate::server::{guard, workspace};

/// The executables of all functions of the template, and of the command line.
pub(crate) async fn executables() -> &'static BTreeMap<String, PathBuf> {
    static BUILT: OnceCell<BTreeMap<String, PathBuf>> = OnceCell::const_new();
    BUILT
        .get_or_init(|| async {
            let workspace = workspace();
            let names = stack::functions(&workspace.template()).unwrap();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            build::build(workspace.root(), &names, &guard()).await.unwrap()
        })
        .await
}

/// One function's executable.
pub async fn executable(function: &str) -> PathBuf {
    executables().await[function].clone()
}

/// The function that does what its event says: see `scripted_function.rs`.
#[must_use]
pub fn scripted() -> &'static Path {
    // Cargo tells this only to the integration tests, which lie beside the binary.
    static FOUND: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    FOUND.get_or_init(|| {
        let tests = std::env::current_exe().unwrap();
        let directory = tests.ancestors().find(|folder| folder.join("scripted-function").is_file());
        directory.expect("cargo builds scripted-function with the tests").join("scripted-function")
    })
}
