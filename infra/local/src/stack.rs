//! The bundle as a whole, running: its functions, its API, and the port beside it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::build::Executable;
use crate::cloud::{self, Cloud};
use crate::control;
use crate::dashboard::{Dashboard, Ear, Watched};
use crate::drill;
use crate::gateway::{self, ACCOUNT_ID, Gateway, IamAuthorizer};
use crate::guard::Guard;
use crate::issuer::Issuer;
use crate::proxy::{self, PinSink, Proxy, Upstream};
use crate::roles::{MASTER_ROLE, Roles};
use crate::sandbox::{LogSink, MAX_CONCURRENCY, Program};
use crate::sigv4::{LocalCredentials, REGION};
use crate::template::{Route, Template};
use crate::traffic::Traffic;

/// The audience of the local issuer's tokens.
pub const AUDIENCE: &str = "thaw-local";
/// How long a token lives if nothing is said: a working day.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);

/// Whose session the operator's credentials are: `assumed-role/<role>/<session>`.
const OPERATOR: (&str, &str) = ("thaw-local", "operator");

/// What to run.
pub struct Plan<'a> {
    /// The template.
    pub template: &'a Path,
    /// The functions' executables by name.
    pub executables: &'a BTreeMap<String, Executable>,
    /// How the functions sign in to the database.
    pub roles: &'a Roles,
    /// The stand-in for RDS Proxy before the database; without it functions connect to the database itself.
    pub proxy: Option<proxy::Settings>,
    /// The template's `CorsAllowedOrigins`: which pages of other origins may call from a browser, separated by commas; empty for none.
    pub cors_allowed_origins: &'a str,
    /// Variables of the functions, over those of the template and of the database.
    pub environment: BTreeMap<String, String>,
    /// Where the issuer's key lies, and the certificate that the stand-in is trusted by.
    pub issuer_directory: &'a Path,
    /// Bounds of the sandboxes.
    pub settings: cloud::Settings,
    /// Where the functions' lines go.
    pub logs: LogSink,
    /// Where statements go that pin a session of the stand-in, or may.
    pub pins: PinSink,
    /// The database that the dashboard's drills strike; without it there is no dashboard.
    pub dashboard: Option<drill::Database>,
}

/// The bundle, running until it is shut down.
pub struct Stack {
    /// The functions.
    pub cloud: Arc<Cloud>,
    /// The issuer whose tokens the API accepts.
    pub issuer: Arc<Issuer>,
    /// What requests to routes with `AWS_IAM` are signed with: of this start, and not the functions'. A secret.
    pub operator: LocalCredentials,
    /// The API's routes.
    pub routes: Vec<Route>,
    /// The stand-in for RDS Proxy, where there is one.
    pub proxy: Option<Arc<Proxy>>,
    /// The dashboard, where there is one.
    pub dashboard: Option<Arc<Dashboard>>,
    api: SocketAddr,
    control: SocketAddr,
    stopping: watch::Sender<bool>,
    servers: JoinSet<()>,
}

/// The template as the local cloud reads it, without running anything.
///
/// # Errors
/// The template cannot be read.
pub fn template(file: &Path) -> Result<Template> {
    read(file, "http://127.0.0.1", "")
}

/// The names of the template's functions, without running anything.
///
/// # Errors
/// The template cannot be read.
pub fn functions(file: &Path) -> Result<Vec<String>> {
    Ok(template(file)?.functions.into_iter().map(|function| function.name).collect())
}

/// What a function needs beyond the template to connect to the database itself: the URL of its role, whose sslmode takes the place of
/// `DB_TLS`. A secret is among it.
///
/// # Errors
/// There is no such role.
pub fn direct_environment(roles: &Roles, role: &str) -> Result<BTreeMap<String, String>> {
    let variables =
        [("DATABASE_URL", roles.url(role)?), ("DB_AUTH", "password".to_owned()), ("DB_TLS", String::new()), ("DB_CA_FILE", String::new())];
    Ok(variables.map(|(name, value)| (name.to_owned(), value)).into())
}

