//! The checkout that a command works on, and where its state lies.

use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::postgres::account;

/// A checkout of the bundle.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
    state_root: PathBuf,
}

impl Workspace {
    /// The checkout that `directory` lies in: the nearest folder upwards with a `template.yaml` and a `Cargo.toml`.
    ///
    /// Its state lies in [`account::state_root`], or in the folder that the variable `THAW_STATE` names.
    ///
    /// # Errors
    /// There is none, or there is no place for its state.
    pub fn find(directory: &Path) -> Result<Self> {
        let directory = directory.canonicalize().with_context(|| format!("cannot find the folder {}", directory.display()))?;
        let root = launch::workspace(&directory);
        match root {
            Some(root) => Ok(Self { root: root.to_owned(), state_root: state_root()? }),
            None => bail!("neither {} nor a folder above it has a template.yaml and a Cargo.toml: go into the checkout", directory.display()),
        }
    }

    /// The root folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The template, the only place where a route is written.
    #[must_use]
    pub fn template(&self) -> PathBuf {
        self.root.join("template.yaml")
    }

    /// Where this checkout keeps its cluster, its keys and what it knows of a running `cargo dev`. Two checkouts never share it.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        let name = self.root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(32).collect();
        let digest = Sha256::digest(self.root.as_os_str().as_bytes());
        self.state_root.join(format!("{plain}-{}", URL_SAFE_NO_PAD.encode(&digest[..6])))
    }

    /// Where a fetched Postgres is kept, for all checkouts.
    #[must_use]
    pub fn postgres_cache(&self) -> PathBuf {
        self.state_root.join("postgres")
    }

    /// A password for a role on one server, the same at each call: several checkouts that use one server must agree, because a role has
    /// only one password there.
    ///
    /// # Errors
    /// This person's secret cannot be read or made.
    pub fn password(&self, role: &str, server: &str) -> Result<String> {
        let secret = secret(&self.state_root.join("secret"))?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).map_err(|_| anyhow!("the secret has no usable length"))?;
        mac.update(format!("{role}@{server}").as_bytes());
        Ok(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }
}

/// `THAW_STATE`, a folder that the database server's account can enter, else the usual place.
fn state_root() -> Result<PathBuf> {
    match std::env::var_os("THAW_STATE").filter(|path| !path.is_empty()) {
        None => account::state_root(),
        Some(path) => {
            let path = PathBuf::from(path);
            if !path.is_absolute() {
                bail!("THAW_STATE must be an absolute path, not {}", path.display());
            }
            std::fs::create_dir_all(&path).with_context(|| format!("cannot make the folder {} that THAW_STATE names", path.display()))?;
            Ok(path)
        }
    }
}

const SECRET_BYTES: usize = 32;

/// Random bytes, made once, readable by their owner only.
fn secret(file: &Path) -> Result<Vec<u8>> {
    let failed = || format!("cannot use the secret {}", file.display());
    if !file.exists() {
        let mut bytes = [0_u8; SECRET_BYTES];
        std::fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).context("the system gives no random bytes")?;
        let folder = file.parent().with_context(failed)?;
        let temporary = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
        std::fs::write(temporary.path(), bytes).with_context(failed)?;
        // Whoever was first wins, and everybody reads that one.
        if let Err(error) = temporary.persist_noclobber(file)
            && error.error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(error.error).with_context(failed);
        }
    }
    let bytes = std::fs::read(file).with_context(failed)?;
    if bytes.len() != SECRET_BYTES {
        bail!("the secret {} is damaged: remove it, and passwords are made anew", file.display());
    }
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn checkout(folder: &Path) -> Workspace {
        Workspace { root: folder.join("clone"), state_root: folder.to_owned() }
    }

    #[test]
    fn a_password_stays_the_same_and_differs_by_role_and_server() {
        let folder = tempfile::tempdir().unwrap();
        let password = |role, server| checkout(folder.path()).password(role, server).unwrap();
        assert_eq!(password("thaw_app", "a:1"), password("thaw_app", "a:1"));
        assert_ne!(password("thaw_app", "a:1"), password("thaw_app", "a:2"));
        assert_ne!(password("thaw_app", "a:1"), password("thaw_ops", "a:1"));
        let mode = std::fs::metadata(folder.path().join("secret")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "others can read the secret: {mode:o}");
    }

    #[test]
    fn a_damaged_secret_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "short").unwrap();
        let error = checkout(folder.path()).password("thaw_app", "a:1").unwrap_err();
        assert!(error.to_string().contains("is damaged"), "{error}");
    }

    #[test]
    fn a_folder_outside_a_checkout_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Workspace::find(folder.path()).unwrap_err().to_string().contains("template.yaml"));
    }
}
