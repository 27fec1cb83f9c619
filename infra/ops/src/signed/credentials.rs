//! Credentials and region as the AWS command line finds them, by the program `aws-credentials` (infra/credentials).

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use aws_credential_types::Credentials;
use local::build::{self, Profile};
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
    let executables = build::build(workspace.root(), &[PROGRAM], Profile::Dev, &guard).await?;
    let executable = executables.get(PROGRAM).with_context(|| format!("cargo built no {PROGRAM}"))?;
    let program = Command::new(executable).args(region).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = program.await.with_context(|| format!("{PROGRAM} does not start"))?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    // The error of the parser would repeat parts of the document.
    let found: Found = serde_json::from_slice(&output.stdout).ok().with_context(|| format!("{PROGRAM} printed no credentials"))?;
    Ok((found.region, Credentials::new(found.access_key_id, found.secret_access_key, found.session_token, None, PROGRAM)))
}
