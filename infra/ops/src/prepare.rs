//! `cargo ops prepare`: what the compiler knows of the database.
//!
//! The macros of sqlx describe every query in `.sqlx`, which is committed, so that nobody needs a database to compile. This does what
//! `cargo sqlx prepare --workspace` does, with a database of its own that is made for it from the migrations.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use local::address::Address;
use local::guard::Guard;
use local::postgres::{self, Cluster, Durability, Settings, account};
use local::workspace::Workspace;
use local::{migrate, provision, stack};
use serde_json::json;
use tokio::process::Command;

use crate::output;

#[derive(Args)]
#[command(after_help = "Examples:\n  cargo ops prepare\n  cargo ops prepare --check")]
pub(crate) struct Arguments {
    /// Leave .sqlx as it is; fail if .sqlx is not what the queries and the migrations say
    #[arg(long)]
    check: bool,
    /// As one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let guard = Guard::start()?;
    let scratch = account::temporary_directory("thaw-prepare-")?;
    let binaries = postgres::provide(&guard, &workspace.postgres_cache(), |line| eprintln!("{line}")).await?;
    let mut cluster = Cluster::create(&guard, &binaries, &scratch.path().join("postgres"), Settings::new(Durability::Disposable)).await?;
    cluster.start().await?;
    let address = Address::parse(&cluster.superuser_url("prepare")?)?;
    provision::create(&address, false).await?;
    migrate::migrate(&address.options()?).await?;

    let fresh = scratch.path().join("sqlx");
    std::fs::create_dir(&fresh).context("cannot make a folder for the descriptions")?;
    describe(workspace, &cluster.superuser_url("prepare")?, &fresh).await?;
    let committed = workspace.root().join(".sqlx");
    let (new, old) = (read(&fresh)?, read(&committed)?);
    ensure!(!new.is_empty(), "no query was found to describe");
    if arguments.check {
        ensure!(new == old, ".sqlx is not what the queries and the migrations say: run cargo ops prepare, and commit it");
        return output::document_or(arguments.json, &json!({ "queries": new.len() }), &format!(".sqlx is up to date: {} queries", new.len()));
    }
    std::fs::create_dir_all(&committed).context("cannot make .sqlx")?;
    for (name, _) in &old {
        std::fs::remove_file(committed.join(name)).with_context(|| format!("cannot remove .sqlx/{name}"))?;
    }
    for (name, text) in &new {
        std::fs::write(committed.join(name), text).with_context(|| format!("cannot write .sqlx/{name}"))?;
    }
    output::document_or(arguments.json, &json!({ "queries": new.len() }), &format!(".sqlx holds {} queries", new.len()))
}

/// Compiles the functions against the database. Their sources are touched first: the macros write only where the compiler runs.
async fn describe(workspace: &Workspace, url: &str, directory: &Path) -> Result<()> {
    let functions = stack::functions(&workspace.template())?;
    for function in &functions {
        let main = workspace.root().join("functions").join(function).join("src/main.rs");
        let touched = File::options().append(true).open(&main).and_then(|file| file.set_modified(SystemTime::now()));
        touched.with_context(|| format!("cannot touch {}", main.display()))?;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(workspace.root())
        .arg("check")
        .args(functions.iter().flat_map(|function| ["--bin", function]))
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", directory)
        .env("DATABASE_URL", url)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .context("cargo did not start")?;
    ensure!(status.success(), "the functions do not compile against the migrations (cargo says why above)");
    Ok(())
}

fn read(directory: &Path) -> Result<Vec<(String, String)>> {
    let failed = || format!("cannot read {}", directory.display());
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(failed)? {
        files.push(entry.with_context(failed)?.path());
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let described = files.iter().map(|file| {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok((name, std::fs::read_to_string(file).with_context(failed)?))
    });
    described.collect()
}
