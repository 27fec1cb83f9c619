//! `cargo ops token`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use local::issuer::Issuer;
use local::running;
use local::stack::{AUDIENCE, TOKEN_LIFETIME};
use local::workspace::Workspace;
use serde_json::json;

use crate::output;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo ops token user-1\n  curl -H \"Authorization: Bearer $(cargo ops token user-1)\" \\\n    http://127.0.0.1:3000/api/models/user-models"
)]
pub(crate) struct Arguments {
    /// Whose token: its `sub` claim. The seed has user-1, user-2, …
    subject: String,
    /// Seconds until it expires
    #[arg(long, value_name = "SECONDS", default_value_t = TOKEN_LIFETIME.as_secs(), value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    lifetime_s: u64,
    /// As one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let running = running::find(&workspace.state())?.context("no local API runs on this checkout: start it with cargo dev")?;
    let issuer = Issuer::load_or_create(&issuer_directory(workspace), running.control_url)?;
    let token = issuer.token(&arguments.subject, AUDIENCE, Duration::from_secs(arguments.lifetime_s))?;
    output::document_or(arguments.json, &json!({ "token": token, "subject": arguments.subject, "lifetime_s": arguments.lifetime_s }), &token)
}

/// Where the local issuer's key lies.
pub(crate) fn issuer_directory(workspace: &Workspace) -> std::path::PathBuf {
    workspace.state().join("issuer")
}
