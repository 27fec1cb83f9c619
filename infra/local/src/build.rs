//! Building the functions, as `cargo dev`, the tests and the benchmarks share it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use launch::{MESSAGES, PROGRESS, Progress, Tail};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::Deserialize;
use tokio::sync::watch;

use crate::group::Group;
use crate::guard::Guard;

/// How often cargo's output is read.
const INTERVAL: Duration = Duration::from_millis(50);

/// How cargo compiles them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Quickly, with the features of the whole workspace.
    Dev,
    /// As `Dev`, with the features that only AWS needs.
    DevWithAllFeatures,
    /// As they are deployed: see `workspace.metadata.lambda.build` in the root's `Cargo.toml`.
    Release,
}

/// Removes variables of a command that would mislead a cargo: see [`launch::own_package`].
pub fn hide_own_package(command: &mut tokio::process::Command) {
    for name in launch::own_package() {
        command.env_remove(name);
    }
}

/// A cargo that runs. It ends when this is dropped.
pub struct Build {
    state: watch::Receiver<State>,
    began: Instant,
    task: tokio::task::AbortHandle,
    /// How much of what cargo said was taken.
    taken_bytes: usize,
    group: SharedGroup,
}

/// Cargo's group until cargo has ended: compilers outlive a killed cargo.
type SharedGroup = Arc<Mutex<Option<Group>>>;

/// What is known of it.
#[derive(Default)]
struct State {
    executables: BTreeMap<String, PathBuf>,
    progress: Option<Progress>,
    /// Cargo's standard error without the progress bar.
    said: String,
    /// Whether it ended, and whether well.
    succeeded: Option<bool>,
}

impl Build {
    /// Starts to build these binaries.
    ///
    /// # Errors
    /// Cargo does not start, or its output cannot be kept.
    pub fn start(workspace: &Path, binaries: &[&str], profile: Profile, guard: &Guard) -> Result<Self> {
        let output = tempfile::Builder::new().prefix("thaw-build-").tempdir().context("no folder for cargo's output")?;
        let mut command = match profile {
            Profile::Dev => launch::cargo(workspace, output.path(), binaries),
            Profile::DevWithAllFeatures => launch::cargo(workspace, output.path(), binaries).map(|mut command| {
                command.arg("--all-features");
                command
            }),
            Profile::Release => {
                let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
                command.current_dir(workspace).args(["build", "--release", "--all-features", "--message-format=json-render-diagnostics"]);
                command.args(binaries.iter().flat_map(|binary| ["--bin", binary]));
                launch::functions(workspace).and_then(|functions| {
                    command.args(functions.iter().flat_map(|function| ["--package", function]));
                    launch::redirect(&mut command, output.path()).map(|()| command)
                })
            }
        }
        .context("no file for cargo's output")?;
        let cargo = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} did not start; is Rust's cargo installed?", command.get_program().display()))?;
        Self::adopt(cargo.id(), output.path(), 0, guard)
    }

    /// Follows a cargo that leads a process group and is a child of this process, with its output in `output`, a folder that is removed. The
    /// first `shown_bytes` of what it said were printed already.
    ///
    /// # Errors
    /// The output cannot be read.
    pub fn adopt(pid: u32, output: &Path, shown_bytes: usize, guard: &Guard) -> Result<Self> {
        let group = Arc::new(Mutex::new(Some(Group::led_by(pid, Signal::SIGTERM, guard)?)));
        let open = |name: &str| Tail::open(&output.join(name)).with_context(|| format!("cannot read cargo's output in {}", output.display()));
        let follower =
            Follower { cargo: Pid::from_raw(pid.cast_signed()), messages: open(MESSAGES)?, progress: open(PROGRESS)?, group: Arc::clone(&group) };
        // Open files stay.
        std::fs::remove_dir_all(output).with_context(|| format!("cannot remove {}", output.display()))?;
        let (sender, state) = watch::channel(State::default());
        let task = tokio::spawn(follower.follow(sender)).abort_handle();
        Ok(Self { state, began: Instant::now(), task, taken_bytes: shown_bytes, group })
    }

    /// The executable of this name, now or once it is built.
    #[must_use]
    pub fn executable(&self, name: &str) -> Executable {
        Executable(Source::Building(name.to_owned(), self.state.clone()))
    }

    /// Whether the executable of this name is there.
    #[must_use]
    pub fn has_built(&self, name: &str) -> bool {
        self.state.borrow().executables.contains_key(name)
    }

    /// Whether cargo has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state.borrow().succeeded.is_some()
    }

    /// The progress in words; None before cargo has written any.
    #[must_use]
    pub fn progress(&self) -> Option<String> {
        self.state.borrow().progress.as_ref().map(|progress| progress.describe(self.began.elapsed()))
    }

    /// Cargo's standard error without the progress bar, as far as no earlier call gave it.
    pub fn said(&mut self) -> String {
        let said = self.state.borrow().said.get(self.taken_bytes..).unwrap_or_default().to_owned();
        self.taken_bytes += said.len();
        said
    }

    /// Whether the build failed for a reason that its error says by itself, without cargo's diagnostics.
    #[must_use]
    pub fn failed_plainly(&self) -> bool {
        launch::sentence(&self.state.borrow().said).is_some()
    }

    /// Waits for news: progress, an executable, or the end.
    pub async fn changed(&mut self) {
        // It fails only after the end: there are no more news.
        if self.state.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the end, and tells where the executables are.
    ///
    /// # Errors
    /// Something does not compile. Cargo's diagnostics are [`said`](Self::said).
    pub async fn end(&mut self) -> Result<BTreeMap<String, PathBuf>> {
        let ended = self.state.wait_for(|state| state.succeeded.is_some()).await.map_err(|_| anyhow!("cargo was lost"))?;
        match ended.succeeded {
            Some(true) => Ok(ended.executables.clone()),
            _ => bail!("{}", launch::sentence(&ended.said).unwrap_or("the functions do not compile (cargo says why above)")),
        }
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        self.task.abort();
        drop(take(&self.group));
    }
}

