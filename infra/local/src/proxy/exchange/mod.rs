//! One transaction's worth of conversation between a client and the database connection that it has borrowed.

mod answers;
mod owed;
mod requests;

use std::time::Duration;

use self::owed::OwedAnswers;
use super::pool::DatabaseConnection;
use super::session::Client;
use crate::wire::{Frame, FrameError};

/// What is still to be written may take so long after the other side has gone.
const FAREWELL: Duration = Duration::from_secs(5);
/// So many answers may be owed before the client is listened to again.
const OWED_LIMIT: usize = 10_000;

/// How a conversation ended.
#[derive(Debug)]
pub(super) enum End {
    /// The transaction is over: others can have the database connection.
    Idle,
    /// As [`End::Idle`], and the tables that statements were planned for have changed.
    PlansSpoilt,
    /// The client has gone, or the database has.
    Over,
    /// The database makes no sense, and the client is to be told.
    Broken(ServerError),
}

/// What makes a conversation impossible.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a message of type {:?} cannot stand here, or its body is malformed", char::from(*.0))]
    Message(u8),
    #[error("this client keeps too many prepared statements")]
    TooManyStatements,
}

/// What no server says.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServerError {
    #[error("the database sent what is no message: {0}")]
    Frame(#[from] FrameError),
    #[error("the database sent a message of type {:?} that answers nothing", char::from(*.0))]
    Unexpected(u8),
}

pub(super) struct Exchange<'a> {
    client: &'a mut Client,
    connection: &'a mut DatabaseConnection,
    owed: OwedAnswers,
    /// The client's next message, while it has to wait.
    held: Option<Frame>,
    /// Messages were sent that no Sync has followed yet.
    open_batch: bool,
    /// The server skips everything up to the next Sync.
    skipping: bool,
    /// The server takes the data of a COPY.
    server_copies: bool,
    /// The client has not ended that data yet.
    takes_copy_data: bool,
    in_transaction: bool,
    plans_spoilt: bool,
    /// Statements that were used since then may have portals.
    began_at_use: u64,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(client: &'a mut Client, connection: &'a mut DatabaseConnection) -> Self {
        let began_at_use = connection.uses;
        Self {
            client,
            connection,
            owed: OwedAnswers::default(),
            held: None,
            open_batch: false,
            skipping: false,
            server_copies: false,
            takes_copy_data: false,
            in_transaction: false,
            plans_spoilt: false,
            began_at_use,
        }
    }

    /// Passes messages both ways, beginning with the client's `first`, until the transaction is over. A pinned client keeps its connection.
    pub(super) async fn run(mut self, first: Frame, idle_timeout: Duration) -> Result<End, ClientError> {
        self.held = Some(first);
        loop {
            self.take_client_frames()?;
            if let Some(end) = self.end() {
                return Ok(end);
            }
            let listens = self.listens() && self.held.is_none();
            let (client, server) = (&mut self.client.link, &mut self.connection.link);
            let step = async {
                tokio::select! {
                    frame = client.inbox.next(), if listens => Step::Client(frame),
                    frame = server.inbox.next(), if !client.outbox.is_full() => Step::Server(frame),
                    written = client.outbox.write(), if client.outbox.is_pending() => Step::ToClient(written),
                    written = server.outbox.write(), if server.outbox.is_pending() => Step::ToServer(written),
                }
            };
            match tokio::time::timeout(idle_timeout, step).await.unwrap_or(Step::TimedOut) {
                Step::Client(frame) => match frame? {
                    Some(frame) => self.held = Some(frame),
                    None => {
                        // What it said before it went is the server's.
                        drop(tokio::time::timeout(FAREWELL, self.connection.link.send(&[])).await);
                        return Ok(End::Over);
                    }
                },
                Step::Server(Ok(Some(frame))) => {
                    if let Err(error) = self.take_server_frames(frame) {
                        return Ok(End::Broken(error));
                    }
                }
                Step::Server(Err(error @ (FrameError::Length { .. } | FrameError::TooLong { .. }))) => return Ok(End::Broken(error.into())),
                // A statement in flight is cut, and the client with it: it cannot be known how far it came.
                Step::Server(Ok(None) | Err(FrameError::Io(_))) => {
                    drop(tokio::time::timeout(FAREWELL, self.client.link.send(&[])).await);
                    return Ok(End::Over);
                }
                Step::ToClient(Err(_)) if self.client.leaving => self.client.link.outbox.abandon(),
                Step::ToClient(Ok(())) | Step::ToServer(Ok(())) => {}
                Step::ToClient(Err(_)) | Step::ToServer(Err(_)) | Step::TimedOut => return Ok(End::Over),
            }
        }
    }

    fn take_client_frames(&mut self) -> Result<(), ClientError> {
        while self.listens() {
            let frame = match self.held.take() {
                Some(frame) => frame,
                None => match self.client.link.inbox.buffered()? {
                    Some(frame) => frame,
                    None => break,
                },
            };
            if self.must_wait(&frame) {
                self.held = Some(frame);
                break;
            }
            self.on_client_frame(&frame)?;
        }
        Ok(())
    }

    fn take_server_frames(&mut self, first: Frame) -> Result<(), ServerError> {
        self.on_server_frame(first)?;
        while let Some(frame) = self.connection.link.inbox.buffered()? {
            self.on_server_frame(frame)?;
        }
        Ok(())
    }

    /// Whether the client may say more.
    fn listens(&self) -> bool {
        !self.client.leaving && !self.connection.link.outbox.is_full() && self.owed.len() < OWED_LIMIT
    }

    /// How it ends, once nothing is to be done.
    fn end(&self) -> Option<End> {
        let is_done = self.owed.is_empty() && !self.open_batch && !self.skipping;
        let is_kept = self.in_transaction || self.client.pinned;
        if self.client.link.outbox.is_pending() || self.connection.link.outbox.is_pending() {
            return None;
        }
        // A server that waits for data, or for a Sync, waits for ever.
        if self.client.leaving && (self.skipping || self.takes_copy_data || is_done && is_kept) {
            return Some(End::Over);
        }
        (is_done && !is_kept).then_some(if self.plans_spoilt { End::PlansSpoilt } else { End::Idle })
    }
}

enum Step {
    Client(Result<Option<Frame>, FrameError>),
    Server(Result<Option<Frame>, FrameError>),
    ToClient(std::io::Result<()>),
    ToServer(std::io::Result<()>),
    TimedOut,
}
