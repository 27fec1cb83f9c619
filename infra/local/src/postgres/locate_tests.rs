#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{PROGRAMS, Places, inspect, search};
use crate::postgres::account::{server_account, temporary_directory};

/// A machine of its own: programs that only say their version.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let directory = temporary_directory("thaw-locate-").unwrap();
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        Self(directory)
    }

    fn root(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    /// A directory with all the server programs, which say this version.
    fn server(&self, directory: &str, version: &str) -> PathBuf {
        let directory = self.root().join(directory);
        std::fs::create_dir_all(&directory).unwrap();
        for name in PROGRAMS {
            program(&directory.join(name), &format!("echo '{name} (PostgreSQL) {version}'"));
        }
        directory
    }

    fn search(&self, path: &[&str]) -> Result<(PathBuf, String), String> {
        let path: OsString = std::env::join_paths(path.iter().map(|directory| self.root().join(directory))).unwrap();
        let account = server_account().unwrap();
        search(&Places { path, root: self.root() }, account.as_ref())
            .map(|binaries| (binaries.directory, binaries.version.to_string()))
            .map_err(|none| none.to_string())
    }
}

fn program(path: &Path, script: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_server_in_the_path_comes_before_a_newer_one_elsewhere() {
    let machine = Machine::new();
    let in_path = machine.server("opt/own/bin", "15.4");
    machine.server("usr/lib/postgresql/18/bin", "18.4");
    assert_eq!(machine.search(&["usr/bin", "opt/own/bin"]), Ok((in_path, "15.4".into())));
}

#[test]
fn a_link_in_the_path_leads_to_the_directory_with_all_programs() {
    let machine = Machine::new();
    let server = machine.server("usr/lib/postgresql/15/bin", "15.16 (Debian 15.16-0+deb12u1)");
    machine.server("usr/lib/postgresql/17/bin", "17.2");
    let links = machine.root().join("usr/local/bin");
    std::fs::create_dir_all(&links).unwrap();
    symlink(server.join("postgres"), links.join("postgres")).unwrap();
    assert_eq!(machine.search(&["usr/local/bin"]), Ok((server, "15.16".into())));
}

#[test]
fn the_newest_in_the_usual_places_is_taken_by_number() {
    let machine = Machine::new();
    let newest = machine.server("usr/lib/postgresql/100/bin", "100.1");
    for (directory, version) in [("usr/lib/postgresql/9.6/bin", "9.6.24"), ("usr/lib/postgresql/16/bin", "16.9"), ("usr/pgsql-17/bin", "17.2")] {
        machine.server(directory, version);
    }
    assert_eq!(machine.search(&[]), Ok((newest, "100.1".into())));
}

#[test]
fn every_usual_place_is_looked_at() {
    let places = [
        "usr/lib/postgresql/16/bin",
        "usr/pgsql-16/bin",
        "usr/libexec/postgresql16",
        "opt/homebrew/opt/postgresql@16/bin",
        "opt/homebrew/opt/postgresql/bin",
        "usr/local/opt/postgresql@16/bin",
        "home/linuxbrew/.linuxbrew/opt/postgresql@16/bin",
        "usr/local/pgsql/bin",
        "Applications/Postgres.app/Contents/Versions/16/bin",
    ];
    for place in places {
        let machine = Machine::new();
        let server = machine.server(place, "16.1");
        assert_eq!(machine.search(&[]), Ok((server, "16.1".into())), "{place}");
    }
}

#[test]
fn what_is_too_old_or_broken_is_passed_over_and_named_if_nothing_else_is_there() {
    let machine = Machine::new();
    let old = machine.server("opt/old/bin", "13.20");
    let broken = machine.server("usr/lib/postgresql/17/bin", "17.1");
    program(&broken.join("postgres"), "echo 'libicu.so: no such file' >&2; exit 127");
    let error = machine.search(&["opt/old/bin"]).unwrap_err();
    assert!(error.contains(&format!("{} is PostgreSQL 13.20, older than 14", old.display())), "{error}");
    assert!(error.contains(&format!("{}/postgres cannot be run", broken.display())), "{error}");
    assert!(error.contains("libicu.so: no such file"), "{error}");
    let good = machine.server("usr/pgsql-16/bin", "16.1");
    assert_eq!(machine.search(&["opt/old/bin"]), Ok((good, "16.1".into())));
}

#[test]
fn a_directory_with_client_programs_only_is_no_server() {
    let machine = Machine::new();
    let clients = machine.root().join("usr/lib/postgresql/16/bin");
    std::fs::create_dir_all(&clients).unwrap();
    program(&clients.join("psql"), "echo 'psql (PostgreSQL) 16.1'");
    assert_eq!(machine.search(&["usr/lib/postgresql/16/bin"]), Err("this machine has no usable PostgreSQL server".into()));
    let error = inspect(&clients, None).unwrap_err();
    assert!(error.to_string().ends_with("has no program initdb"), "{error}");
}

#[test]
fn programs_that_the_servers_account_cannot_reach_are_passed_over() {
    let Some(account) = server_account().unwrap() else { return };
    let machine = Machine::new();
    machine.server("root/pg/bin", "16.1");
    std::fs::set_permissions(machine.root().join("root"), Permissions::from_mode(0o700)).unwrap();
    let error = machine.search(&["root/pg/bin"]).unwrap_err();
    assert!(error.contains(&format!("cannot be run as the account {:?}: Permission denied", account.name)), "{error}");
}
