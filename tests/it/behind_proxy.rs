//! The bundle behind a proxy that fails as networks fail.

use std::time::{Duration, Instant};

use tests::{Answer, Api, Database, FaultProxy, Options};

pub(crate) const PATH: &str = "/api/user/purchased-models";
pub(crate) const FUNCTION: &str = "purchased-models";
/// Far more than a warm request takes, also on a busy machine, and far less than any of the timeouts.
pub(crate) const NORMAL: Duration = Duration::from_millis(1_000);

/// The bundle behind a proxy, warm, with the answer that it has to go on giving.
pub(crate) struct BehindProxy {
    pub(crate) api: Api,
    pub(crate) proxy: FaultProxy,
    pub(crate) right: String,
    _database: Database,
}

impl BehindProxy {
    pub(crate) async fn warm() -> Self {
        Self::with(Database::seeded().await, Options::default()).await
    }

    pub(crate) async fn with(database: Database, options: Options) -> Self {
        let proxy = FaultProxy::to(database.address()).await;
        let url = database.app_url_at(proxy.address());
        let api = Api::with(&database, options.by_url(&url)).await;
        let answer = api.get_as("user-1", PATH).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        api.frozen(FUNCTION).await;
        Self { api, proxy, right: answer.body, _database: database }
    }

    pub(crate) async fn get(&self) -> (Answer, Duration) {
        let began = Instant::now();
        (self.api.get_as("user-1", PATH).await, began.elapsed())
    }

    /// 200 with the right data; tells how long it took.
    pub(crate) async fn served(&self) -> Duration {
        let (answer, took) = self.get().await;
        assert_eq!((answer.status, &answer.body), (200, &self.right));
        took
    }
}

/// The bundle behind a proxy that stands between it and the stand-in for RDS Proxy.
pub(crate) async fn before_the_stand_in(database: &Database) -> (Api, FaultProxy) {
    // Listens first, since its port is the one that tokens are signed for.
    let proxy = FaultProxy::to(database.address()).await;
    let settings = local::proxy::Settings { public_port: Some(proxy.address().port()), ..local::proxy::Settings::default() };
    let api = Api::with(database, Options { proxy: Some(settings), ..Options::default() }).await;
    proxy.point_to(api.proxy().address());
    (api, proxy)
}
