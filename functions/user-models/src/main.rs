//! The function `user-models`.

mod handler;
mod query;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(handler::handle)
}
