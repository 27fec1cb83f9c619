//! The page for a deployed stack: the checks of its monitor, and nothing that could touch it.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tokio::net::TcpListener;

use super::checks::Checks;
use super::clock::now_ms;
use super::router::{self, Site, Source};
use crate::secret;

/// Serves the page on a loopback listener until `shutdown` completes. `url` is shown on it.
///
/// # Errors
/// The listener is not of this machine alone, or breaks off.
///
/// # Cancel safety
/// Dropping the future closes the listener and every connection.
pub async fn serve(listener: TcpListener, url: String, checks: Checks, shutdown: impl Future<Output = ()> + Send) -> Result<()> {
    let address = listener.local_addr().context("the page has no address")?;
    ensure!(address.ip().is_loopback(), "the page is served on a loopback address only, not on {address}");
    let source = Source::Deployed { url, checks: Arc::new(checks), start: now_ms() };
    let serving = axum::serve(listener, router::router(Site::new(address.port(), secret::random_word()?, source)));
    tokio::select! {
        served = serving.into_future() => served.context("the page's server broke off"),
        () = shutdown => Ok(()),
    }
}
