//! Tells the program which migrations it was built with, so that health can say whether the database has them.

use std::path::Path;
use std::{env, fs};

const MIGRATIONS: &str = "../../infra/migrations";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={MIGRATIONS}");
    let mut versions = Vec::new();
    for file in fs::read_dir(MIGRATIONS)? {
        let name = file?.file_name().to_string_lossy().into_owned();
        if let Some(number) = name.strip_suffix(".sql").and_then(|name| name.split_once('_')).map(|(number, _)| number) {
            versions.push(number.parse::<i64>().map_err(|_| format!("{MIGRATIONS}/{name} does not begin with a number"))?);
        }
    }
    versions.sort_unstable();
    fs::write(Path::new(&env::var("OUT_DIR")?).join("migrations.rs"), format!("&{versions:?}"))?;
    Ok(())
}
