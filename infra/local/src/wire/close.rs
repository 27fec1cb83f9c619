//! The end of a connection that the other side has not ended.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// So long is taken what the other side still sends.
const LINGER: Duration = Duration::from_secs(2);
/// And so much.
const LINGER_BYTES: u64 = 64 * 1024 * 1024;

/// Ends a connection so that what was written arrives: to close one on which bytes wait to be read resets it, and a reset overtakes them.
///
/// # Errors
/// The connection broke before.
///
/// # Cancel safety
/// Dropping the future leaves the connection half closed.
pub async fn close(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let closing = async {
        stream.flush().await?;
        stream.shutdown().await?;
        let mut rest = stream.take(LINGER_BYTES);
        let mut chunk = [0; 4 * 1024];
        while rest.read(&mut chunk).await? > 0 {}
        Ok(())
    };
    tokio::time::timeout(LINGER, closing).await.unwrap_or(Ok(()))
}
