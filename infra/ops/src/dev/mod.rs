//! `cargo dev`: everything, running, until somebody stops it.

mod postgres;
mod screen;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use local::address::Address;
use local::build::{Build, Profile};
use local::guard::Guard;
use local::running::{Access, Claim, DatabaseAccess, Running};
use local::stack::{self, Plan, Stack};
use local::workspace::Workspace;
use local::{cloud, provision, proxy};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::signed::Api;
use crate::{monitor, output, token};
use postgres::Postgres;

/// Pages of any local development server: theirs is plain HTTP, and its port anybody's choice.
const CORS_ALLOWED_ORIGINS: &str = "http://*";

/// Runs the bundle on this machine.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo dev\n  cargo dev --port 8080\n  cargo dev --fresh\n  cargo dev --database-url postgres://me:secret@127.0.0.1:5432/thaw"
)]
pub(crate) struct Arguments {
    /// The API's port on 127.0.0.1
    #[arg(long, value_name = "N", default_value_t = 3000)]
    port: u16,
    /// A Postgres of your own, with a user that may create roles; else DATABASE_URL, else one that is found or fetched
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Start from an empty database; refused for one that thaw did not create
    #[arg(long)]
    fresh: bool,
    /// Show what cargo says while it compiles
    #[arg(long, short)]
    verbose: bool,
    /// The process id of a cargo that builds the functions, and the folder of its output
    #[arg(long, hide = true, requires = "build_output")]
    build: Option<u32>,
    #[arg(long, hide = true, requires = "build")]
    build_output: Option<PathBuf>,
    /// How much of its diagnostics was printed
    #[arg(long, hide = true, requires = "build", default_value_t = 0)]
    build_shown_bytes: usize,
}

pub(crate) async fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    output::start_logging();
    let guard = Guard::start()?;
    let stop = async {
        tokio::select! {
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = terminate.recv() => SignalKind::terminate(),
        }
    };
    tokio::pin!(stop);
    let claim = Claim::take(&workspace.state())?;
    // Whatever is being done is dropped by a signal; what it had started, the guard ends.
    let mut up = tokio::select! {
        started = start(workspace, arguments, &guard) => started?,
        signal = &mut stop => {
            screen::stopping(signal);
            guard.finish()?;
            return Ok(interrupted(signal));
        }
    };
    claim.publish(&up.running, up.access())?;
    screen::functions(&up.functions, &up.build);
    screen::summary(&up.stack, &up.running)?;
    let mut is_ready = false;
    let served = async {
        tokio::select! {
            built = shown(&mut up.build, arguments.verbose) => built?,
            error = up.postgres.lost() => return Err(error),
        }
        if let Some(function) = up.functions.iter().find(|function| !up.build.has_built(function)) {
            bail!("{}", local::build::missing(function));
        }
        screen::ready(&up.stack);
        is_ready = true;
        Err(up.postgres.lost().await)
    };
    let ended = tokio::select! {
        signal = &mut stop => {
            screen::stopping(signal);
            Ok(Some(signal))
        }
        ended = served => ended,
    };
    claim.withdraw();
    up.stack.shut_down().await;
    up.postgres.stop().await?;
    drop(claim);
    guard.finish()?;
    Ok(match ended? {
        Some(signal) if !is_ready => interrupted(signal),
        _ => ExitCode::SUCCESS,
    })
}

/// The exit code of a start that a signal ended before `ready`: callers wait for that line.
fn interrupted(signal: SignalKind) -> ExitCode {
    ExitCode::from(128 + u8::try_from(signal.as_raw_value()).unwrap_or_default())
}

struct Up {
    build: Build,
    functions: Vec<String>,
    stack: Stack,
    postgres: Postgres,
    running: Running,
}

impl Up {
    /// What other commands of this user may do here.
    fn access(&self) -> Access<'_> {
        let database = DatabaseAccess { admin_url: self.postgres.address.url(), proxy: self.stack.proxy.as_ref().map(|proxy| proxy.environment()) };
        Access { operator: &self.stack.operator, dashboard_token: self.stack.dashboard.as_ref().map(|dashboard| dashboard.token()), database }
    }
}

async fn start(workspace: &Workspace, arguments: &Arguments, guard: &Guard) -> Result<Up> {
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await {
        Ok(listener) => listener,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("{}", launch::port_is_taken(arguments.port))
        }
        Err(error) => return Err(error).with_context(|| format!("cannot listen on port {}", arguments.port)),
    };
    let functions = stack::functions(&workspace.template())?;
    let mut build = match (arguments.build, &arguments.build_output) {
        (Some(cargo), Some(output)) => Build::adopt(cargo, output, arguments.build_shown_bytes, guard)?,
        _ => Build::start(workspace.root(), &functions.iter().map(String::as_str).collect::<Vec<_>>(), Profile::Dev, guard)?,
    };
    let database = async {
        let postgres = Postgres::provide(workspace, named(arguments)?, guard).await?;
        provision::create(&postgres.address, arguments.fresh).await?;
        let provisioned = provision::provision(workspace, &postgres.address, &mut |progress| screen::seeding(Some(progress))).await?;
        screen::seeding(None);
        screen::database(&postgres.address, &provisioned);
        anyhow::Ok((postgres, provisioned))
    };
    // Both run at the same time. The first failure ends both.
    let (postgres, provisioned) = {
        tokio::pin!(database);
        tokio::select! {
            provided = &mut database => provided?,
            built = shown(&mut build, arguments.verbose) => {
                built?;
                database.await?
            }
        }
    };

    let issuer_directory = token::issuer_directory(workspace);
    let plan = Plan {
        template: &workspace.template(),
        executables: &functions.iter().map(|function| (function.clone(), build.executable(function))).collect(),
        roles: &provisioned.roles,
        proxy: Some(proxy::Settings::default()),
        cors_allowed_origins: CORS_ALLOWED_ORIGINS,
        environment: BTreeMap::new(),
        issuer_directory: &issuer_directory,
        settings: cloud::Settings::default(),
        logs: Arc::new(screen::log_line),
        pins: Arc::new(screen::pin),
        dashboard: Some(postgres.database()),
    };
    let stack = Stack::start(plan, listener, guard).await?;
    if let Some(dashboard) = stack.dashboard.as_ref().filter(|_| stack.routes.iter().any(|route| route.path == monitor::PATH)) {
        dashboard.show_checks(monitor::checks_of(Api::of_stack(&stack.api_url(), &stack.operator)?));
    }
    let running = Running {
        pid: std::process::id(),
        api_url: stack.api_url(),
        control_url: stack.control_url(),
        database_url: postgres.address.shown(),
        data_directory: postgres.data_directory(),
    };
    Ok(Up { build, functions, stack, postgres, running })
}

/// Shows the progress of the build until it has ended.
async fn shown(build: &mut Build, is_verbose: bool) -> Result<()> {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    while !build.has_ended() {
        screen::building(build.progress());
        tokio::select! {
            () = build.changed() => {}
            _ = second.tick() => {}
        }
        if is_verbose {
            screen::cargo(&build.said());
        }
    }
    screen::building(None);
    let ended = build.end().await;
    if is_verbose || (ended.is_err() && !build.failed_plainly()) {
        screen::cargo(&build.said());
    }
    ended.map(drop)
}

/// The server that somebody named. An empty variable counts as unset, as for the functions.
fn named(arguments: &Arguments) -> Result<Option<Address>> {
    if let Some(url) = &arguments.database_url {
        return Address::parse(url).map(Some);
    }
    let variable = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty());
    variable.map(|url| Address::parse(&url)).transpose().context("the environment variable DATABASE_URL cannot be used")
}
