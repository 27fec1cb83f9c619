#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use nix::unistd::{geteuid, getgid, getuid};

use super::{Account, open_directory, open_tree, server_account, temporary_directory, temporary_root};

/// The account of whoever runs the tests, or, for root, the server's.
fn account() -> Account {
    server_account().unwrap().unwrap_or_else(|| Account { name: "tester".into(), uid: getuid().as_raw(), gid: getgid().as_raw() })
}

#[test]
fn only_root_changes_the_account_and_never_to_root() {
    match server_account().unwrap() {
        Some(account) => assert!(geteuid().is_root() && account.uid != 0, "{account:?}"),
        None => assert!(!geteuid().is_root()),
    }
}

#[test]
fn a_program_under_the_account_has_its_user_and_its_group_alone() {
    let account = account();
    let answer = |option: &str| {
        let mut command = Command::new("id");
        if geteuid().is_root() {
            account.apply(&mut command);
        }
        String::from_utf8(command.arg(option).current_dir("/").output().unwrap().stdout).unwrap()
    };
    assert_eq!(answer("-u").trim(), account.uid.to_string());
    assert_eq!(answer("-g").trim(), account.gid.to_string());
    if geteuid().is_root() {
        assert_eq!(answer("-G").trim(), account.gid.to_string(), "no supplementary group of root is left");
    }
}

#[test]
fn a_closed_directory_above_is_named() {
    let account = Account { name: "stranger".into(), uid: 4_000_000_001, gid: 4_000_000_002 };
    let root = temporary_directory("thaw-account-").unwrap();
    std::fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    let closed = root.path().join("closed");
    let inner = closed.join("inner");
    std::fs::create_dir_all(&inner).unwrap();
    for (mode, enters) in [(0o755, true), (0o711, true), (0o750, false), (0o700, false), (0o754, false)] {
        std::fs::set_permissions(&closed, Permissions::from_mode(mode)).unwrap();
        let checked = account.check_entry(&inner);
        assert_eq!(checked.is_ok(), enters, "mode {mode:o}: {checked:?}");
        if let Err(error) = checked {
            let real = closed.canonicalize().unwrap();
            assert!(error.to_string().contains(&format!("{} (mode 0{mode:o})", real.display())), "{error}");
        }
    }
    assert!(account.check_entry(&root.path().join("absent")).is_err());
}

#[test]
fn an_own_directory_is_opened_but_never_one_above_it() {
    let account = Account { name: "stranger".into(), uid: 4_000_000_001, gid: 4_000_000_002 };
    let root = temporary_directory("thaw-account-").unwrap();
    std::fs::set_permissions(root.path(), Permissions::from_mode(0o700)).unwrap();
    let own = root.path().join("own");
    assert!(open_directory(&own, Some(&account)).is_err(), "the one above is closed");
    assert_eq!(root.path().metadata().unwrap().mode() & 0o777, 0o700);
    std::fs::set_permissions(root.path(), Permissions::from_mode(0o711)).unwrap();
    std::fs::set_permissions(&own, Permissions::from_mode(0o700)).unwrap();
    open_directory(&own, Some(&account)).unwrap();
    assert_eq!(own.metadata().unwrap().mode() & 0o777, 0o711);
}

#[test]
fn the_servers_account_can_work_in_the_temporary_directory() {
    let directory = temporary_directory("thaw-account-").unwrap();
    assert!(directory.path().starts_with(temporary_root().unwrap()));
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "cd \"$0\""]).arg(directory.path()).current_dir("/");
    if geteuid().is_root() {
        account().apply(&mut command);
    }
    assert!(command.status().unwrap().success());
}

#[test]
fn an_opened_tree_can_be_read_and_its_programs_run() {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    for (name, mode) in [("program", 0o700), ("data", 0o600)] {
        std::fs::write(tree.join(name), "").unwrap();
        std::fs::set_permissions(tree.join(name), Permissions::from_mode(mode)).unwrap();
    }
    std::os::unix::fs::symlink("absent", tree.join("link")).unwrap();
    std::fs::set_permissions(&tree, Permissions::from_mode(0o700)).unwrap();
    open_tree(&tree).unwrap();
    for (name, mode) in [("", 0o755), ("program", 0o755), ("data", 0o644)] {
        assert_eq!(tree.join(name).metadata().unwrap().mode() & 0o777, mode, "{name:?}");
    }
}
