//! The program behind `cargo dev`, with a cargo and a command line that do as they are told.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tests::{eventually, is_alive, program};

/// A folder with the program, and in the place of the command line a script.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    async fn new(cargo: &str, command_line: &str) -> Self {
        let place = Self { folder: tempfile::Builder::new().prefix("thaw with space ").tempdir().unwrap() };
        std::fs::copy(program("launch").await, place.file("launch")).unwrap();
        place.script("cargo", cargo);
        place.script("ops", command_line);
        place
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn script(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(self.file(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// As `cargo ops …` does.
    fn run_ops(&self, arguments: &[&str]) -> Output {
        Command::new(self.file("launch"))
            .arg("ops")
            .args(arguments)
            .env("CARGO", self.file("cargo"))
            .env("PLACE", self.folder.path())
            .output()
            .unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.file("launch"));
        command.arg("dev").args(arguments).env("CARGO", self.file("cargo")).env("PLACE", self.folder.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The process that a script has noted.
    async fn noted(&self, name: &str) -> i32 {
        let file = self.file(name);
        let read = || std::fs::read_to_string(&file).unwrap_or_default().trim().parse::<i32>().ok();
        eventually("the script has begun", async || read().is_some()).await;
        read().unwrap()
    }

    /// Folders of cargo's output that were left.
    fn leftovers(&self) -> usize {
        let is_output = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("launch-");
        std::fs::read_dir(self.folder.path()).unwrap().map(Result::unwrap).filter(is_output).count()
    }
}

/// What cargo says once the command line is built.
const BUILT: &str = r#"echo '{"reason":"compiler-artifact","target":{"name":"ops"},"executable":"/x/ops","fresh":true}'"#;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn code_that_does_not_compile_is_shown_with_cargos_words() {
    let place = Place::new("echo 'error[E0308]: mismatched types' >&2; exit 101", "echo started").await;
    let ended = place.run(&["--port", "0"]);
    assert_eq!((ended.status.code(), text(&ended.stdout), text(&ended.stderr).trim()), (Some(1), String::new(), "error[E0308]: mismatched types"));
    assert_eq!(place.leftovers(), 0);
}

#[tokio::test]
async fn a_full_disk_is_one_sentence() {
    let place = Place::new("echo 'error: failed to write x: No space left on device (os error 28)' >&2; exit 101", "echo started").await;
    let ended = place.run(&["--port", "0"]);
    let stderr = text(&ended.stderr);
    assert_eq!((ended.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.starts_with("error: the disk is full"), "{stderr}");
}

#[tokio::test]
async fn a_cargo_that_is_missing_is_one_sentence() {
    let place = Place::new("", "").await;
    std::fs::remove_file(place.file("cargo")).unwrap();
    let ended = place.run(&["--port", "0"]);
    let stderr = text(&ended.stderr);
    assert_eq!((ended.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.starts_with("error: cargo does not start"), "{stderr}");
}

#[tokio::test]
async fn a_taken_port_is_told_before_anything_is_built() {
    let place = Place::new("touch \"$PLACE/begun\"", "echo started").await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for arguments in [&["--port", &port.to_string()][..], &[&format!("--port={port}")]] {
        let ended = place.run(arguments);
        assert_eq!(
            text(&ended.stderr).trim(),
            format!("error: port {port} is taken: stop the program that listens there, or choose another with --port")
        );
    }
    assert!(!place.file("begun").exists());
}

#[tokio::test]
async fn the_command_line_takes_over_while_cargo_goes_on_and_cargo_ends_with_it() {
    let cargo = format!("echo $$ > \"$PLACE/cargo-pid\"; {BUILT}; sleep 600");
    let place = Place::new(&cargo, "echo \"$@\"; kill -0 \"$5\" && echo builds").await;
    let ended = place.run(&["--port", "0"]);
    let cargo = place.noted("cargo-pid").await;
    let stdout = text(&ended.stdout);
    let output = stdout.lines().next().and_then(|line| line.split_once(" --build-output ")).unwrap().1;
    let output = Path::new(output.trim_end_matches(" --build-shown-bytes 0"));
    assert_eq!(stdout, format!("dev --port 0 --build {cargo} --build-output {} --build-shown-bytes 0\nbuilds\n", output.display()));
    assert!(output.join("messages").is_file() && output.join("progress").is_file());
    eventually("cargo has ended", async || !is_alive(cargo)).await;
}

#[tokio::test]
async fn help_waits_for_no_function() {
    let place = Place::new(&format!("echo \"$@\" > \"$PLACE/arguments\"; {BUILT}"), "echo \"$@\"").await;
    let ended = place.run(&["--help"]);
    assert_eq!((ended.status.code(), text(&ended.stdout).trim()), (Some(0), "dev --help"));
    let arguments = std::fs::read_to_string(place.file("arguments")).unwrap();
    assert!(arguments.ends_with("--bin ops\n"), "{arguments}");
    assert_eq!(place.leftovers(), 0);
    let ended = place.run_ops(&["token", "user-1"]);
    assert_eq!((ended.status.code(), text(&ended.stdout).trim()), (Some(0), "token user-1"));
}

#[tokio::test]
async fn a_signal_in_the_middle_of_the_build_ends_cargo_and_its_compilers() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let place = Place::new("sleep 600 & echo $! > \"$PLACE/compiler-pid\"; echo $$ > \"$PLACE/cargo-pid\"; wait", "echo started").await;
        let mut launch = place.command(&["--port", "0"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let processes = [place.noted("cargo-pid").await, place.noted("compiler-pid").await];
        signal::kill(Pid::from_raw(launch.id().cast_signed()), signal).unwrap();
        assert!(!launch.wait().unwrap().success());
        eventually("nothing is left", async || !processes.iter().any(|pid| is_alive(*pid))).await;
    }
}
