//! `cargo ops sam-test`: the bundle in AWS's own local tools, SAM CLI and its containers, against a real Postgres.

mod api;
mod engine;
mod ground;
mod sam;
mod samples;

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use local::guard::Guard;
use local::stack;
use local::template::Template;
use local::workspace::Workspace;
use serde::Serialize;
use serde_json::json;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::output;
use api::Asked;
use engine::Engine;
use ground::Ground;
use sam::Sam;
use samples::{Sample, Turn};

/// So many of the last lines of a log are shown where something is not as it should be.
const LOG_LINES: usize = 20;

const AFTER_HELP: &str = "\
It runs sam build for this machine's processor, sam local invoke for every function with every event of infra/events, and sam local start-api \
with a request to every route. Needed are SAM CLI, cargo-lambda and a Docker engine on this machine (Linux). The database is a server of its \
own, behind the stand-in for RDS Proxy: the functions in the containers sign in by IAM over TLS, and migrate brings the schema up first.

SAM CLI has no authorizers for JWT and IAM. So routes with one have to answer 401 or 403 to start-api, and open ones 200; invoke reaches the \
others, with claims in the event.

The exit code is 0 where all was as expected. With --json there is one document with the keys events, routes, containers (how many start-api \
had, one for each function with a route) and containers_left.

Examples:
  cargo ops sam-test
  cargo ops sam-test --json > sam-test.json";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// As one JSON document
    #[arg(long)]
    json: bool,
}

/// An invocation and what it came to.
#[derive(Serialize)]
struct Invocation {
    event: String,
    function: String,
    good: bool,
    answer: String,
    took_ms: u128,
}

/// One run.
struct Run<'a> {
    sam: Sam<'a>,
    engine: Engine,
    ground: Ground,
    template: Template,
    /// The file for `--env-vars`.
    variables: PathBuf,
    says: Says,
}

/// Whether lines are printed on the way.
#[derive(Clone, Copy)]
struct Says {
    json: bool,
}

impl Says {
    fn line(self, text: &str) -> Result<()> {
        if self.json { Ok(()) } else { output::line(text) }
    }
}

pub(crate) async fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    // A program that is started where SIGINT is ignored, as in the background of a script, ignores it, too; not where it is listened to.
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    output::start_logging();
    let guard = Guard::start()?;
    // What a run had started by then ends as it is dropped, or by the guard.
    let ended = tokio::select! {
        ended = test(workspace, arguments, &guard) => ended?,
        _ = interrupt.recv() => ExitCode::from(130),
        _ = terminate.recv() => ExitCode::from(143),
    };
    guard.finish()?;
    Ok(ended)
}

