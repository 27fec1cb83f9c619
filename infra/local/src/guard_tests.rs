#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::Guard;

const OWNER: &str = "THAW_TEST_GUARD_OWNER";

/// A process which would live for ten minutes, in a group of its own, with a child of its own.
fn long_lived() -> Child {
    Command::new("/bin/sh")
        .args(["-c", "sleep 600 & sleep 600; :"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// Whether a process is gone, or is a zombie that its parent (a container's first process, say) never reaps.
fn is_gone(pid: Pid) -> bool {
    if kill(pid, None) == Err(Errno::ESRCH) {
        return true;
    }
    let state = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    String::from_utf8_lossy(&state.stdout).trim_start().starts_with('Z')
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the killed owner of the next test does: it runs in a process of its own.
#[allow(clippy::zombie_processes, reason = "its death before it can wait is the case to be tested")]
fn own_until_killed(directory: &str) -> ! {
    let guard = Guard::start().unwrap();
    let directory = PathBuf::from(directory);
    guard.remove_directory_at_end(&directory, directory.parent().unwrap()).unwrap();
    let running = long_lived();
    let stopped = long_lived();
    let deaf = Command::new("/bin/sh").args(["-c", "trap '' INT; while :; do sleep 1; done"]).stdout(Stdio::null()).spawn().unwrap();
    guard.watch_group(running.id(), Signal::SIGINT).unwrap();
    guard.watch_group(stopped.id(), Signal::SIGTERM).unwrap();
    guard.watch(deaf.id(), Signal::SIGINT).unwrap();
    killpg(pid(&stopped), Signal::SIGSTOP).unwrap();
    println!("\nowned {} {} {}", running.id(), stopped.id(), deaf.id());
    loop {
        std::thread::park();
    }
}

#[test]
fn watched_processes_end_when_their_owner_is_killed() {
    if let Ok(directory) = std::env::var(OWNER) {
        own_until_killed(&directory);
    }
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("a name with  spaces ");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("file"), "content").unwrap();

    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "guard::tests::watched_processes_end_when_their_owner_is_killed", "--nocapture"])
        .env(OWNER, &directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = BufReader::new(owner.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .find(|line| line.starts_with("owned "))
        .expect("the owner says which processes it has");
    let pids: Vec<Pid> = line.split(' ').skip(1).map(|pid| Pid::from_raw(pid.parse().unwrap())).collect();
    assert_eq!(pids.len(), 3);
    for pid in &pids {
        assert!(!is_gone(*pid), "process {pid} lives while its owner does");
    }

    owner.kill().unwrap();
    owner.wait().unwrap();
    for (pid, which) in pids.iter().zip(["running", "stopped", "deaf to SIGINT"]) {
        eventually(&format!("the {which} process {pid} ended"), || is_gone(*pid));
    }
    for pid in &pids[..2] {
        eventually(&format!("the whole group {pid} ended"), || killpg(*pid, None) == Err(Errno::ESRCH) || is_gone(*pid));
    }
    eventually("the directory was removed", || !directory.exists());
    assert!(root.path().exists(), "only the registered directory is removed");
}

#[test]
fn finish_ends_what_is_registered_and_spares_what_was_forgotten() {
    let guard = Guard::start().unwrap();
    let mut watched = Command::new("sleep").arg("600").spawn().unwrap();
    let mut spared = Command::new("sleep").arg("600").spawn().unwrap();
    guard.watch(watched.id(), Signal::SIGTERM).unwrap();
    guard.watch(spared.id(), Signal::SIGTERM).unwrap();
    guard.forget(spared.id());
    let reaper = std::thread::spawn(move || watched.wait().unwrap());
    guard.clone().finish().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&reaper.join().unwrap()), Some(15));
    assert_eq!(spared.try_wait().unwrap(), None, "a forgotten process is left alone");
    spared.kill().unwrap();
    spared.wait().unwrap();
    let refused = guard.watch(4242, Signal::SIGTERM).unwrap_err();
    assert!(format!("{refused:#}").contains("already finished"), "{refused:#}");
}

#[test]
fn dropping_the_last_handle_ends_what_is_registered() {
    let guard = Guard::start().unwrap();
    let other = guard.clone();
    let mut watched = long_lived();
    guard.watch_group(watched.id(), Signal::SIGKILL).unwrap();
    drop(guard);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(watched.try_wait().unwrap(), None, "a clone still holds the guard");
    drop(other);
    watched.wait().unwrap();
}

#[test]
fn the_guard_survives_the_signals_of_a_terminal() {
    let guard = Guard::start().unwrap();
    let own = pid(&guard.child());
    let marker = tempfile::tempdir().unwrap();
    let mut first = Command::new("sleep").arg("600").spawn().unwrap();
    guard.watch(first.id(), Signal::SIGKILL).unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        kill(own, signal).unwrap();
    }
    let doomed = marker.path().join("doomed");
    std::fs::create_dir(&doomed).unwrap();
    guard.remove_directory_at_end(&doomed, marker.path()).unwrap();
    drop(guard);
    first.wait().unwrap();
    eventually("the directory was removed", || !doomed.exists());
}

#[test]
fn numbers_that_stand_for_many_processes_are_refused() {
    let guard = Guard::start().unwrap();
    for pid in [0, 1, u32::MAX, i32::MAX.cast_unsigned() + 1] {
        assert!(guard.watch(pid, Signal::SIGTERM).is_err(), "process {pid}");
        assert!(guard.watch_group(pid, Signal::SIGTERM).is_err(), "group {pid}");
    }
}

#[test]
fn directories_outside_the_given_place_are_refused() {
    let guard = Guard::start().unwrap();
    let root = tempfile::tempdir().unwrap();
    let inside = root.path().join("inside");
    let outside = tempfile::tempdir().unwrap();
    std::fs::create_dir(&inside).unwrap();
    std::fs::create_dir(root.path().join("line\nbreak")).unwrap();
    std::fs::write(root.path().join("file"), "").unwrap();
    std::os::unix::fs::symlink(outside.path(), root.path().join("link")).unwrap();
    let refused = [
        (PathBuf::from("/"), PathBuf::from("/"), "root"),
        (inside.clone(), PathBuf::from("/"), "anything under /"),
        (PathBuf::new(), root.path().into(), "an empty path"),
        (root.path().into(), root.path().into(), "the place itself"),
        (inside.join(".."), root.path().into(), "the place itself, by another name"),
        (outside.path().into(), root.path().into(), "another place"),
        (root.path().join("link"), root.path().into(), "a link to another place"),
        (root.path().join("absent"), root.path().into(), "what is not there"),
        (root.path().join("file"), root.path().into(), "a file"),
        (root.path().join("line\nbreak"), root.path().into(), "a line break"),
    ];
    for (directory, under, case) in refused {
        assert!(guard.remove_directory_at_end(&directory, &under).is_err(), "{case}");
    }
    guard.remove_directory_at_end(&inside, root.path()).unwrap();
    guard.finish().unwrap();
    assert!(!inside.exists() && outside.path().exists() && root.path().join("file").exists());
}
