//! Compiles the crate again when a migration is added: the macro that embeds them notices a changed
//! file, but not a new one.

fn main() {
    println!("cargo:rerun-if-changed=../infra/migrations");
}
