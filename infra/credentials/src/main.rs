//! Prints AWS credentials as one JSON document, and the region to sign for: `aws-credentials [REGION]`.
//!
//! A program of its own, because it needs the AWS SDK's search for credentials, which takes a minute to compile, and only commands with
//! `--url https://…` need it. `cargo ops` builds it when such a command is called for the first time.
//!
//! The document has the keys of `credential_process` (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>),
//! and `Region`. It holds secrets: it belongs into a pipe.

mod search;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

fn main() -> ExitCode {
    match print() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print() -> Result<()> {
    let region = std::env::args().nth(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("the async runtime did not start")?;
    let (region, credentials) = runtime.block_on(search::sign_in(region.as_deref()))?;
    let expires =
        credentials.expiry().map(|at| OffsetDateTime::from(at).format(&Rfc3339)).transpose().context("the credentials have no usable end")?;
    let document = json!({
        "Version": 1,
        "AccessKeyId": credentials.access_key_id(),
        "SecretAccessKey": credentials.secret_access_key(),
        "SessionToken": credentials.session_token(),
        "Expiration": expires,
        "Region": region,
    });
    println!("{document}");
    Ok(())
}
