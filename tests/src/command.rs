//! The command line, as a person starts it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use local::build::{self, Profile};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::sync::OnceCell;

use crate::server::{guard, workspace};

/// No step of any command takes this long here.
const PATIENCE: Duration = Duration::from_secs(120);

/// A started `cargo ops …`, in a process of its own.
pub struct Command {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; None after a signal.
    pub code: Option<i32>,
    /// Everything on standard output.
    pub stdout: String,
    /// Everything on standard error.
    pub stderr: String,
}

impl Command {
    /// The executable behind `cargo ops`, built once.
    pub async fn executable() -> &'static Path {
        static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
        BUILT.get_or_init(|| async { build::build(workspace().root(), &["ops"], Profile::Dev, &guard()).await.unwrap()["ops"].clone() }).await
    }

    /// Starts `cargo ops` with arguments, with its state in `state`, and in English without colours.
    pub async fn start(state: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = tokio::process::Command::new(Self::executable().await)
            .args(arguments)
            .current_dir(workspace().root())
            .env("THAW_STATE", state)
            .env_remove("DATABASE_URL")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, seen: Vec::new() }
    }

    /// Runs a command to its end.
    pub async fn run(state: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        Self::start(state, arguments, variables).await.end().await
    }

    /// Waits for a line of standard output that begins so, and gives it.
    pub async fn line(&mut self, beginning: &str) -> String {
        let found = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.seen.push(line.clone());
                if line.starts_with(beginning) {
                    return Some(line);
                }
            }
            None
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(Some(line)) => line,
            Ok(None) => {
                let mut stderr = String::new();
                let mut pipe = self.child.stderr.take().unwrap();
                tokio::io::AsyncReadExt::read_to_string(&mut pipe, &mut stderr).await.unwrap();
                panic!("it ended without a line {beginning:?}: {:#?}\n{stderr}", self.seen)
            }
            Err(_) => panic!("no line {beginning:?} in time: {:#?}", self.seen),
        }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id().unwrap()).unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        signal::kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits for its end.
    pub async fn end(mut self) -> Ended {
        // The pipes have to be emptied meanwhile.
        let rest = async {
            let mut stdout = self.seen.join("\n");
            while let Some(line) = self.lines.next_line().await.unwrap() {
                stdout.push('\n');
                stdout.push_str(&line);
            }
            stdout.trim_start_matches('\n').to_owned()
        };
        let ended = async {
            let (stdout, output) = tokio::join!(rest, self.child.wait_with_output());
            (stdout, output.unwrap())
        };
        let (stdout, output) = tokio::time::timeout(PATIENCE, ended).await.expect("the command ends");
        Ended { code: output.status.code(), stdout, stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
    }
}
