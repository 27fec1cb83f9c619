//! The function `health`: whether a request would reach the database now. It is asked over HTTP, by a schedule, and directly.

mod basic;
mod deep;
mod handler;
mod metrics;
mod query;
mod recent;
mod report;
mod targets;
mod trigger;

fn main() -> std::process::ExitCode {
    let health = std::sync::Arc::new(handler::Health::default());
    shared::lambda::serve_invocations(move |invocation, db| handler::handle(std::sync::Arc::clone(&health), invocation, db))
}
