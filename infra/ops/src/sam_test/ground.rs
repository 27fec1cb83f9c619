//! What the containers meet: a database, the stand-in for RDS Proxy before it, and a place for CloudFormation's answers.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::put;
use bytes::Bytes;
use local::address::Address;
use local::guard::Guard;
use local::postgres::{self, Cluster, Durability, Settings, account};
use local::proxy::{self, Clients, Proxy, Upstream};
use local::roles::{MASTER_ROLE, Roles};
use local::template::{Function, Template};
use local::workspace::Workspace;
use local::{provision, stack};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The name of the certificate's file in a function's folder, which is /var/task in its container.
const AUTHORITY: &str = "database-authority.pem";

/// All of it, until it is dropped.
pub(super) struct Ground {
    scratch: TempDir,
    address: Address,
    proxy: Proxy,
    /// How the one function connects that goes past the proxy.
    direct: Roles,
    answers: Answers,
    answers_address: SocketAddr,
    _cluster: Cluster,
    _serving: JoinSet<()>,
}

impl Ground {
    /// An empty database on a server of its own, reached from containers by `reach`.
    ///
    /// # Errors
    /// The server cannot be had, or nothing can listen at `reach`.
    pub(super) async fn prepare(workspace: &Workspace, reach: IpAddr, guard: &Guard) -> Result<Self> {
        let scratch = account::temporary_directory("thaw-sam-test-")?;
        guard.remove_directory_at_end(scratch.path(), &account::temporary_root()?)?;
        let binaries = postgres::provide(guard, &workspace.postgres_cache(), |line| eprintln!("{line}")).await?;
        let mut cluster = Cluster::create(guard, &binaries, &scratch.path().join("postgres"), Settings::new(Durability::Disposable)).await?;
        cluster.start().await?;
        let address = Address::parse(&cluster.superuser_url("thaw")?)?;
        provision::create(&address, false).await?;

        let mut serving = JoinSet::new();
        let relay = listen(reach).await?;
        let relay_address = relay.local_addr().context("no port is free")?;
        serving.spawn(forward(relay, address.server()));
        let roles = Roles::of(workspace, &address)?;
        let settings = proxy::Settings { clients: Clients::Containers(reach), ..proxy::Settings::default() };
        let proxy = Proxy::start(Upstream::new(&roles)?, settings, Arc::new(|_| ()), scratch.path()).await?;

        let answers = Answers::default();
        let listener = listen(reach).await?;
        let answers_address = listener.local_addr().context("no port is free")?;
        let router = axum::Router::new().route("/", put(keep)).with_state(answers.clone());
        serving.spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { scratch, address, proxy, direct: roles.by_way_of(relay_address), answers, answers_address, _cluster: cluster, _serving: serving })
    }

    /// Lets the functions' roles sign in and fills the database, whose schema is there by now.
    ///
    /// # Errors
    /// As [`provision::provision`].
    pub(super) async fn fill(&self, workspace: &Workspace) -> Result<()> {
        provision::provision(workspace, &self.address, &mut |_| ()).await?;
        Ok(())
    }

    /// Writes what `--env-vars` takes: every variable that the template declares, as the local cloud would give it. What the stand-in is
    /// trusted by is put beside each function's program, in `bundle`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(super) fn write_variables(&self, template: &Template, bundle: &Path) -> Result<PathBuf> {
        let mut document = BTreeMap::new();
        for function in &template.functions {
            document.insert(&function.logical_id, self.variables(function)?);
            let (from, to) = (&self.proxy.environment()["DB_CA_FILE"], bundle.join(&function.logical_id).join(AUTHORITY));
            std::fs::copy(from, &to).with_context(|| format!("cannot write {}", to.display()))?;
            // Functions run as another user there.
            std::fs::set_permissions(&to, Permissions::from_mode(0o644)).with_context(|| format!("cannot open up {}", to.display()))?;
        }
        self.write("variables.json", &json!(document))
    }

    fn variables(&self, function: &Function) -> Result<BTreeMap<String, String>> {
        let mut variables = function.environment.clone();
        let database = match variables.get("DB_USER") {
            Some(role) if role == MASTER_ROLE => stack::direct_environment(&self.direct, role)?,
            _ => {
                let mut environment = self.proxy.environment();
                environment.insert("DB_CA_FILE".to_owned(), format!("/var/task/{AUTHORITY}"));
                environment
            }
        };
        // SAM CLI passes on what the template declares, and has its own credentials.
        variables.extend(database.into_iter().filter(|(name, _)| function.environment.contains_key(name)));
        Ok(variables)
    }

    /// The event as a file, with its answer to come here where it has one elsewhere.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write_event(&self, name: &str, event: &Value) -> Result<PathBuf> {
        let mut event = event.clone();
        if let Some(url) = event.get_mut("ResponseURL") {
            *url = format!("http://{}/", self.answers_address).into();
        }
        self.write(name, &event)
    }

    /// A place for what a program says.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// What came by PUT since the last call.
    pub(super) fn take_answers(&self) -> Vec<Value> {
        std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Its folder is the owner's alone: passwords are among the variables.
    fn write(&self, name: &str, document: &Value) -> Result<PathBuf> {
        let file = self.scratch.path().join(name);
        std::fs::write(&file, document.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).with_context(|| format!("cannot close {}", file.display()))?;
        Ok(file)
    }
}

type Answers = Arc<Mutex<Vec<Value>>>;

async fn keep(State(answers): State<Answers>, body: Bytes) -> StatusCode {
    let Ok(answer) = serde_json::from_slice(&body) else { return StatusCode::BAD_REQUEST };
    answers.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
    StatusCode::OK
}

async fn listen(address: IpAddr) -> Result<TcpListener> {
    TcpListener::bind((address, 0)).await.with_context(|| {
        format!("cannot listen on {address}, by which containers reach this machine: sam-test needs a Docker engine on this machine itself, on Linux")
    })
}

/// The server listens on the loopback interface alone. It asks everybody for a password.
async fn forward(listener: TcpListener, server: String) {
    let mut sessions = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let server = server.clone();
        sessions.spawn(async move {
            if let Ok(mut upstream) = TcpStream::connect(server).await {
                // Either end may go first.
                let _ = copy_bidirectional(&mut client, &mut upstream).await;
            }
        });
    }
}
