//! What the functions are built of when they are deployed, which is other than what `cargo dev` builds.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// Of the laptop: the local cloud, its tools, and a second TLS library.
const LAPTOP_ONLY: [&str; 9] = ["aws-config", "aws-lc-rs", "aws-lc-sys", "axum", "clap", "local", "rcgen", "rsa", "tests"];

fn cargo(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(env!("CARGO")).args(arguments).arg("--locked").current_dir(root).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn metadata() -> Value {
    serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])).unwrap()
}

/// The functions' packages.
fn functions() -> Vec<String> {
    let metadata = metadata();
    let is_function = |package: &&Value| package["manifest_path"].as_str().unwrap().contains("/functions/");
    let packages = metadata["packages"].as_array().unwrap().iter().filter(is_function);
    packages.map(|package| package["name"].as_str().unwrap().to_owned()).collect()
}

/// `cargo lambda`, and so `sam build`, names the binary alone, for which cargo would turn on the features of the whole workspace.
#[test]
fn functions_are_deployed_with_the_features_that_they_have_among_themselves() {
    let functions = functions();
    assert!(functions.len() >= 6);
    assert_eq!(metadata()["metadata"]["lambda"]["build"], json!({ "packages": functions, "all_features": true }), "in the root's Cargo.toml");
}

#[test]
fn nothing_of_the_laptop_is_deployed() {
    for name in functions() {
        let tree =
            cargo(&["tree", "--package", &name, "--all-features", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p} {f}"]);
        let crates: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert!(crates.contains("sqlx") && crates.contains("shared"), "{tree}");
        let found: Vec<_> = LAPTOP_ONLY.iter().filter(|name| crates.contains(*name)).collect();
        assert!(found.is_empty(), "{name} is deployed with {found:?}");
        assert_eq!(crates.contains("aws-sdk-rds"), ["health", "monitor"].contains(&&*name), "{name} and the API of RDS");
        let tokio = tree.lines().find(|line| line.starts_with("tokio v")).unwrap();
        assert!(!tokio.contains("test-util"), "{name}: {tokio}");
    }
}
