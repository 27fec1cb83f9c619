//! The local API Gateway: an HTTP API with Lambda proxy integrations of payload format 2.0.
//!
//! Routes, authorizers and CORS are the template's. A request passes, in this order, the quota for request line and headers, CORS, the route, its
//! authorizer (one that checks a signature has its last word once the body is there), the quotas for body and event, and the function. What the gateway answers itself has the status and the
//! `{"message": …}` body of API Gateway; the client sees nothing of what went wrong inside. Every answer carries
//! `apigw-requestid`, except the bare 400 and 431 of the HTTP server for a request that it could not parse.
//!
//! Not emulated: stages, stage variables, custom domains, throttling by rate, Lambda authorizers.

mod access_log;
mod authorizer;
mod beside;
mod claims;
mod cors;
mod event;
mod iam;
mod limits;
mod path;
mod request;
mod response;
mod route;
mod server;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tokio::net::TcpListener;

pub use self::access_log::RequestSink;
pub use self::authorizer::KeySource;
pub use self::beside::Beside;
pub use self::iam::IamAuthorizer;
use self::route::RouteTable;
use crate::invoke::Invoke;
use crate::template::{Authorization, Cors, Route};

/// The account that the local cloud says it is.
pub const ACCOUNT_ID: &str = "000000000000";

/// How a gateway differs from the defaults.
#[derive(Clone)]
pub struct Settings {
    /// The issuer whose tokens the JWT authorizers accept. Needed where a route has a JWT authorizer.
    pub keys: Option<Arc<dyn KeySource>>,
    /// Who may call the routes that ask for a signature (`AWS_IAM`). Needed where there is one.
    pub iam: Option<IamAuthorizer>,
    /// Which pages of other origins may call; none where nothing is configured.
    pub cors: Option<Cors>,
    /// How long a function may take before the client gets a 503; the function runs on. 30 s, the most that an HTTP API allows.
    pub integration_timeout: Duration,
    /// How long open requests may go on once the gateway is told to stop. 5 s.
    pub shutdown_grace: Duration,
    /// `requestContext.accountId`.
    pub account_id: String,
    /// `requestContext.apiId`.
    pub api_id: String,
    /// What is served beside the API, where no route of it stands in the way.
    pub beside: Option<Beside>,
    /// Who hears of every request to the API.
    pub requests: Option<RequestSink>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keys: None,
            iam: None,
            cors: None,
            integration_timeout: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(5),
            account_id: ACCOUNT_ID.into(),
            api_id: "local".into(),
            beside: None,
            requests: None,
        }
    }
}

/// An HTTP API, ready to be served.
pub struct Gateway<I> {
    routes: RouteTable,
    invoke: Arc<I>,
    settings: Settings,
}

impl<I: Invoke> Gateway<I> {
    /// A gateway for `routes`, whose functions `invoke` runs.
    ///
    /// # Errors
    /// Names the route that is malformed, that is there twice, or whose authorizer trusts another issuer than the one of
    /// [`Settings::keys`]: only the local issuer's tokens can be verified here, and to accept none silently would look like bad tokens. So
    /// would a route that asks for a signature where [`Settings::iam`] is not there.
    pub fn new(routes: Vec<Route>, invoke: Arc<I>, settings: Settings) -> Result<Self> {
        let routes = RouteTable::new(routes)?;
        for route in routes.routes() {
            trusts_local_issuer(route, settings.keys.as_deref())?;
            ensure!(
                route.authorization != Authorization::Iam || settings.iam.is_some(),
                "the route {} {} asks for a signature (AWS_IAM), but no credentials are known here; say who may sign",
                route.method,
                route.path
            );
        }
        Ok(Self { routes, invoke, settings })
    }

    /// Serves HTTP/1.1 on `listener` until `shutdown` completes, then lets open requests finish within [`Settings::shutdown_grace`].
    ///
    /// As many requests run at once as there are connections; what bounds them is the number of sandboxes. An invocation runs to its
    /// end even if its client leaves, its time is up or the gateway stops: it belongs to the [`Invoke`] then.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener and every connection.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let server = listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)));
        let grace = self.settings.shutdown_grace;
        let gateway = Arc::new(self);
        let handler = move |client: SocketAddr, request| {
            let gateway = Arc::clone(&gateway);
            async move { gateway.handle(client, server, request).await }
        };
        server::serve(listener, handler, shutdown, grace).await;
    }
}

fn trusts_local_issuer(route: &Route, keys: Option<&dyn KeySource>) -> Result<()> {
    let Authorization::Jwt(authorizer) = &route.authorization else {
        return Ok(());
    };
    let (method, path, name) = (&route.method, &route.path, &authorizer.name);
    let Some(keys) = keys else {
        bail!("the route {method} {path} has the JWT authorizer {name}, but no issuer is served here; start the local issuer as well");
    };
    ensure!(
        authorizer.issuer == keys.issuer(),
        "the authorizer {name} of the route {method} {path} trusts the issuer {}, but only the local issuer {} is served here; set the \
         template's issuer parameter to it",
        authorizer.issuer,
        keys.issuer()
    );
    ensure!(!authorizer.audience.is_empty(), "the authorizer {name} of the route {method} {path} accepts no audience; name one in the template");
    Ok(())
}
