//! `cargo dev`: everything, running, until somebody stops it.

mod postgres;
mod screen;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use local::address::Address;
use local::build::Profile;
use local::guard::Guard;
use local::running::{Claim, Running};
use local::stack::{self, Plan, Stack};
use local::workspace::Workspace;
use local::{build, cloud, provision, proxy};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::signed::Api;
use crate::{monitor, output, seed, token};
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
    let up = tokio::select! {
        started = start(workspace, arguments, &guard) => started?,
        signal = &mut stop => {
            screen::stopping(signal);
            guard.finish()?;
            // It never came to be ready, as whoever waits for that has to know.
            return Ok(ExitCode::from(128 + u8::try_from(signal.as_raw_value()).unwrap_or_default()));
        }
    };
    claim.publish(&up.running, &up.stack.operator, up.stack.dashboard.as_ref().map(|dashboard| dashboard.token()))?;
    screen::summary(&up.stack, &up.running)?;
    let ended = tokio::select! {
        signal = &mut stop => {
            screen::stopping(signal);
            Ok(ExitCode::SUCCESS)
        }
        error = up.postgres.lost() => Err(error),
    };
    claim.withdraw();
    up.stack.shut_down().await;
    up.postgres.stop().await?;
    drop(claim);
    guard.finish()?;
    ended
}

struct Up {
    stack: Stack,
    postgres: Postgres,
    running: Running,
}

async fn start(workspace: &Workspace, arguments: &Arguments, guard: &Guard) -> Result<Up> {
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await {
        Ok(listener) => listener,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("port {} is taken: stop the program that listens there, or choose another with --port", arguments.port)
        }
        Err(error) => return Err(error).with_context(|| format!("cannot listen on port {}", arguments.port)),
    };
    let functions = stack::functions(&workspace.template())?;
    let postgres = Postgres::provide(workspace, named(arguments)?, guard).await?;
    provision::create(&postgres.address, arguments.fresh).await?;
    let mut bar = seed::Bar::new();
    let provisioned = provision::provision(workspace, &postgres.address, &mut |progress| bar.show(progress)).await?;
    bar.finish();
    screen::database(&postgres.address, &provisioned);

    screen::step("functions", &format!("building {}", functions.join(", ")));
    let names: Vec<&str> = functions.iter().map(String::as_str).collect();
    let executables = build::build(workspace.root(), &names, Profile::Dev, guard).await?;

    let issuer_directory = token::issuer_directory(workspace);
    let plan = Plan {
        template: &workspace.template(),
        executables: &executables,
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
    Ok(Up { stack, postgres, running })
}

/// The server that somebody named. An empty variable counts as unset, as for the functions.
fn named(arguments: &Arguments) -> Result<Option<Address>> {
    if let Some(url) = &arguments.database_url {
        return Address::parse(url).map(Some);
    }
    let variable = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty());
    variable.map(|url| Address::parse(&url)).transpose().context("the environment variable DATABASE_URL cannot be used")
}
