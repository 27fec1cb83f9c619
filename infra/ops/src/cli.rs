//! The commands and their arguments.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{CommandFactory as _, Parser, Subcommand};
use local::workspace::Workspace;

use crate::{completion, database, dev, drill, health, monitor, output, pins, prepare, psql, reset, sam_test, seed, status, token};

const EXAMPLES: &str = "\
Examples:
  cargo dev                              serve the API on http://127.0.0.1:3000
  cargo dev --port 8080 --fresh          another port, an empty database
  curl -H \"Authorization: Bearer $(cargo ops token user-1)\" \\
    http://127.0.0.1:3000/api/user/purchased-models
  cargo ops status --json                what runs where
  cargo health --watch                   whether requests are served
  cargo ops reset --scope fleet --reason \"failover drill\"
  cargo ops psql                         look at the rows
  cargo ops drill stop                   the database is down for 5 s, and requests outlive it
  cargo ops migrate --database-url postgres://me:secret@127.0.0.1:5432/thaw
  cargo ops pins --database-url postgres://127.0.0.1:5432 --listen 127.0.0.1:6543";

/// Runs the bundle on this machine, and looks after its database.
#[derive(Parser)]
#[command(name = "cargo ops", bin_name = "cargo ops", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the API: finds Postgres, migrates, seeds, builds the functions, and runs until Ctrl-C. `cargo dev` is short for this
    Dev(dev::Arguments),
    /// Prints a token that the running local API accepts
    Token(token::Arguments),
    /// Tells what runs where
    Status(status::Arguments),
    /// Tells whether requests are served. `cargo health` is short for this
    Health(health::Arguments),
    /// Lets functions give up their database sessions and open new ones
    Reset(reset::Arguments),
    /// Strikes the running local API with a fault, and tells how long it took to heal
    Drill(drill::Arguments),
    /// Shows on a page of this machine what the monitor of a stack says
    Monitor(monitor::Arguments),
    /// Opens psql on the running local database, or prints its URL
    Psql(psql::Arguments),
    /// Brings a database's schema up to date
    Migrate(database::MigrateArguments),
    /// Fills an empty, migrated database with the same rows every time
    Seed(seed::Arguments),
    /// Tells which statements of your own application would pin a session in RDS Proxy
    Pins(pins::Arguments),
    /// Writes .sqlx anew, from which the SQL is checked at compile time
    Prepare(prepare::Arguments),
    /// Runs every function and route in AWS's own local tools: SAM CLI, with its containers
    SamTest(sam_test::Arguments),
    /// Prints a script by which a shell completes these commands
    Completion(completion::Arguments),
}

/// Reads the arguments, runs the command, and says in one sentence what went wrong.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(code) => code,
        Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the async runtime did not start")?;
    runtime.block_on(async {
        match command {
            Command::Dev(arguments) => dev::run(&workspace()?, &arguments).await,
            Command::Token(arguments) => token::run(&workspace()?, &arguments).map(|()| ExitCode::SUCCESS),
            Command::Status(arguments) => status::run(&workspace()?, &arguments).await.map(|()| ExitCode::SUCCESS),
            Command::Health(arguments) => health::run(&workspace()?, &arguments).await,
            Command::Reset(arguments) => reset::run(&workspace()?, &arguments).await,
            Command::Drill(arguments) => drill::run(&workspace()?, &arguments).await,
            Command::Monitor(arguments) => monitor::run(&workspace()?, &arguments).await.map(|()| ExitCode::SUCCESS),
            Command::Psql(arguments) => psql::run(&workspace()?, &arguments).await.map(|()| ExitCode::SUCCESS),
            Command::Migrate(arguments) => database::migrate(&arguments).await.map(|()| ExitCode::SUCCESS),
            Command::Seed(arguments) => seed::run(&arguments).await.map(|()| ExitCode::SUCCESS),
            Command::Pins(arguments) => pins::run(&arguments).await.map(|()| ExitCode::SUCCESS),
            Command::Prepare(arguments) => prepare::run(&workspace()?, &arguments).await.map(|()| ExitCode::SUCCESS),
            Command::SamTest(arguments) => sam_test::run(&workspace()?, &arguments).await,
            Command::Completion(arguments) => completion::run(Cli::command(), &arguments).map(|()| ExitCode::SUCCESS),
        }
    })
}

fn workspace() -> Result<Workspace> {
    Workspace::find(&std::env::current_dir().context("there is no current folder")?)
}
