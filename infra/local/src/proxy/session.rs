//! A client's session: between transactions it holds no database connection.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::Shared;
use super::exchange::{ClientError, End, Exchange};
use super::link::Link;
use super::opening::{self, OpeningError};
use super::pool::{BorrowError, Borrowed};
use super::slow::Asked;
use super::statements::ClientStatements;
use super::upstream::Key;
use super::watch::{Effect, Watch};
use crate::wire::{Frame, FrameError, Severity, error_response};

/// A client that has signed in.
pub(super) struct Client {
    pub(super) link: Link,
    pub(super) key: Arc<Key>,
    pub(super) statements: ClientStatements,
    /// It keeps the next database connection that it gets until it leaves.
    pub(super) pinned: bool,
    /// What it asked for in the transaction that goes on, or went on last.
    pub(super) asked: Option<Asked>,
    /// It has said Terminate.
    pub(super) leaving: bool,
    pub(super) watch: Arc<Watch>,
}

impl Client {
    /// Looks at a text before it is sent on.
    pub(super) fn observe(&mut self, sql: &[u8]) -> Effect {
        let effect = self.watch.observe(self.application(), sql);
        self.pinned |= effect.pins;
        effect
    }

    fn application(&self) -> &str {
        self.key.parameters.iter().find(|(name, _)| name == "application_name").map_or("", |(_, value)| value.as_str())
    }
}

/// As RDS Proxy says it.
pub(super) const BORROW_TIMED_OUT: &str = "Timed-out waiting to acquire database connection";

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, shared: &Arc<Shared>) {
    let opened = tokio::time::timeout(opening::LIMIT, opening::open(stream, shared)).await;
    match opened {
        Ok(Ok(Some(client))) => converse(client, shared).await,
        // A request to cancel is ignored, as RDS Proxy does.
        Ok(Ok(None)) => {}
        Ok(Err(OpeningError::Refused(reason))) => tracing::info!("a database client was turned away: {reason}"),
        Ok(Err(OpeningError::Io(error))) => tracing::debug!(%error, "a database client did not come to sign in"),
        Err(_) => tracing::debug!("a database client took too long to sign in"),
    }
}

async fn converse(mut client: Client, shared: &Arc<Shared>) {
    let idle_timeout = shared.settings.idle_client_timeout;
    loop {
        let first = match tokio::time::timeout(idle_timeout, client.link.inbox.next()).await {
            Ok(Ok(Some(frame))) if frame.kind() != b'X' => frame,
            Ok(Err(error)) => return complain(&mut client, &error.into()).await,
            Ok(Ok(_)) | Err(_) => return,
        };
        let mut borrowed = match shared.pool.borrow(&client.key).await {
            Ok(borrowed) => borrowed,
            Err(BorrowError::TimedOut) => match turn_away(&mut client, first, idle_timeout).await {
                Ok(()) => continue,
                Err(error) => return complain(&mut client, &error).await,
            },
            Err(BorrowError::Refused(error)) => {
                return say_last(&mut client, error.frame()).await;
            }
        };
        let began = Instant::now();
        let ended = Exchange::new(&mut client, &mut borrowed.connection).run(first, idle_timeout).await;
        // A pinned session keeps its connection between its statements too, so its time says nothing.
        if let Some(asked) = client.asked.take().filter(|_| !client.pinned) {
            shared.slow.note(client.application(), &asked, began.elapsed());
        }
        match ended {
            Ok(End::Idle) => borrowed.give_back(),
            Ok(End::PlansSpoilt) => retire(shared, borrowed),
            Ok(End::Over) => return,
            // Whoever waits for the database connection does not wait for the farewell too.
            Ok(End::Broken(error)) => {
                drop(borrowed);
                tracing::warn!("a database connection is given up: {error}");
                return say_last(&mut client, error_response(Severity::Fatal, "08P01", &error.to_string())).await;
            }
            Err(error) => {
                drop(borrowed);
                return complain(&mut client, &error).await;
            }
        }
        if client.leaving {
            return;
        }
    }
}

/// Others may have the same outdated plans.
fn retire(shared: &Arc<Shared>, borrowed: Borrowed) {
    drop(borrowed);
    shared.pool.retire_all();
}

/// Answers what the client asks with the borrow timeout; it stays connected.
async fn turn_away(client: &mut Client, first: Frame, idle_timeout: Duration) -> Result<(), ClientError> {
    // A client that is gone is noticed when it is read from next.
    drop(client.link.send(&[error_response(Severity::Error, "08000", BORROW_TIMED_OUT)]).await);
    let mut frame = first;
    // After an error a server skips everything up to the next Sync.
    while !matches!(frame.kind(), b'S' | b'Q' | b'F') {
        match tokio::time::timeout(idle_timeout, client.link.inbox.next()).await {
            Ok(next) => match next? {
                Some(next) => frame = next,
                None => return Ok(()),
            },
            Err(_) => return Err(FrameError::from(io::Error::from(io::ErrorKind::TimedOut)).into()),
        }
    }
    drop(client.link.send(&[Frame::new(b'Z', b"I")]).await);
    Ok(())
}

/// The client's own fault, said to it before the connection ends.
async fn complain(client: &mut Client, error: &ClientError) {
    let sqlstate = match error {
        ClientError::Frame(FrameError::TooLong { .. }) | ClientError::TooManyStatements => "54000",
        ClientError::Frame(_) | ClientError::Message(_) => "08P01",
    };
    tracing::info!("a database client was cut off: {error}");
    say_last(client, error_response(Severity::Fatal, sqlstate, &error.to_string())).await;
}

async fn say_last(client: &mut Client, frame: Frame) {
    drop(tokio::time::timeout(opening::LIMIT, client.link.farewell(frame)).await);
}
