//! `cargo dev`: see the library.

mod program;

fn main() -> std::process::ExitCode {
    program::main()
}
