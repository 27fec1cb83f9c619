//! Plain HTTP to a server on this machine: the API itself, or a running `cargo dev`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::request::Builder;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const ANSWER_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// Sends one request, whose URI is only a path, to the server at `url` (`http://address:port`) over a connection of its own.
///
/// # Errors
/// The server cannot be reached, does not answer to the end within `limit`, or answers more than 16 MB.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub async fn send(url: &str, request: Builder, body: Bytes, limit: Duration) -> Result<Answer> {
    tokio::time::timeout(limit, exchange(url, request, body)).await.with_context(|| format!("no answer within {} s", limit.as_secs()))?
}

async fn exchange(url: &str, request: Builder, body: Bytes) -> Result<Answer> {
    let address = url.strip_prefix("http://").context("its address is not one of plain HTTP")?.trim_end_matches('/');
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = request.header("host", address).body(Full::new(body))?;
    // Polled here and not in a task of its own, so that it ends with this future.
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT_BYTES).collect().await.map_err(|_| anyhow::anyhow!("its answer broke off"))?;
        Ok(Answer { status, body: body.to_bytes() })
    };
    tokio::pin!(answer);
    tokio::select! {
        answered = &mut answer => answered,
        ended = connection => {
            ended?;
            answer.await
        }
    }
}
