//! `cargo dev` and `cargo ops …`.

mod cli;
mod control_client;
mod database;
mod dev;
mod output;
mod pins;
mod prepare;
mod seed;
mod status;
mod token;

fn main() -> std::process::ExitCode {
    cli::main()
}
