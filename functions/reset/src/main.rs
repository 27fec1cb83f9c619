//! The function `reset`: operators have database sessions ended, on the record.

mod audit;
mod fleet;
mod handler;
mod order;
mod probe;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(handler::handle)
}
