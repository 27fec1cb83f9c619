//! `cargo dev` and `cargo ops …`.

mod cli;
mod completion;
mod control_client;
mod database;
mod dev;
mod drill;
mod facts;
mod health;
mod http_client;
mod monitor;
mod output;
mod pins;
mod prepare;
mod psql;
mod reset;
mod sam_test;
mod seed;
mod signed;
mod status;
mod token;

fn main() -> std::process::ExitCode {
    cli::main()
}
