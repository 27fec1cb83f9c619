//! A function's process: its environment, its signals, its end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::logs::{self, LogSink};
use super::state::State;
use crate::build::Executable;
use crate::guard::Guard;

/// What a sandbox runs.
#[derive(Clone)]
pub struct Program {
    /// The function's name.
    pub function: String,
    /// Its `bootstrap`.
    pub executable: Executable,
    /// Its memory in MB, which it is told but which is not enforced.
    pub memory_mb: u32,
    /// Its timeout.
    pub timeout: Duration,
    /// Its own variables; secrets are among them.
    pub environment: BTreeMap<String, String>,
}

/// How many invocations a sandbox takes at once on Lambda Managed Instances.
pub const MAX_CONCURRENCY: &str = "AWS_LAMBDA_MAX_CONCURRENCY";

impl Program {
    /// How many invocations one sandbox takes at once: what its environment says in [`MAX_CONCURRENCY`], or one. A value that is no such
    /// number is for the function to complain of, in init.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.environment.get(MAX_CONCURRENCY).and_then(|value| value.parse().ok()).unwrap_or(1).max(1)
    }
}

/// The leader of a process group of its own, so that a Ctrl-C in the terminal reaches only the local cloud and a freeze stops children too.
pub(super) struct Process {
    group: Pid,
}

impl Process {
    pub(super) fn spawn(
        program: &Program,
        executable: &Path,
        runtime_api: SocketAddr,
        guard: &Guard,
        logs: &LogSink,
        state: Arc<State>,
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(executable)
            .env_clear()
            .envs(lambda_environment(program, executable, runtime_api))
            .envs(&program.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("the function {} did not start from {}", program.function, executable.display()))?;
        let id = child.id().context("a process ended before it had an id")?;
        let pid = i32::try_from(id).context("a process id beyond the system's range")?;
        guard.watch_group(id, Signal::SIGKILL)?;
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(logs::forward(stdout, program.function.clone(), pid, Arc::clone(logs)));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(logs::forward(stderr, program.function.clone(), pid, Arc::clone(logs)));
        }
        tokio::spawn(reap(child, id, guard.clone(), state));
        Ok(Self { group: Pid::from_raw(pid) })
    }

    pub(super) fn pid(&self) -> i32 {
        self.group.as_raw()
    }

    /// Signals the whole group; one that is gone is left alone.
    pub(super) fn signal(&self, signal: Signal) {
        signal_group(self.pid(), signal);
    }
}

/// Signals a process group; one that is gone is left alone.
pub(super) fn signal_group(pid: i32, signal: Signal) {
    if let Err(error) = signal::killpg(Pid::from_raw(pid), signal)
        && error != nix::errno::Errno::ESRCH
    {
        tracing::warn!(pid, %signal, %error, "a sandbox could not be signalled");
    }
}

async fn reap(mut child: Child, id: u32, guard: Guard, state: Arc<State>) {
    let status = child.wait().await;
    guard.forget(id);
    state.end(&status.map_or_else(|error| error.to_string(), describe));
}

/// In the words of Lambda's logs: `exit status: 1`, `signal: killed`.
fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status: {code}"),
        (None, Some(9)) => "signal: killed".to_owned(),
        (None, signal) => format!("signal: {}", signal.unwrap_or_default()),
    }
}

/// The variables that Lambda reserves and sets.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>
fn lambda_environment(program: &Program, executable: &Path, runtime_api: SocketAddr) -> BTreeMap<&'static str, String> {
    let initialization = if program.concurrency() > 1 { "lambda-managed-instances" } else { "on-demand" };
    let directory = executable.parent().map(|path| path.display().to_string()).unwrap_or_default();
    BTreeMap::from([
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", program.function.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", program.memory_mb.to_string()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", initialization.to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", program.function)),
        ("AWS_LAMBDA_LOG_STREAM_NAME", format!("local/[$LATEST]{}", uuid::Uuid::new_v4().simple())),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023".to_owned()),
        ("_HANDLER", "bootstrap".to_owned()),
        ("LAMBDA_TASK_ROOT", directory.clone()),
        ("LAMBDA_RUNTIME_DIR", directory),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ("TZ", ":UTC".to_owned()),
    ])
}
