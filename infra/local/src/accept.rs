//! Taking connections of clients, at most so many at once.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Further clients wait to be accepted.
const CLIENT_LIMIT: usize = 10_000;
/// A wait for file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves each connection in a task of its own, for ever. All of them end when the future is dropped.
pub(crate) async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut sessions = JoinSet::new();
    loop {
        while sessions.len() >= CLIENT_LIMIT {
            sessions.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => drop(sessions.spawn(serve(stream))),
            // Out of file descriptors: some will be free in a moment.
            Err(error) => {
                tracing::warn!(%error, "a database client cannot be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
        while sessions.try_join_next().is_some() {}
    }
}
