//! One connection, to a client or to the database: frames in, bytes out.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};

use crate::wire::{Frame, Frames, close};

/// So much may wait to be written before no more is read from the other side.
const OUTBOX_LIMIT_BYTES: usize = 256 * 1024;

/// TCP, with or without TLS.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// Both directions of a connection, which can be waited for at once.
pub(super) struct Link {
    pub(super) inbox: Frames<ReadHalf<Box<dyn Transport>>>,
    pub(super) outbox: Outbox,
}

/// What waits to be written.
pub(super) struct Outbox {
    writer: WriteHalf<Box<dyn Transport>>,
    buffer: BytesMut,
    /// Written into the transport, which may hold it back (TLS does).
    unflushed: bool,
    /// Nobody reads it any more.
    abandoned: bool,
}

impl Link {
    /// `limit_bytes` bounds each frame that comes in.
    pub(super) fn new(transport: Box<dyn Transport>, limit_bytes: usize) -> Self {
        let (reader, writer) = tokio::io::split(transport);
        let outbox = Outbox { writer, buffer: BytesMut::new(), unflushed: false, abandoned: false };
        Self { inbox: Frames::new(reader, limit_bytes), outbox }
    }

    /// Sends what waits and these frames, and returns once all is on its way.
    pub(super) async fn send(&mut self, frames: &[Frame]) -> io::Result<()> {
        for frame in frames {
            self.outbox.push(frame);
        }
        while self.outbox.is_pending() {
            self.outbox.write().await?;
        }
        Ok(())
    }

    /// Sends what waits and a last frame, and ends the connection so that it arrives. The caller bounds the time.
    pub(super) async fn farewell(&mut self, last: Frame) -> io::Result<()> {
        self.send(&[last]).await?;
        close(&mut tokio::io::join(self.inbox.stream(), &mut self.outbox.writer)).await
    }
}

impl Outbox {
    pub(super) fn push(&mut self, frame: &Frame) {
        self.push_bytes(frame.bytes());
    }

    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        if !self.abandoned {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Throws away what waits, and what comes.
    pub(super) fn abandon(&mut self) {
        (self.abandoned, self.unflushed) = (true, false);
        self.buffer = BytesMut::new();
    }

    pub(super) fn is_pending(&self) -> bool {
        self.unflushed || !self.buffer.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= OUTBOX_LIMIT_BYTES
    }

    /// Writes some of what waits. Dropping the future loses nothing.
    pub(super) async fn write(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.unflushed = true;
            if self.writer.write_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        if self.buffer.is_empty() {
            self.writer.flush().await?;
            self.unflushed = false;
        }
        Ok(())
    }
}
