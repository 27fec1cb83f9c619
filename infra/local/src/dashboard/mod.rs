//! A page on which what runs here can be watched, and in `cargo dev` be struck by faults.
//!
//! It is one page without a build step: files beside this one, a feed of JSON that the page asks for once a second, and, in `cargo dev`,
//! the drills and a load. Whoever serves it listens on a loopback port. A page of another origin reaches nothing of it: `Host` and `Origin`
//! are checked, and every POST needs a token that is new with each start. The page puts text into text nodes alone, and its Content Security
//! Policy (with Trusted Types) takes everything else away: what comes from the database never becomes HTML.

mod admission;
mod checks;
mod clock;
mod feed;
mod latencies;
mod load;
mod monitor;
mod page;
mod record;
mod router;

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use anyhow::Result;
use tokio::time::MissedTickBehavior;

use crate::cloud::Cloud;
use crate::drill::{self, Drills, Surroundings};
use crate::gateway::{Beside, RequestSink};
use crate::proxy::Proxy;
use crate::sandbox::LogLine;
use crate::secret;
use crate::traffic::Traffic;
pub use checks::{Checks, Fetch};
use load::Load;
pub use monitor::serve;
use record::{Record, Standing};
use router::{Site, Source};

/// The page.
pub const PAGE_PATH: &str = "/";
/// Everything else of it.
const PREFIX: &str = "/_thaw/";
/// Where a drill is run, its name after it.
pub const DRILLS_PATH: &str = "/_thaw/drills";
/// The header of the token that every POST needs.
pub const TOKEN_HEADER: &str = "x-thaw-token";

/// Requests to these are not counted: they tell how the database is, by a 503 too.
const DEBUG_PATHS: &str = "/api/debug/";
const SECOND: Duration = Duration::from_secs(1);

/// Hears what happens, from before there is anything to watch.
#[derive(Clone, Default)]
pub(crate) struct Ear(Arc<Record>);

impl Ear {
    pub(crate) fn line(&self, line: &LogLine) {
        self.0.line(line);
    }

    pub(crate) fn requests(&self) -> RequestSink {
        let record = Arc::clone(&self.0);
        Arc::new(move |path, status, took| {
            if !path.starts_with(DEBUG_PATHS) {
                record.request(status, took);
            }
        })
    }
}

/// What the dashboard of a stack watches, and what its drills strike.
pub(crate) struct Watched {
    pub(crate) cloud: Arc<Cloud>,
    pub(crate) proxy: Option<Arc<Proxy>>,
    pub(crate) traffic: Traffic,
    pub(crate) database: drill::Database,
}

/// The dashboard of a stack.
pub struct Dashboard {
    token: String,
    start: u64,
    record: Arc<Record>,
    cloud: Arc<Cloud>,
    proxy: Option<Arc<Proxy>>,
    drills: Drills,
    load: Load,
    checks: OnceLock<Arc<Checks>>,
}

impl Dashboard {
    /// Begins to watch.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub(crate) fn start(ear: Ear, watched: Watched) -> Result<Arc<Self>> {
        let Watched { cloud, proxy, traffic, database } = watched;
        let traffic = Arc::new(traffic);
        let dashboard = Arc::new(Self {
            token: secret::random_word()?,
            start: clock::now_ms(),
            record: ear.0,
            drills: Drills::new(Surroundings { cloud: Arc::clone(&cloud), proxy: proxy.clone(), database }, Arc::clone(&traffic)),
            cloud,
            proxy,
            load: Load::new(traffic),
            checks: OnceLock::new(),
        });
        tokio::spawn(watch(Arc::downgrade(&dashboard)));
        Ok(dashboard)
    }

    /// The page and what belongs to it, beside the API on `port`.
    pub(crate) fn beside(self: &Arc<Self>, port: u16) -> Beside {
        Beside { takes: router::takes, router: router::router(Site::new(port, self.token.clone(), Source::Stack(Arc::clone(self)))) }
    }

    /// What every POST of this start needs: a secret.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Shows the checks of the database too. Only the first call counts.
    pub fn show_checks(&self, checks: Checks) {
        // A second one finds the place taken.
        drop(self.checks.set(Arc::new(checks)));
    }

    /// Ends the load and the drills, their faults included.
    pub(crate) async fn stop(&self) {
        self.load.turn(false);
        self.drills.stop().await;
    }

    async fn standing(&self) -> Standing {
        let drill = self.drills.latest().map(drill::Drill::name);
        let standing = Standing { drill, ..Standing::default() }.with_sandboxes(&self.cloud.sandboxes().await);
        match self.proxy.as_ref().map(|proxy| proxy.report()) {
            Some(report) => Standing { clients: report.clients, borrowed: report.borrowed, idle: report.idle, ..standing },
            None => standing,
        }
    }
}

/// Ends each second of the record, until nobody has the dashboard any more.
async fn watch(dashboard: Weak<Dashboard>) {
    let mut tick = tokio::time::interval(SECOND);
    // After a pause of the whole machine one second is as good as many.
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    tick.tick().await;
    loop {
        tick.tick().await;
        let Some(dashboard) = dashboard.upgrade() else { return };
        let standing = dashboard.standing().await;
        dashboard.record.end_second(standing);
    }
}
