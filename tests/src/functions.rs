//! The function binaries, built once per test process with what `cargo dev` builds them with, and for benchmarks with what deploys them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use local::build::Profile;
use local::postgres::account;
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
            build::build(workspace.root(), &names, Profile::Dev, &guard()).await.unwrap()
        })
        .await
}

/// One function's executable.
pub async fn executable(function: &str) -> PathBuf {
    executables().await[function].clone()
}

/// A program of the workspace that is no function.
pub async fn program(name: &str) -> PathBuf {
    build::build(workspace().root(), &[name], Profile::Dev, &guard()).await.unwrap()[name].clone()
}

/// The executables of the functions that ask the API of RDS, with that part, which only AWS has.
pub async fn executables_with_rds_api() -> &'static BTreeMap<String, PathBuf> {
    static BUILT: OnceCell<BTreeMap<String, PathBuf>> = OnceCell::const_new();
    BUILT
        .get_or_init(|| async {
            let built = build::build(workspace().root(), &["health", "monitor"], Profile::DevWithAllFeatures, &guard()).await.unwrap();
            // The next build without that part puts its executables in the same place.
            let directory = account::temporary_directory("thaw-test-programs-").unwrap().keep();
            guard().remove_directory_at_end(&directory, &account::temporary_root().unwrap()).unwrap();
            let copied = built.into_iter().map(|(function, path)| {
                let copy = directory.join(&function);
                std::fs::copy(path, &copy).unwrap();
                (function, copy)
            });
            copied.collect()
        })
        .await
}

/// One function's executable as it is deployed.
pub async fn release_executable(function: &str) -> PathBuf {
    build::build(workspace().root(), &[function], Profile::Release, &guard()).await.unwrap()[function].clone()
}

/// The function that does what its event says, on AWS's own run loop: see `scripted_function.rs`.
#[must_use]
pub fn scripted() -> PathBuf {
    beside_the_tests("scripted-function")
}

/// The function that does what its query says, on that of the bundle: see `scripted_route.rs`.
#[must_use]
pub fn scripted_route() -> PathBuf {
    beside_the_tests("scripted-route")
}

/// The function that writes by key: see `keyed_function.rs`.
#[must_use]
pub fn keyed() -> PathBuf {
    beside_the_tests("keyed-function")
}

/// Cargo tells where a package's binaries are only to its integration tests, which lie beside them.
fn beside_the_tests(binary: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let directory = tests.ancestors().find(|folder| folder.join(binary).is_file());
    directory.unwrap_or_else(|| panic!("cargo builds {binary} with the tests")).join(binary)
}
