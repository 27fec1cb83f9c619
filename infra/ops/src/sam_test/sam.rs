//! SAM CLI: build, `local invoke`, `local start-api`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use local::build;
use local::group::Group;
use local::guard::Guard;
use local::sigv4::REGION;
use local::workspace::Workspace;
use nix::sys::signal::Signal;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// A container starts in two seconds, and a function may take 300 (migrate).
const INVOCATION_LIMIT: Duration = Duration::from_secs(400);
const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// What a deployment would have to give; nothing here depends on them, because `sam local` has no authorizer for tokens.
const PARAMETERS: [&str; 2] = ["JwtIssuer=https://identity.example.com/", "JwtAudience=thaw"];

/// SAM CLI, on one checkout.
pub(super) struct Sam<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) guard: &'a Guard,
    /// As the template calls this machine's processor.
    pub(super) architecture: &'static str,
}

/// What `sam local invoke` printed.
pub(super) struct Invoked {
    /// The function's answer.
    pub(super) answer: String,
    /// Lambda's lines and the function's.
    pub(super) log: String,
    pub(super) took: Duration,
}

impl Sam<'_> {
    /// Where the built bundle lies.
    pub(super) fn directory(&self) -> PathBuf {
        self.workspace.root().join("target/sam")
    }

    /// The name of the processor that the functions are built for: this machine's.
    ///
    /// # Errors
    /// Lambda has no such processor.
    pub(super) fn architecture() -> Result<&'static str> {
        match std::env::consts::ARCH {
            "x86_64" => Ok("x86_64"),
            "aarch64" => Ok("arm64"),
            other => bail!("Lambda has no processors of the kind {other}"),
        }
    }

    /// Builds all functions. What cargo and SAM CLI say of it goes to standard error.
    ///
    /// # Errors
    /// They do not compile.
    pub(super) async fn build(&self) -> Result<()> {
        let mut command = self.command(&["build", "--build-dir"]);
        command.arg(self.directory()).arg("--template-file").arg(self.workspace.template());
        command.stdout(Stdio::from(std::io::stderr()));
        self.with_parameters(&mut command);
        let (mut child, group) = self.start(&mut command)?;
        let status = child.wait().await.context("sam build was lost")?;
        drop(group);
        ensure!(status.success(), "sam build failed (it says why above)");
        Ok(())
    }

    /// Invokes a function once, in a container of its own.
    ///
    /// # Errors
    /// SAM CLI does not come to an end. What the function answers, or that it fails, is none.
    pub(super) async fn invoke(&self, logical_id: &str, event: &Path, variables: &Path) -> Result<Invoked> {
        let begun = Instant::now();
        let mut command = self.local("invoke", variables);
        command.arg("--event").arg(event).arg(logical_id).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (child, group) = self.start(&mut command)?;
        let output = timeout(INVOCATION_LIMIT, child.wait_with_output()).await.context("sam local invoke does not come to an end")??;
        drop(group);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Ok(Invoked { answer: text(&output.stdout), log: text(&output.stderr), took: begun.elapsed() })
    }

    /// Serves the API until it is stopped. What it says goes into the file `log`.
    ///
    /// # Errors
    /// It ends, or does not listen within two minutes.
    pub(super) async fn start_api(&self, variables: &Path, log: &Path) -> Result<StartApi> {
        let port = free_port().await?;
        let file = std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = self.local("start-api", variables);
        command.args(["--warm-containers", "LAZY", "--host", "127.0.0.1", "--port", &port.to_string()]);
        command.stdout(Stdio::from(file.try_clone().context("cannot write the log")?)).stderr(Stdio::from(file));
        let (mut child, group) = self.start(&mut command)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listening = async {
            while TcpStream::connect(address).await.is_err() {
                if let Some(status) = child.try_wait().context("sam local start-api was lost")? {
                    bail!("sam local start-api ended with {status}: {}", std::fs::read_to_string(log).unwrap_or_default().trim());
                }
                sleep(PAUSE).await;
            }
            Ok(())
        };
        timeout(START_LIMIT, listening).await.context("sam local start-api does not listen")??;
        Ok(StartApi { url: format!("http://{address}"), child, group })
    }

    fn local(&self, verb: &str, variables: &Path) -> Command {
        let mut command = self.command(&["local", verb, "--skip-pull-image", "--region", REGION, "--template"]);
        command.arg(self.directory().join("template.yaml")).arg("--env-vars").arg(variables);
        self.with_parameters(&mut command);
        command
    }

    /// The machine's own credentials stay where they are: with any, SAM CLI would ask AWS whose they are, and hand them to the functions.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("sam");
        command.args(arguments).current_dir(self.workspace.root()).stdin(Stdio::null());
        build::hide_own_package(&mut command);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("AWS_")) {
                command.env_remove(name);
            }
        }
        let nothing = [("AWS_CONFIG_FILE", "/dev/null"), ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"), ("AWS_EC2_METADATA_DISABLED", "true")];
        command.envs(nothing).env("SAM_CLI_TELEMETRY", "0");
        command
    }

    fn with_parameters(&self, command: &mut Command) {
        command.arg("--parameter-overrides").arg(format!("Architecture={}", self.architecture)).args(PARAMETERS);
    }

    /// SIGINT: by another signal SAM CLI leaves its containers behind.
    fn start(&self, command: &mut Command) -> Result<(Child, Group)> {
        let child = command.process_group(0).spawn().context("sam did not start")?;
        let group = Group::of(&child, Signal::SIGINT, self.guard)?;
        Ok((child, group))
    }
}

/// `sam local start-api`, serving.
pub(super) struct StartApi {
    pub(super) url: String,
    child: Child,
    group: Group,
}

impl StartApi {
    /// Stops it, with its containers.
    ///
    /// # Errors
    /// It does not end within a minute.
    pub(super) async fn stop(mut self) -> Result<()> {
        drop(self.group);
        timeout(STOP_LIMIT, self.child.wait()).await.context("sam local start-api does not end")?.context("sam local start-api was lost")?;
        Ok(())
    }
}

/// One that was free a moment ago: SAM CLI cannot be told to choose, and to say which.
async fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port is free")?;
    Ok(listener.local_addr().context("no port is free")?.port())
}
