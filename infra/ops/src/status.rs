//! `cargo ops status`.

use anyhow::Result;
use clap::Args;
use local::control::SANDBOXES_PATH;
use local::running::{self, Running};
use local::sandbox::{Condition, SandboxReport};
use local::workspace::Workspace;
use serde::Serialize;

use crate::{control_client, output};

#[derive(Args)]
#[command(after_help = "Examples:\n  cargo ops status\n  cargo ops status --json")]
pub(crate) struct Arguments {
    /// As one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    running: Option<Running>,
    sandboxes: Vec<SandboxReport>,
}

pub(crate) async fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let running = running::find(&workspace.state())?;
    let sandboxes = match &running {
        Some(running) => control_client::get(&running.control_url, SANDBOXES_PATH).await?,
        None => Vec::new(),
    };
    let status = Status { running, sandboxes };
    let text = if arguments.json { serde_json::to_string_pretty(&status)? } else { describe(&status) };
    output::line(&text)
}

fn describe(status: &Status) -> String {
    let Some(running) = &status.running else {
        return "nothing runs on this checkout: start it with cargo dev".to_owned();
    };
    let mut lines = vec![
        format!("api        {} (pid {})", running.api_url, running.pid),
        format!("issuer     {}", running.control_url),
        format!("database   {}", running.database_url),
    ];
    if let Some(directory) = &running.data_directory {
        lines.push(format!("data       {}", directory.display()));
    }
    if status.sandboxes.is_empty() {
        lines.push("sandboxes  none yet: they start with the first request".to_owned());
        return lines.join("\n");
    }
    lines.push(format!("\n{:<20} {:>8}  {:<9} {:>11} {:>7}", "FUNCTION", "PID", "CONDITION", "INVOCATIONS", "THAWS"));
    for sandbox in &status.sandboxes {
        let condition = match sandbox.condition {
            Condition::Cold => "cold",
            Condition::Warm => "warm",
            Condition::Frozen => "frozen",
            Condition::Idle => "idle",
            Condition::Ended => "ended",
        };
        lines.push(format!("{:<20} {:>8}  {condition:<9} {:>11} {:>7}", sandbox.function, sandbox.pid, sandbox.invocations, sandbox.thaws));
    }
    lines.join("\n")
}
