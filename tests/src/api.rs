//! The bundle over one database, served from the local cloud.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use local::cloud::Settings;
use local::drill;
use local::invoke::{Invoke as _, InvokeError, Outcome};
use local::proxy::{self, Pin};
use local::sandbox::{Condition, LogLine, SandboxReport};
use local::stack::{Plan, Stack};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::client::{Answer, http_client};
use crate::database::Database;
use crate::functions;
use crate::pgbouncer;
use crate::process::eventually;
use crate::server::{guard, workspace};

/// How a test's bundle differs from the usual.
pub struct Options {
    /// Which pages of other origins may call, separated by commas.
    pub cors_allowed_origins: String,
    /// Variables of the functions, over those of the template.
    pub environment: BTreeMap<String, String>,
    /// Bounds of the sandboxes.
    pub settings: Settings,
    /// Executables that take the place of the built ones, by function.
    pub executables: BTreeMap<String, PathBuf>,
    /// A template that takes the place of the committed one.
    pub template: Option<PathBuf>,
    /// The stand-in for RDS Proxy before the database; without it functions connect to the database itself, or the pooler before it.
    pub proxy: Option<proxy::Settings>,
    /// Whether the dashboard is served beside the API. Its drills take the server for somebody's own.
    pub dashboard: bool,
}

impl Default for Options {
    fn default() -> Self {
        // On a busy machine an instant may be long, and tests count sandboxes.
        let settings = Settings { settle_limit: Duration::from_secs(10), ..Settings::default() };
        Self {
            cors_allowed_origins: String::new(),
            environment: BTreeMap::new(),
            settings,
            executables: BTreeMap::new(),
            template: None,
            proxy: (!pgbouncer::is_wanted()).then(proxy::Settings::default),
            dashboard: false,
        }
    }
}

impl Options {
    /// Functions connect to the database itself, with a password and in plain text: for faults that only a message's content makes.
    #[must_use]
    pub fn direct() -> Self {
        Self { proxy: None, ..Self::default() }
    }

    /// As [`Options::direct`], by this URL: that of a fault proxy before the database.
    #[must_use]
    pub fn by_url(mut self, url: &str) -> Self {
        self.proxy = None;
        self.with_variable("DATABASE_URL", url)
    }

    /// With a variable set.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// The bundle over one database.
pub struct Api {
    stack: Stack,
    client: reqwest::Client,
    logs: Arc<Mutex<Vec<LogLine>>>,
    pinned: Arc<Mutex<Vec<Pin>>>,
}

impl Api {
    /// Serves the bundle over a database, by the committed template.
    pub async fn over(database: &Database) -> Self {
        Self::with(database, Options::default()).await
    }

    /// As [`Api::over`], with differences.
    pub async fn with(database: &Database, options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut executables = functions::executables().await.clone();
        executables.extend(options.executables);
        let logs = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&logs);
        let pinned = Arc::new(Mutex::new(Vec::new()));
        let pins = Arc::clone(&pinned);
        let plan = Plan {
            template: &options.template.unwrap_or_else(|| workspace().template()),
            executables: &executables.into_iter().map(|(function, path)| (function, path.into())).collect(),
            roles: &database.roles(),
            proxy: options.proxy,
            cors_allowed_origins: &options.cors_allowed_origins,
            environment: options.environment,
            issuer_directory: issuer_directory(),
            settings: options.settings,
            logs: Arc::new(move |line| sink.lock().unwrap().push(line)),
            pins: Arc::new(move |pin| pins.lock().unwrap().push(pin.clone())),
            dashboard: options.dashboard.then(|| drill::Database { address: database.administrated(), cluster: None }),
        };
        let stack = Stack::start(plan, listener, &guard()).await.unwrap();
        Self { stack, client: http_client(), logs, pinned }
    }

