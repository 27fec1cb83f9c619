//! The command line, as a person starts it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use local::build::{self, Profile};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::sync::OnceCell;

use crate::server::{guard, workspace};

/// No step of any command takes this long here.
const PATIENCE: Duration = Duration::from_secs(120);

/// A started `cargo ops …`, in a process of its own.
pub struct Command {
    child: Child,
    stdout: Output<ChildStdout>,
    stderr: Output<ChildStderr>,
}

/// One of its pipes.
struct Output<R> {
    /// None once it is not read any more.
    lines: Option<Lines<BufReader<R>>>,
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
        let (stdout, stderr) = (Output::new(child.stdout.take().unwrap()), Output::new(child.stderr.take().unwrap()));
        Self { child, stdout, stderr }
    }

    /// Runs a command to its end.
    pub async fn run(state: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        Self::start(state, arguments, variables).await.end().await
    }

    /// Waits for a line of standard output that begins so, and gives it.
    pub async fn line(&mut self, beginning: &str) -> String {
        match self.stdout.line(beginning).await {
            Some(line) => line,
            None => panic!("it ended without a line {beginning:?}: {:#?}\n{}", self.stdout.seen, self.stderr.rest().await),
        }
    }

    /// As [`Command::line`], of standard error.
    pub async fn error_line(&mut self, beginning: &str) -> String {
        self.stderr.line(beginning).await.unwrap_or_else(|| panic!("it ended without a line {beginning:?}: {:#?}", self.stderr.seen))
    }

    /// Reads its standard output no more, as a reader that went away.
    pub fn close_stdout(&mut self) {
        self.stdout.lines = None;
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
        let ended = async { tokio::join!(self.stdout.rest(), self.stderr.rest(), self.child.wait()) };
        let (stdout, stderr, status) = tokio::time::timeout(PATIENCE, ended).await.expect("the command ends");
        Ended { code: status.unwrap().code(), stdout, stderr }
    }
}

impl<R: AsyncRead + Unpin> Output<R> {
    fn new(pipe: R) -> Self {
        Self { lines: Some(BufReader::new(pipe).lines()), seen: Vec::new() }
    }

    async fn next(&mut self) -> Option<String> {
        self.lines.as_mut()?.next_line().await.unwrap()
    }

    /// The next line that begins so; None where the output ends before.
    async fn line(&mut self, beginning: &str) -> Option<String> {
        let found = async {
            while let Some(line) = self.next().await {
                self.seen.push(line.clone());
                if line.starts_with(beginning) {
                    return Some(line);
                }
            }
            None
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found,
            Err(_) => panic!("no line {beginning:?} in time: {:#?}", self.seen),
        }
    }

    /// Everything up to its end, what was read before included.
    async fn rest(&mut self) -> String {
        while let Some(line) = self.next().await {
            self.seen.push(line);
        }
        self.seen.join("\n")
    }
}
