//! The function `monitor`: what operators watch of the database.

mod catalog;
mod handler;
mod query;
mod report;
mod targets;
mod threshold;

fn main() -> std::process::ExitCode {
    let targets = std::sync::Arc::default();
    shared::lambda::serve(move |request, db| handler::handle(std::sync::Arc::clone(&targets), request, db))
}
