//! The function `user-models`.

mod change;
mod handler;
mod model;
mod publication;
mod query;
mod withdrawal;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(handler::handle)
}