async fn test(workspace: &Workspace, arguments: &Arguments, guard: &Guard) -> Result<ExitCode> {
    check_programs().await?;
    let architecture = Sam::architecture()?;
    let engine = Engine::find(architecture).await?;
    let sam = Sam { workspace, guard, architecture };
    let template = stack::template(&workspace.template())?;
    let samples = samples::read(&workspace.root().join("infra/events"), &template)?;

    let _alone = alone(workspace)?;
    let says = Says { json: arguments.json };
    says.line("build      sam build")?;
    sam.build().await?;
    let ground = Ground::prepare(workspace, engine.address, guard).await?;
    let variables = ground.write_variables(&template, &sam.directory())?;
    let run = Run { sam, engine, ground, template, variables, says };
    let invocations = run.invoke_all(&samples, workspace).await?;
    let (asked, containers) = run.ask_all().await?;

    let left = run.engine.new_containers().await?;
    let all = invocations.iter().all(|invocation| invocation.good) && asked.iter().all(Asked::is_good);
    let good = all && containers == run.routed_functions() && left == 0;
    if arguments.json {
        let document = json!({ "events": invocations, "routes": asked, "containers": containers, "containers_left": left });
        output::line(&document.to_string())?;
    }
    let verdict = if good { "all as expected" } else { "NOT as expected" };
    says.line(&format!("{} events, {} requests, {left} containers left behind: {verdict}", invocations.len(), asked.len()))?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Run<'_> {
    async fn invoke_all(&self, samples: &[Sample], workspace: &Workspace) -> Result<Vec<Invocation>> {
        let mut invocations = Vec::new();
        let mut filled = false;
        for sample in samples {
            if !filled && sample.turn() > Turn::Deployment {
                self.ground.fill(workspace).await?;
                filled = true;
            }
            let file = self.ground.write_event(&sample.name, &sample.event)?;
            let invoked = self.sam.invoke(&sample.function.logical_id, &file, &self.variables).await?;
            let judged = sample.judge(&invoked.answer, &self.ground.take_answers());
            let good = judged.is_ok();
            let answer = judged.unwrap_or_else(|error| format!("{error:#}"));
            let seconds = invoked.took.as_secs_f64();
            self.says.line(&format!("invoke     {:<28} {:<18} {seconds:>4.1} s  {answer}", sample.name, sample.function.name))?;
            if !good {
                eprintln!("{}", last_lines(&invoked.log));
            }
            let (event, function) = (sample.name.clone(), sample.function.name.clone());
            invocations.push(Invocation { event, function, good, answer, took_ms: invoked.took.as_millis() });
        }
        Ok(invocations)
    }

    /// What each route answered, and in how many containers: one of a function that is asked again serves again.
    async fn ask_all(&self) -> Result<(Vec<Asked>, usize)> {
        let log = self.ground.log("start-api.log");
        let start_api = self.sam.start_api(&self.variables, &log).await?;
        self.says.line(&format!("start-api  {}", start_api.url))?;
        let asked = api::ask_all(&start_api.url, &self.template.routes).await;
        let containers = self.engine.new_containers().await;
        start_api.stop().await?;
        let shown = || last_lines(&std::fs::read_to_string(&log).unwrap_or_default());
        let asked = asked.inspect_err(|_| eprintln!("{}", shown()))?;
        for asked in &asked {
            let wanted = if asked.is_good() { String::new() } else { format!("  expected {:?}", asked.expected) };
            self.says.line(&format!("           {:<6} {:<66} {}{wanted}", asked.method, asked.path, asked.status))?;
        }
        if !asked.iter().all(Asked::is_good) {
            eprintln!("{}", shown());
        }
        let containers = containers?;
        self.says.line(&format!("           {containers} containers for {} functions", self.routed_functions()))?;
        Ok((asked, containers))
    }

    /// Those behind routes.
    fn routed_functions(&self) -> usize {
        self.template.routes.iter().map(|route| &route.function).collect::<BTreeSet<_>>().len()
    }
}

fn last_lines(log: &str) -> String {
    let lines: Vec<String> = log.lines().map(output::plain).collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

/// The built bundle is one run's until this is dropped.
fn alone(workspace: &Workspace) -> Result<File> {
    let folder = workspace.root().join("target");
    let file = std::fs::create_dir_all(&folder).and_then(|()| File::create(folder.join("sam-test.lock")));
    let file = file.with_context(|| format!("cannot write in {}", folder.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another cargo ops sam-test runs on this checkout: wait until it has ended"),
        Err(TryLockError::Error(error)) => Err(error).context("cannot lock target/sam-test.lock"),
    }
}

/// All that is missing at once.
async fn check_programs() -> Result<()> {
    let programs = [
        ("sam", "SAM CLI (sam): pip install aws-sam-cli"),
        ("cargo-lambda", "cargo-lambda: pip install cargo-lambda, which brings the linker, too"),
        ("docker", "Docker (docker): its engine and command line"),
    ];
    let mut missing = Vec::new();
    for (program, what) in programs {
        let started = Command::new(program).arg("--help").stdin(std::process::Stdio::null()).kill_on_drop(true).output().await;
        match started {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => missing.push(what),
            started => drop(started.with_context(|| format!("{program} did not start"))?),
        }
    }
    if !missing.is_empty() {
        bail!("not on the PATH: {}", missing.join("; "));
    }
    Ok(())
}
