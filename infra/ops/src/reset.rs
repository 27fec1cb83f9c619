//! `cargo ops reset`.

use std::process::ExitCode;

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use local::workspace::Workspace;
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use crate::signed::{Access, Api, TargetArguments};
use crate::{facts, output};

/// The route.
const PATH: &str = "/api/debug/reset-db";

const AFTER_HELP: &str = "\
The request is signed with AWS credentials (Signature Version 4). The running cargo dev of this checkout is asked with credentials that it \
made at its start. A deployed API is asked with those that the AWS command line would take (AWS_ACCESS_KEY_ID and its siblings, AWS_PROFILE, \
SSO, a role), which need execute-api:Invoke on POST /api/debug/reset-db. The exit code is 0 where it was reset, and 1 otherwise.

Examples:
  cargo ops reset --scope environment --reason \"stale plans after a migration\"
  cargo ops reset --scope fleet --reason \"failover drill\" --include-busy --json
  AWS_PROFILE=production cargo ops reset --scope fleet --reason \"leaked sessions\" \\
    --url https://abc123.execute-api.eu-central-1.amazonaws.com
  cargo ops reset --scope fleet --reason \"drill\" --url https://api.example.com --region eu-central-1";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Whose database sessions are given up
    #[arg(long, value_enum)]
    scope: Scope,
    /// Why, for the log
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    reason: String,
    /// Also those that are at work
    #[arg(long)]
    include_busy: bool,
    #[command(flatten)]
    target: TargetArguments,
    /// As the JSON document that the API answers
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    /// Of the one execution environment that answers
    Environment,
    /// Of all of them
    Fleet,
}

pub(crate) async fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let api = Api::open(workspace, &arguments.target, Access::Signed).await?;
    let mut body = json!({ "scope": arguments.scope, "reason": arguments.reason });
    if arguments.include_busy {
        body["include_busy"] = true.into();
    }
    let answer = api.send(Method::POST, PATH, Some(&body)).await?;
    if arguments.json && answer.is_json() {
        // Also where it was refused: a program reads why.
        output::line(&answer.text())?;
    }
    let document = answer.json()?;
    if !arguments.json {
        output::line(&facts::describe(&document))?;
    }
    Ok(ExitCode::SUCCESS)
}
