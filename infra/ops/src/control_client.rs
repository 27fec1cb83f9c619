//! Asking a running `cargo dev`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use local::loopback;
use serde::de::DeserializeOwned;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Gets a JSON document from `path` of the control port at `url`, `http://address:port`.
pub(crate) async fn get<T: DeserializeOwned>(url: &str, path: &str) -> Result<T> {
    let answer = loopback::send(url, http::Request::get(path), Bytes::new(), TIMEOUT).await.context("cannot ask the local cloud")?;
    ensure!(answer.status == 200, "the local cloud answers {}", answer.status);
    serde_json::from_slice(&answer.body).context("the local cloud answers what is no such document")
}
