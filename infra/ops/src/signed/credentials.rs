//! Credentials and region as the AWS command line finds them, by the program `aws-credentials` (infra/credentials).

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aws_credential_types::Credentials;
use launch::Line;
use local::build::{self, Build, Profile};
use local::guard::Guard;
use local::workspace::Workspace;
use serde::Deserialize;
use tokio::process::Command;

const PROGRAM: &str = "aws-credentials";

/// What the program prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    region: String,
}

/// The region to sign for, which is `region` where that is known, and the credentials to sign with. Builds the program the first time.
///
/// # Errors
/// The program does not compile, or finds no region or credentials. No message holds a secret.
///
/// # Cancel safety
/// Dropping the future ends the build, or the program.
pub(super) async fn find(workspace: &Workspace, region: Option<&str>) -> Result<(String, Credentials)> {
    let guard = Guard::start()?;
    let mut build = Build::start(workspace.root(), &[PROGRAM], Profile::Dev, &guard)?;
    let (mut line, mut second) = (Line::new(), tokio::time::interval(Duration::from_secs(1)));
    while !build.has_ended() {
        if let Some(progress) = build.progress() {
            line.show(&format!("building {PROGRAM}, once: {progress}"));
        }
        tokio::select! {
            () = build.changed() => {}
            _ = second.tick() => {}
        }
    }
    line.clear();
    let ended = build.end().await;
    if ended.is_err() && !build.failed_plainly() {
        eprint!("{}", build.said());
    }
    let executable = ended?.remove(PROGRAM).with_context(|| build::missing(PROGRAM))?;
    let program = Command::new(executable).args(region).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = program.await.with_context(|| format!("{PROGRAM} does not start"))?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    // The error of the parser would repeat parts of the document.
    let found: Found = serde_json::from_slice(&output.stdout).ok().with_context(|| format!("{PROGRAM} printed no credentials"))?;
    Ok((found.region, Credentials::new(found.access_key_id, found.secret_access_key, found.session_token, None, PROGRAM)))
}
