//! AWS's Runtime Interface Emulator, the one that SAM CLI puts into its containers, here without any.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;

use crate::client::{Answer, http_client};
use crate::process::{eventually, free_addresses};
use crate::server::{guard, new_directory, workspace};

/// By which functions learn how many invocations there are at once.
const MAX_CONCURRENCY: &str = "AWS_LAMBDA_MAX_CONCURRENCY";

/// One, with one function; ended with the test process at the latest.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    child: Child,
    log: PathBuf,
}

/// Where `.ci/run` installs SAM CLI.
fn program() -> PathBuf {
    let name = match std::env::consts::ARCH {
        "aarch64" => "aws-lambda-rie-arm64",
        _ => "aws-lambda-rie-x86_64",
    };
    let libraries = workspace().root().join("target/lint/lib");
    let pythons = std::fs::read_dir(libraries).into_iter().flatten().flatten();
    let found = pythons.map(|python| python.path().join("site-packages/samcli/local/rapid").join(name)).find(|program| program.is_file());
    found.expect("AWS's emulator is missing: install SAM CLI with pip install aws-sam-cli into a virtual environment at target/lint")
}

impl Emulator {
    /// Starts one that runs `executable`, with these variables, and ends an invocation after `timeout`, in whole seconds. The function starts
    /// with the first invocation.
    ///
    /// # Panics
    /// The emulator is not installed.
    pub async fn start(executable: &Path, timeout: Duration, environment: &BTreeMap<String, String>) -> Self {
        let [address, runtime_api] = free_addresses();
        let mut command = match environment.get(MAX_CONCURRENCY) {
            None => Command::new(program()),
            Some(_) => in_place_of_lambda(executable),
        };
        command.args(["--log-level", "error", "--runtime-interface-emulator-address", &address.to_string()]);
        command.args(["--runtime-api-address", &runtime_api.to_string()]).arg(executable);
        command.env("AWS_LAMBDA_FUNCTION_TIMEOUT", timeout.as_secs().to_string()).envs(environment);
        let log = new_directory().join("log");
        let file = std::fs::File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap();
        guard().watch(child.id(), Signal::SIGTERM).unwrap();
        let this = Self { address, child, log };
        eventually("the emulator listens", async || tokio::net::TcpStream::connect(address).await.is_ok()).await;
        this
    }

    /// Invokes the function: the status and the body by which the emulator answers.
    pub async fn invoke(&self, event: &Value) -> Answer {
        Answer::of(http_client().post(self.url()).body(event.to_string())).await
    }

    /// The same, where no answer may come: the emulator ends.
    pub async fn try_invoke(&self, event: &Value) -> Option<String> {
        http_client().post(self.url()).timeout(Duration::from_secs(60)).body(event.to_string()).send().await.ok()?.text().await.ok()
    }

    /// Whether it goes on.
    ///
    /// # Panics
    /// The system does not say.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    fn url(&self) -> String {
        format!("http://{}/2015-03-31/functions/function/invocations", self.address)
    }

    /// What the emulator and the function wrote.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Tells it to end, and waits until it did.
    pub async fn stop(mut self) {
        self.terminate();
        eventually("the emulator ends", async || self.child.try_wait().unwrap().is_some()).await;
    }

    fn terminate(&self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM);
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            // By SIGKILL it would leave the function behind.
            self.terminate();
            drop(self.child.wait());
        }
        guard().forget(self.child.id());
    }
}

/// For more than one invocation at once it runs `/var/task/bootstrap`, whatever else it is told: so it gets a `/var` of its own.
fn in_place_of_lambda(executable: &Path) -> Command {
    let mut command = Command::new("unshare");
    if !geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let script = "mount -t tmpfs none /var && mkdir /var/task && ln -s \"$1\" /var/task/bootstrap && shift && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(executable).arg(program());
    command
}