fn read(template: &Path, issuer: &str, cors_allowed_origins: &str) -> Result<Template> {
    let parameters = [
        ("JwtIssuer", issuer),
        ("JwtAudience", AUDIENCE),
        ("DbHost", "127.0.0.1"),
        ("DbName", "thaw"),
        ("DbClusterHost", "127.0.0.1"),
        ("DbMasterUser", MASTER_ROLE),
        // There is no API of RDS here, whose proxy could be asked about.
        ("DbProxyName", "none"),
        ("CorsAllowedOrigins", cors_allowed_origins),
    ];
    Template::read(template, &parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
}

impl Stack {
    /// Serves the API on `listener`. Functions start with their first invocations.
    ///
    /// # Errors
    /// The template, an executable or the issuer's key is not usable, or no port can be had.
    pub async fn start(plan: Plan<'_>, listener: TcpListener, guard: &Guard) -> Result<Self> {
        let api = listener.local_addr().context("the API has no address")?;
        let control_listener = remembered_port(plan.issuer_directory).await?;
        let control = control_listener.local_addr().context("the issuer has no address")?;
        let issuer = Arc::new(Issuer::load_or_create(plan.issuer_directory, format!("http://{control}"))?);
        let template = read(plan.template, issuer.url(), plan.cors_allowed_origins)?;
        let proxy = match plan.proxy {
            Some(settings) => Some(Arc::new(Proxy::start(Upstream::new(plan.roles)?, settings, plan.pins, plan.issuer_directory).await?)),
            None => None,
        };
        let programs = template.functions.iter().map(|function| {
            let executable = plan.executables.get(&function.name).with_context(|| format!("the function {} was not built", function.name))?;
            let mut environment = function.environment.clone();
            environment.extend(function.sandbox_concurrency.map(|concurrency| (MAX_CONCURRENCY.to_owned(), concurrency.to_string())));
            let role = plan.environment.get("DB_USER").or(environment.get("DB_USER")).filter(|role| !role.is_empty());
            let database = match (&proxy, role) {
                (Some(proxy), role) if role.is_none_or(|role| role != MASTER_ROLE) => proxy.environment(),
                (_, Some(role)) => {
                    direct_environment(plan.roles, role).with_context(|| format!("the function {} cannot sign in as its DB_USER", function.name))?
                }
                // It says itself that it has no database.
                (_, None) => BTreeMap::new(),
            };
            environment.extend(database);
            environment.extend(plan.environment.clone());
            let program = Program {
                function: function.name.clone(),
                executable: executable.clone(),
                memory_mb: function.memory_mb,
                timeout: Duration::from_millis(function.timeout_ms),
                environment,
            };
            Ok((program, function.reserved_concurrency))
        });
        let ear = plan.dashboard.is_some().then(Ear::default);
        let cloud = Cloud::new(programs.collect::<Result<_>>()?, &plan.settings, guard.clone(), overheard(plan.logs, ear.clone()));
        let operator = LocalCredentials::generate()?;
        let iam = IamAuthorizer::new(ACCOUNT_ID, REGION).with(&operator, OPERATOR.0, OPERATOR.1);
        let mut settings =
            gateway::Settings { keys: Some(issuer.clone()), iam: Some(iam), cors: template.cors.clone(), ..gateway::Settings::default() };
        settings.requests = ear.as_ref().map(Ear::requests);
        let dashboard = match (ear, plan.dashboard) {
            (Some(ear), Some(database)) => {
                let traffic = Traffic::new(format!("http://{api}"), Arc::clone(&issuer), AUDIENCE, &template.routes);
                Some(Dashboard::start(ear, Watched { cloud: Arc::clone(&cloud), proxy: proxy.clone(), traffic, database })?)
            }
            _ => None,
        };
        settings.beside = dashboard.as_ref().map(|dashboard| dashboard.beside(api.port()));
        let gateway = Gateway::new(template.routes.clone(), Arc::clone(&cloud), settings)?;
        let stopping = watch::Sender::new(false);
        let mut servers = JoinSet::new();
        servers.spawn(gateway.serve(listener, stopped(stopping.subscribe())));
        let control_server = axum::serve(control_listener, control::router(Arc::clone(&cloud), proxy.clone(), &issuer));
        let mut control_stopping = stopping.subscribe();
        servers.spawn(async move {
            tokio::select! {
                served = control_server.into_future() => if let Err(error) = served {
                    tracing::error!(%error, "the issuer broke off");
                },
                _ = control_stopping.wait_for(|stopping| *stopping) => {}
            }
        });
        Ok(Self { cloud, issuer, operator, routes: template.routes, proxy, dashboard, api, control, stopping, servers })
    }

    /// The API's URL.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// The URL of the port beside it: issuer, Invoke API, what runs.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// A token that this API accepts.
    ///
    /// # Errors
    /// The subject is not usable.
    pub fn token(&self, subject: &str, lifetime: Duration) -> Result<String> {
        self.issuer.token(subject, AUDIENCE, lifetime)
    }

    /// Stops: first the API, so that open requests end, then every sandbox.
    pub async fn shut_down(self) {
        if let Some(dashboard) = &self.dashboard {
            dashboard.stop().await;
        }
        self.stopping.send_replace(true);
        self.servers.join_all().await;
        self.cloud.shut_down().await;
    }
}

/// A sink for lines that also lets the dashboard hear them.
fn overheard(logs: LogSink, ear: Option<Ear>) -> LogSink {
    let Some(ear) = ear else { return logs };
    Arc::new(move |line| {
        ear.line(&line);
        logs(line);
    })
}

/// The port of the last start where it is free, so that tokens outlive a restart: they name the issuer by it.
async fn remembered_port(directory: &Path) -> Result<TcpListener> {
    let file = directory.join("port");
    let last = std::fs::read_to_string(&file).ok().and_then(|port| port.trim().parse::<u16>().ok()).unwrap_or(0);
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, last)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port for the issuer")?,
    };
    let port = listener.local_addr().context("the issuer has no address")?.port();
    // Forgetting it costs only the tokens of this start.
    let _ = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&file, port.to_string()));
    Ok(listener)
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A sender that is gone means stop, too.
    drop(stopping.wait_for(|stopping| *stopping).await);
}
