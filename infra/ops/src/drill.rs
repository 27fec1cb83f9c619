//! `cargo ops drill`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use clap::Args;
use clap::builder::PossibleValuesParser;
use http::Request;
use local::dashboard::{DRILLS_PATH, TOKEN_HEADER};
use local::drill::Drill;
use local::workspace::Workspace;
use local::{loopback, running};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::output;

/// A drill ends once the request that it sent is answered, for which the gateway gives 30 s.
const PATIENCE: Duration = Duration::from_secs(60);

const AFTER_HELP: &str = "\
The fault strikes the running cargo dev, and ends by itself. A request is sent in the midst of it, and the exit code is 0 if that was served.

With --json there is one document with the keys drill, done, fault_ms, healed_ms and witness (status, took_ms).

Examples:
  cargo ops drill --list
  cargo ops drill stop
  cargo ops drill terminate --json";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Which fault
    #[arg(required_unless_present = "list", value_parser = PossibleValuesParser::new(Drill::ALL.map(Drill::name)))]
    fault: Option<String>,
    /// Tell which faults there are
    #[arg(long, conflicts_with = "fault")]
    list: bool,
    /// As one JSON document
    #[arg(long)]
    json: bool,
}

/// What `cargo dev` tells of a drill.
#[derive(Deserialize)]
struct Told {
    done: String,
    fault_ms: u64,
    healed_ms: u64,
    witness: Option<Witness>,
}

#[derive(Deserialize)]
struct Witness {
    status: u16,
    took_ms: u64,
}

pub(crate) async fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let Some(fault) = &arguments.fault else {
        list(arguments.json)?;
        return Ok(ExitCode::SUCCESS);
    };
    let (running, token) =
        running::find_with_dashboard_token(&workspace.state())?.context("no local API runs on this checkout: start it with cargo dev")?;
    let request = Request::post(format!("{DRILLS_PATH}/{fault}")).header(TOKEN_HEADER, token);
    let answer = loopback::send(&running.api_url, request, Bytes::new(), PATIENCE).await.context("cannot ask cargo dev")?;
    let document: Value = serde_json::from_slice(&answer.body).context("cargo dev answers what is no JSON")?;
    if answer.status != 200 {
        bail!("{}", document["message"].as_str().unwrap_or("cargo dev refuses"));
    }
    let told = Told::deserialize(&document).context("cargo dev tells nothing of the drill")?;
    output::line(&if arguments.json { document.to_string() } else { describe(&told) })?;
    let served = told.witness.is_none_or(|witness| witness.status < 500);
    Ok(if served { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(json: bool) -> Result<()> {
    let drills = Drill::ALL.map(|drill| json!({ "drill": drill.name(), "title": drill.title(), "description": drill.description() }));
    if json {
        return output::line(&Value::from(drills.to_vec()).to_string());
    }
    for drill in Drill::ALL {
        output::line(&format!("{:<10} {}", drill.name(), drill.description()))?;
    }
    Ok(())
}

fn describe(told: &Told) -> String {
    let Told { done, fault_ms, healed_ms, witness } = told;
    let seconds = |ms: u64| format!("{:.2} s", Duration::from_millis(ms).as_secs_f64());
    let mut text = format!("{done}\nfault      {}\nhealed     {} after it", seconds(*fault_ms), seconds(*healed_ms));
    if let Some(Witness { status, took_ms }) = witness {
        text += &format!("\nrequest    sent amid it: {status} in {}", seconds(*took_ms));
    }
    text
}
