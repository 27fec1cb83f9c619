//! The HTTP/1.1 server: accepts connections, keeps them alive, and ends them.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::response::HttpResponse;

/// Above hyper's own 100: API Gateway has a limit for bytes, not for the number of headers.
const MAX_HEADERS: usize = 1_000;

/// How long a client may take for the head of a request. AWS names no figure; without one, silent clients keep their connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait after `accept` failed, most likely for want of file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Serves `listener` with `handler` until `shutdown`, then gives open requests `grace` to finish.
pub(crate) async fn serve<H, F>(listener: TcpListener, handler: H, shutdown: impl Future<Output = ()>, grace: Duration)
where
    H: Fn(SocketAddr, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = HttpResponse> + Send + 'static,
{
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => {
                    connections.spawn(serve_connection(stream, client, handler.clone(), stopped.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the gateway could not accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    drop(stop);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, finished).await.is_err() {
        tracing::warn!(open = connections.len(), "the gateway cut off requests that did not finish in time");
    }
}

async fn serve_connection<H, F>(stream: TcpStream, client: SocketAddr, handler: H, mut stopped: watch::Receiver<()>)
where
    H: Fn(SocketAddr, Request<Incoming>) -> F,
    F: Future<Output = HttpResponse>,
{
    // Answers are small; waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let answer = handler(client, request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .half_close(true)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // The sender is dropped when the gateway stops.
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%client, %error, "a connection ended early");
    }
}
