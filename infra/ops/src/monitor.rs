//! `cargo ops monitor`, and the same checks on the page of `cargo dev`.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::Args;
use local::dashboard::{self, Checks};
use local::workspace::Workspace;
use reqwest::{Method, StatusCode};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;

use crate::output;
use crate::signed::{Access, Answer, Api, TargetArguments};

/// The one path that is asked.
pub(crate) const PATH: &str = "/api/debug/monitor";

const AFTER_HELP: &str = "\
The page is for this machine alone. It shows what the stack's monitor says, and can change nothing: this command signs GET \
/api/debug/monitor, at most every five seconds and only while the page is open, and nothing else. The page never sees the credentials. They \
are those that the AWS command line would take, which need execute-api:Invoke on that route; for the running cargo dev of this checkout, \
those that it made at its start.

Examples:
  AWS_PROFILE=production cargo ops monitor --url https://abc123.execute-api.eu-central-1.amazonaws.com
  cargo ops monitor --url https://api.example.com --region eu-central-1 --port 8080
  cargo ops monitor --json";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    /// The page's port on 127.0.0.1
    #[arg(long, value_name = "N", default_value_t = 3001)]
    port: u16,
    /// Print one answer of the monitor as the JSON document that it is, and serve no page
    #[arg(long, conflicts_with = "port")]
    json: bool,
}

pub(crate) async fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let api = Api::open(workspace, &arguments.target, Access::Signed).await?;
    if arguments.json {
        let answer = api.send(Method::GET, PATH, None).await?;
        return output::line(&answer.json()?.to_string());
    }
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    output::start_logging();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await;
    let listener = listener.with_context(|| format!("cannot listen on port {}: choose another with --port", arguments.port))?;
    let page = format!("http://{}{}", listener.local_addr().context("the page has no address")?, dashboard::PAGE_PATH);
    output::line(&format!("dashboard  {page}"))?;
    let shown = format!("{}{PATH}", api.shown());
    let asking = Arc::new(Asking { workspace: workspace.clone(), arguments: arguments.target.clone(), api: Mutex::new(Some(api)) });
    let checks = Checks::new(Arc::new(move || {
        let asking = Arc::clone(&asking);
        Box::pin(async move { asking.ask().await })
    }));
    let shutdown = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    dashboard::serve(listener, shown, checks, shutdown).await
}

/// The checks of a `cargo dev` that has started.
pub(crate) fn checks_of(api: Api) -> Checks {
    let api = Arc::new(api);
    Checks::new(Arc::new(move || {
        let api = Arc::clone(&api);
        Box::pin(async move { document(&api.send(Method::GET, PATH, None).await?) })
    }))
}

/// Asks for as long as the page is open, which may be longer than credentials live.
struct Asking {
    workspace: Workspace,
    arguments: TargetArguments,
    /// None once its credentials were refused: they are looked for anew.
    api: Mutex<Option<Api>>,
}

impl Asking {
    async fn ask(&self) -> Result<Bytes> {
        let mut place = self.api.lock().await;
        let api = match place.take() {
            Some(api) => api,
            None => Api::open(&self.workspace, &self.arguments, Access::Signed).await?,
        };
        let answer = api.send(Method::GET, PATH, None).await;
        if !answer.as_ref().is_ok_and(|answer| answer.status == StatusCode::FORBIDDEN) {
            *place = Some(api);
        }
        document(&answer?)
    }
}

fn document(answer: &Answer) -> Result<Bytes> {
    if answer.status == StatusCode::OK { Ok(answer.body.clone()) } else { Err(answer.problem()) }
}
