//! The problems that the code can answer with: `type` without its folder, and status.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use shared::Error;

/// Every kind with its status.
pub(crate) fn problem_kinds() -> BTreeMap<String, u16> {
    let allowed: &[Method] = &[];
    let errors = [
        Error::malformed("x"),
        Error::Unauthenticated,
        Error::MethodNotAllowed { allowed },
        Error::Unavailable { resends: 0, reconnects: 0, source: None },
        Error::StatementTimeout(sqlx::Error::RowNotFound),
        Error::internal("x"),
    ];
    let kinds: BTreeMap<_, _> = errors.iter().map(|error| (error.kind().to_owned(), error.status().as_u16())).collect();
    // None is forgotten above.
    let source = std::fs::read_to_string(root().join("shared/src/error.rs")).unwrap();
    let names = source.split_once("pub fn kind(").unwrap().1.split_once("\n    }\n").unwrap().0;
    assert!(names.split('"').skip(1).step_by(2).eq(errors.iter().map(Error::kind)), "another kind of error: {names}");
    kinds.into_iter().chain(refusals()).collect()
}

/// The constants of `shared` and of the functions, which no test can import.
fn refusals() -> BTreeMap<String, u16> {
    let mut kinds = BTreeMap::new();
    for source in rust_sources() {
        let text = std::fs::read_to_string(&source).unwrap();
        for constant in text.split("Kind { status: StatusCode::").skip(1) {
            let (status, rest) = constant.split_once(", name: \"").unwrap();
            let (name, _) = rest.split_once('"').unwrap();
            let before = kinds.insert(name.to_owned(), status_of(status));
            assert_eq!(before, None, "{name} stands twice");
        }
    }
    assert!(kinds.len() >= 11, "{kinds:?}");
    kinds
}

/// The number of a status by its name in Rust.
fn status_of(name: &str) -> u16 {
    let reason = name.replace('_', " ");
    let named = |status: &u16| StatusCode::from_u16(*status).unwrap().canonical_reason().is_some_and(|known| known.to_ascii_uppercase() == reason);
    (400..600).find(named).unwrap_or_else(|| panic!("no status is called {name}"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The sources of shared and of the functions.
fn rust_sources() -> Vec<PathBuf> {
    let functions = std::fs::read_dir(root().join("functions")).unwrap().map(|entry| entry.unwrap().path().join("src"));
    let folders = functions.chain([root().join("shared/src")]);
    folders.flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())).filter(|path| path.is_file()).collect()
}
