//! One client's connection, passed on to the database.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::sign_in::SignIn;
use super::{Destination, Tap};
use crate::wire::{Opening, Severity, close, error_response, opening, read_first_packet};

/// Bound of the client's beginning, and of reaching the database.
const LIMIT: Duration = Duration::from_secs(10);
/// How much is passed on at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// Serves one connection to its end.
pub(super) async fn serve(mut client: TcpStream, destination: Arc<Destination>, texts: mpsc::Sender<Vec<u8>>, sessions: Arc<AtomicU64>) {
    let served = async {
        client.set_nodelay(true)?;
        let Some(packet) = first_packet(&mut client).await? else { return Ok(()) };
        let mut server = match reach(&destination).await {
            Ok(server) => server,
            Err(error) => {
                tracing::warn!("the database at {destination} cannot be reached: {error}");
                return refuse(&mut client, "08001", &format!("cannot reach the database at {destination}: {error}")).await;
            }
        };
        server.write_all(&packet).await?;
        pass(&mut client, &mut server, &texts, &sessions).await
    };
    let served: io::Result<()> = served.await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke");
    }
}

/// The packet that begins a session or cancels a statement; encryption is declined until then. None where the client was refused, or left.
async fn first_packet(client: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let read = async {
        loop {
            match read_first_packet(client).await {
                Ok(packet) if matches!(opening(&packet), Ok(Opening::Ssl | Opening::GssEncryption)) => client.write_all(b"N").await?,
                // Whatever else it says is for the server to judge.
                Ok(packet) => return Ok(Some(packet)),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::warn!("a client was turned away: {error}");
                    refuse(client, "08P01", &error.to_string()).await?;
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    };
    tokio::time::timeout(LIMIT, read).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn reach(destination: &Destination) -> io::Result<TcpStream> {
    let connecting = TcpStream::connect((destination.host.as_str(), destination.port));
    let stream = tokio::time::timeout(LIMIT, connecting)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", LIMIT.as_secs()))))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn refuse(client: &mut TcpStream, sqlstate: &str, text: &str) -> io::Result<()> {
    client.write_all(error_response(Severity::Fatal, sqlstate, text).bytes()).await?;
    close(client).await
}

/// Passes bytes both ways until the database closes, or the client breaks.
async fn pass(client: &mut TcpStream, server: &mut TcpStream, texts: &mpsc::Sender<Vec<u8>>, sessions: &AtomicU64) -> io::Result<()> {
    {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let up = pass_up(&mut from_client, &mut to_server, texts);
        let down = pass_down(&mut from_server, &mut to_client, sessions);
        tokio::pin!(up, down);
        tokio::select! {
            // A client that has said all may still be answered.
            upward = &mut up => { upward?; down.await? }
            downward = &mut down => downward?,
        }
    }
    close(client).await
}

/// A statement is noted before it is passed on, so whoever has its answer finds it in the report.
async fn pass_up(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>, texts: &mpsc::Sender<Vec<u8>>) -> io::Result<()> {
    let (mut tap, mut chunk, mut seen) = (Tap::default(), vec![0; CHUNK_BYTES], Vec::new());
    loop {
        let length = from.read(&mut chunk).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        tap.look(&chunk[..length], |text| seen.push(text));
        for text in seen.drain(..) {
            texts.send(text).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
        to.write_all(&chunk[..length]).await?;
    }
}

async fn pass_down(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>, sessions: &AtomicU64) -> io::Result<()> {
    let (mut sign_in, mut chunk) = (Some(SignIn::default()), vec![0; CHUNK_BYTES]);
    loop {
        let length = from.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        if let Some(watched) = &mut sign_in
            && let Some(signed_in) = watched.look(&chunk[..length])
        {
            sessions.fetch_add(u64::from(signed_in), Ordering::SeqCst);
            sign_in = None;
        }
        to.write_all(&chunk[..length]).await?;
    }
}
