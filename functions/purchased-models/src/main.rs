//! The function `purchased-models`.

mod handler;
mod purchase;
mod query;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(handler::handle)
}
