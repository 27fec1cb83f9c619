//! Asking a running `cargo dev`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// Gets a JSON document from `path` of the control port at `url`, `http://address:port`.
pub(crate) async fn get<T: DeserializeOwned>(url: &str, path: &str) -> Result<T> {
    tokio::time::timeout(TIMEOUT, fetch(url, path)).await.context("the local cloud does not answer")?.context("cannot ask the local cloud")
}

async fn fetch<T: DeserializeOwned>(url: &str, path: &str) -> Result<T> {
    let address = url.strip_prefix("http://").context("its address is not one")?;
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = hyper::Request::get(path).header("host", address).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    ensure!(response.status().is_success(), "it answers {}", response.status());
    let body = Limited::new(response.into_body(), ANSWER_LIMIT_BYTES).collect().await.map_err(|_| anyhow::anyhow!("its answer broke off"))?;
    Ok(serde_json::from_slice(&body.to_bytes())?)
}