    /// The API's URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.stack.api_url()
    }

    /// The URL of the port beside it.
    #[must_use]
    pub fn control_url(&self) -> String {
        self.stack.control_url()
    }

    /// The issuer, for tokens that are wrong on purpose.
    #[must_use]
    pub fn issuer(&self) -> &local::issuer::Issuer {
        &self.stack.issuer
    }

    /// A valid token.
    #[must_use]
    pub fn token(&self, subject: &str) -> String {
        self.stack.token(subject, Duration::from_secs(600)).unwrap()
    }

    /// What requests to routes with `AWS_IAM` are signed with.
    #[must_use]
    pub fn operator(&self) -> &local::sigv4::LocalCredentials {
        &self.stack.operator
    }

    /// A request to build upon.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method.parse().unwrap(), format!("{}{path}", self.url()))
    }

    /// A GET without a token.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request("GET", path)).await
    }

    /// A GET with a subject's token.
    pub async fn get_as(&self, subject: &str, path: &str) -> Answer {
        Answer::of(self.request("GET", path).bearer_auth(self.token(subject))).await
    }

    /// Sends a request that was built upon [`Api::request`].
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        Answer::of(request).await
    }

    /// Invokes a function without the gateway.
    ///
    /// # Errors
    /// As Lambda's Invoke API.
    pub async fn invoke(&self, function: &str, event: &Value) -> Result<Outcome, InvokeError> {
        self.stack.cloud.invoke(function, event.to_string().into()).await
    }

    /// Invokes a function without the gateway and reads its HTTP response.
    pub async fn respond(&self, function: &str, event: &Value) -> Value {
        let outcome = self.invoke(function, event).await.unwrap();
        serde_json::from_slice(&outcome.result.expect("the function answers")).unwrap()
    }

    /// The sandboxes of one function.
    pub async fn sandboxes(&self, function: &str) -> Vec<SandboxReport> {
        self.stack.cloud.sandboxes().await.into_iter().filter(|sandbox| sandbox.function == function).collect()
    }

    /// The one sandbox of a function, once it is frozen.
    pub async fn frozen(&self, function: &str) -> SandboxReport {
        for _ in 0..500 {
            let sandboxes = self.sandboxes(function).await;
            assert!(sandboxes.len() <= 1, "{sandboxes:?}");
            if let Some(sandbox) = sandboxes.into_iter().find(|sandbox| sandbox.condition == Condition::Frozen) {
                return sandbox;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{function} did not freeze: {:?}", self.sandboxes(function).await);
    }

    /// Waits until every sandbox of a function is frozen.
    pub async fn all_frozen(&self, function: &str) {
        let is_frozen = async || self.sandboxes(function).await.iter().all(|sandbox| sandbox.condition == Condition::Frozen);
        eventually("every sandbox is frozen", is_frozen).await;
    }

    /// The process of the one sandbox of a function that is at an invocation.
    pub async fn busy(&self, function: &str) -> i32 {
        let mut busy = self.sandboxes(function).await;
        busy.retain(|sandbox| matches!(sandbox.condition, Condition::Cold | Condition::Warm));
        assert_eq!(busy.len(), 1, "{busy:?}");
        busy[0].pid
    }

    /// What the functions logged so far.
    #[must_use]
    pub fn logs(&self) -> Vec<LogLine> {
        self.logs.lock().unwrap().clone()
    }

    /// What pinned a session of the stand-in so far, or may.
    #[must_use]
    pub fn pins(&self) -> Vec<Pin> {
        self.pinned.lock().unwrap().clone()
    }

    /// The stand-in for RDS Proxy.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn proxy(&self) -> &local::proxy::Proxy {
        self.stack.proxy.as_ref().expect("the functions connect through the stand-in")
    }

    /// The dashboard.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn dashboard(&self) -> &local::dashboard::Dashboard {
        self.stack.dashboard.as_deref().expect("a dashboard is among the options")
    }

    /// Ends everything.
    pub async fn stop(self) {
        self.stack.shut_down().await;
    }
}

/// One key for the whole test process: making one takes a while.
fn issuer_directory() -> &'static Path {
    static DIRECTORY: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let root = std::env::temp_dir();
        let directory = tempfile::Builder::new().prefix("thaw-test-issuer-").tempdir_in(&root).unwrap().keep();
        guard().remove_directory_at_end(&directory, &root).unwrap();
        directory
    })
}