fn take(group: &SharedGroup) -> Option<Group> {
    group.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Builds the named binaries and tells where their executables are. Where they do not compile, cargo's diagnostics go to standard error.
///
/// # Errors
/// Cargo is not there, does not compile them, or names no executable for one.
///
/// # Cancel safety
/// Dropping the future ends cargo and the compilers that it started.
pub async fn build(workspace: &Path, binaries: &[&str], profile: Profile, guard: &Guard) -> Result<BTreeMap<String, PathBuf>> {
    let mut build = Build::start(workspace, binaries, profile, guard)?;
    let ended = build.end().await;
    if ended.is_err() && !build.failed_plainly() {
        eprint!("{}", build.said());
    }
    let executables = ended?;
    for binary in binaries {
        if !executables.contains_key(*binary) {
            bail!("{}", missing(binary));
        }
    }
    Ok(executables)
}

/// A program that is there, or is being built.
#[derive(Clone)]
pub struct Executable(Source);

#[derive(Clone)]
enum Source {
    Built(PathBuf),
    Building(String, watch::Receiver<State>),
}

impl Executable {
    /// Where it is, once it is built.
    ///
    /// # Errors
    /// The build ended without it.
    pub async fn path(&self) -> Result<PathBuf> {
        match &self.0 {
            Source::Built(path) => Ok(path.clone()),
            Source::Building(name, state) => {
                let mut state = state.clone();
                let known = state.wait_for(|state| state.executables.contains_key(name) || state.succeeded.is_some()).await;
                let known = known.map_err(|_| anyhow!("the build was ended before {name} was built"))?;
                known.executables.get(name).cloned().with_context(|| match known.succeeded {
                    Some(true) => missing(name),
                    _ => format!("the build failed before {name} was built"),
                })
            }
        }
    }
}

impl From<PathBuf> for Executable {
    fn from(path: PathBuf) -> Self {
        Self(Source::Built(path))
    }
}

/// The sentence for an executable that a successful build did not make.
#[must_use]
pub fn missing(name: &str) -> String {
    format!("cargo built no executable named {name}: does functions/{name} have a main.rs?")
}

/// Reads a cargo's output until it ends.
struct Follower {
    cargo: Pid,
    messages: Tail,
    progress: Tail,
    group: SharedGroup,
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

impl Follower {
    async fn follow(mut self, state: watch::Sender<State>) {
        loop {
            // Before the output is read, so that the last of it is.
            let succeeded = self.ended();
            let (messages, lines) = (self.messages.lines().unwrap_or_default(), self.progress.lines().unwrap_or_default());
            if !messages.is_empty() || !lines.is_empty() || succeeded.is_some() {
                state.send_modify(|state| {
                    state.executables.extend(messages.iter().filter_map(|message| executable(message)));
                    for line in lines {
                        match Progress::parse(&line) {
                            Some(progress) => state.progress = Some(progress),
                            None => state.said += &format!("{line}\n"),
                        }
                    }
                    state.succeeded = succeeded;
                });
            }
            if succeeded.is_some() {
                drop(take(&self.group));
                return;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn ended(&self) -> Option<bool> {
        match waitpid(self.cargo, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => None,
            Ok(WaitStatus::Exited(_, code)) => Some(code == 0),
            _ => Some(false),
        }
    }
}

fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: Message = serde_json::from_str(message).ok()?;
    if message.reason != "compiler-artifact" {
        return None;
    }
    Some((message.target?.name, message.executable?))
}
