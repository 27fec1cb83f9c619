//! `cargo health`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use local::workspace::Workspace;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::output;
use crate::signed::{Access, Answer, Api, TargetArguments};

const PATH: &str = "/api/debug/db-health";
const DEEP_PATH: &str = "/api/debug/db-health/deep";

const AFTER_HELP: &str = "\
The exit code is 0 where all is well (pass), 1 where somebody should look (warn), and 2 where requests are not served (fail) or nobody answers. \
The deep check is signed as cargo ops reset is.

Examples:
  cargo health
  cargo health --watch
  cargo health --deep --json
  cargo health --url https://abc123.execute-api.eu-central-1.amazonaws.com || alert";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    /// The state of the server, too
    #[arg(long)]
    deep: bool,
    /// Again and again, a line each time, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2, requires = "watch", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval_s: u64,
    /// As the JSON document that the API answers, on one line
    #[arg(long)]
    json: bool,
}

/// How it is, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Pass,
    Warn,
    Fail,
}

/// As draft-inadarei-api-health-check-06 has it.
#[derive(Debug, Deserialize)]
struct Health {
    status: Status,
    #[serde(default)]
    time: String,
    checks: BTreeMap<String, Vec<Check>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    status: Status,
    #[serde(default)]
    observed_value: Value,
    #[serde(default)]
    observed_unit: String,
    #[serde(default)]
    output: String,
}

pub(crate) async fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    match look_on(workspace, arguments).await {
        Ok(status) => Ok(status.exit_code()),
        Err(error) if output::is_closed(&error) => Err(error),
        // Who cannot be asked does not serve either.
        Err(error) => {
            output::failure(&error);
            Ok(Status::Fail.exit_code())
        }
    }
}

async fn look_on(workspace: &Workspace, arguments: &Arguments) -> Result<Status> {
    let access = if arguments.deep { Access::Signed } else { Access::Public };
    let api = Api::open(workspace, &arguments.target, access).await?;
    if !arguments.watch {
        return look(&api, arguments).await;
    }
    // One for all looks: a signal in the middle of one must not be missed.
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut last = Status::Fail;
    let mut ticks = tokio::time::interval(Duration::from_secs(arguments.interval_s));
    loop {
        let next = async {
            ticks.tick().await;
            look(&api, arguments).await
        };
        last = tokio::select! {
            _ = interrupt.recv() => return Ok(last),
            looked = next => match looked {
                Ok(status) => status,
                Err(error) if output::is_closed(&error) => return Err(error),
                Err(error) => {
                    output::failure(&error);
                    Status::Fail
                }
            },
        };
    }
}

async fn look(api: &Api, arguments: &Arguments) -> Result<Status> {
    let answer = api.send(Method::GET, if arguments.deep { DEEP_PATH } else { PATH }, None).await?;
    let health = read(&answer)?;
    let paint = Paint(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()));
    let text = match (arguments.json, arguments.watch) {
        (true, _) => answer.text(),
        (false, true) => line(&health, paint),
        (false, false) => lines(&health, api.shown(), paint),
    };
    output::line(&text)?;
    Ok(health.status)
}

/// A report of any status; anything else is what went wrong.
fn read(answer: &Answer) -> Result<Health> {
    serde_json::from_slice(&answer.body).map_err(|_| answer.problem())
}

/// The whole on the first line, and a line for each check.
fn lines(health: &Health, url: &str, paint: Paint) -> String {
    let mut text = format!("{} {url}, {}", paint.status(health.status), output::plain(&health.time));
    let width = health.checks.keys().map(|name| name.chars().count()).max().unwrap_or_default();
    for (name, checks) in &health.checks {
        for check in checks {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{} {:<width$}  {}", paint.status(check.status), output::plain(name), check.describe());
        }
    }
    text
}

/// The whole, how long the question took, and what is not well.
fn line(health: &Health, paint: Paint) -> String {
    let mut text = format!("{} {}", output::plain(&health.time), paint.status(health.status));
    for (name, check) in health.checks.iter().flat_map(|(name, checks)| checks.iter().map(move |check| (name, check))) {
        if check.status != Status::Pass || name == "database:roundTripTime" {
            let _ = write!(text, "  {}: {}", output::plain(name), check.describe());
        }
    }
    text
}

impl Check {
    fn describe(&self) -> String {
        let value = match &self.observed_value {
            Value::Null => String::new(),
            Value::String(text) => output::plain(text),
            other => output::plain(&other.to_string()),
        };
        let parts = [value, output::plain(&self.observed_unit), output::plain(&self.output)];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

impl Status {
    fn exit_code(self) -> ExitCode {
        match self {
            Self::Pass => ExitCode::SUCCESS,
            Self::Warn => ExitCode::from(1),
            Self::Fail => ExitCode::from(2),
        }
    }
}

/// Whether to colour.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    /// The word stays the same: colour alone says nothing.
    fn status(self, status: Status) -> String {
        let (word, colour) = match status {
            Status::Pass => ("pass", "32"),
            Status::Warn => ("warn", "33"),
            Status::Fail => ("fail", "31"),
        };
        if self.0 { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn health() -> Health {
        serde_json::from_value(json!({
            "status": "warn",
            "version": "1",
            "time": "2026-11-23T09:00:00Z",
            "checks": {
                "database:readOnly": [{ "status": "warn", "observedValue": true, "output": "The server takes no writes.\u{1b}[2J" }],
                "database:roundTripTime": [{ "status": "pass", "observedValue": 0.25, "observedUnit": "ms" }],
                "database:serverVersion": [{ "status": "pass", "observedValue": "15.18" }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn each_check_is_a_line_and_nothing_of_it_a_command_of_the_terminal() {
        let expected = "\
warn http://127.0.0.1:3000, 2026-11-23T09:00:00Z
warn database:readOnly       true The server takes no writes.\\u{1b}[2J
pass database:roundTripTime  0.25 ms
pass database:serverVersion  15.18";
        assert_eq!(lines(&health(), "http://127.0.0.1:3000", Paint(false)), expected);
        assert!(lines(&health(), "", Paint(true)).starts_with("\u{1b}[33mwarn\u{1b}[0m "));
    }

    #[test]
    fn a_look_is_one_line_with_what_is_not_well() {
        let expected = "2026-11-23T09:00:00Z warn  database:readOnly: true The server takes no writes.\\u{1b}[2J  database:roundTripTime: 0.25 ms";
        assert_eq!(line(&health(), Paint(false)), expected);
    }
}
