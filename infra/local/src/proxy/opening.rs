//! The beginning of a client's session: encryption, parameters, signing in.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::link::{Link, Transport};
use super::pool::BorrowError;
use super::session::Client;
use super::silence::Silenceable;
use super::statements::ClientStatements;
use super::upstream::Key;
use super::{Shared, iam};
use crate::wire::{Frame, Opening, Severity, Startup, close, error_response, read_opening};

/// Bound of the whole beginning, a wait for the first database connection included.
pub(super) const LIMIT: Duration = Duration::from_secs(30);
/// A token with a session token is a few kilobytes long.
const PASSWORD_LIMIT_BYTES: usize = 32 * 1024;
/// A statement with its parameters.
const CLIENT_MESSAGE_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// The start-up parameters that RDS Proxy takes, beside user and database.
const PARAMETERS: [&str; 5] = ["application_name", "client_encoding", "datestyle", "extra_float_digits", "timezone"];

/// Why no session began.
pub(super) enum OpeningError {
    /// The client was told.
    Refused(String),
    /// The client is gone.
    Io(io::Error),
}

impl From<io::Error> for OpeningError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A refusal: SQLSTATE and text.
type Refusal = (&'static str, String);

/// Lets a client sign in. None where it only wanted something cancelled.
pub(super) async fn open(stream: TcpStream, shared: &Arc<Shared>) -> Result<Option<Client>, OpeningError> {
    stream.set_nodelay(true)?;
    let mut transport: Box<dyn Transport> = Box::new(Silenceable::new(stream, shared.silences.subscribe()));
    let mut encrypted = false;
    let startup = loop {
        match read_opening(&mut transport).await {
            Ok(Opening::Startup(startup)) => break startup,
            Ok(Opening::Ssl) if !encrypted => {
                transport.write_all(b"S").await?;
                transport.flush().await?;
                transport = Box::new(shared.tls.accept(transport).await?);
                encrypted = true;
            }
            Ok(Opening::Ssl | Opening::GssEncryption) => {
                transport.write_all(b"N").await?;
                transport.flush().await?;
            }
            Ok(Opening::Cancel) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return refuse(&mut transport, ("08P01", error.to_string())).await,
            Err(error) => return Err(error.into()),
        }
    };
    let key = match key(&startup) {
        Ok(_) if !encrypted => return refuse(&mut transport, ("28000", "This RDS Proxy requires TLS connections".to_owned())).await,
        Ok(key) => Arc::new(key),
        Err(refusal) => return refuse(&mut transport, refusal).await,
    };
    if let Some(negotiation) = negotiate(&startup) {
        transport.write_all(negotiation.bytes()).await?;
    }
    let mut link = Link::new(transport, PASSWORD_LIMIT_BYTES);
    // AuthenticationCleartextPassword: a token is sent as a password.
    link.send(&[Frame::new(b'R', &3_u32.to_be_bytes())]).await?;
    let token = match link.inbox.next().await {
        Ok(Some(frame)) if frame.kind() == b'p' => frame,
        Ok(None) => return Ok(None),
        Ok(Some(_)) | Err(_) => return refuse_on(&mut link, ("08P01", "a password message is expected here".to_owned())).await,
    };
    let token = token.body().strip_suffix(b"\0").and_then(|token| std::str::from_utf8(token).ok()).unwrap_or_default();
    if let Err(refusal) = shared.verifier.verify(token, &key.user, SystemTime::now()) {
        shared.refused.fetch_add(1, Ordering::SeqCst);
        tracing::warn!(user = key.user, "an IAM token was refused: {refusal}");
        return refuse_on(&mut link, (iam::SQLSTATE, iam::message(&key.user))).await;
    }
    let greeting = match shared.pool.greeting(&key).await {
        Ok(greeting) => greeting,
        Err(BorrowError::TimedOut) => return refuse_on(&mut link, ("08000", super::session::BORROW_TIMED_OUT.to_owned())).await,
        Err(BorrowError::Refused(error)) => {
            link.farewell(error.frame()).await?;
            return Err(OpeningError::Refused(error.to_string()));
        }
    };
    link.outbox.push(&Frame::new(b'R', &0_u32.to_be_bytes()));
    for parameter in &*greeting {
        link.outbox.push(parameter);
    }
    // Cancelling is ignored, so this is nobody's key.
    link.outbox.push(&Frame::new(b'K', &fastrand::u64(..).to_be_bytes()));
    link.send(&[Frame::new(b'Z', b"I")]).await?;
    link.inbox.set_limit(CLIENT_MESSAGE_LIMIT_BYTES);
    Ok(Some(Client {
        link,
        key,
        statements: ClientStatements::default(),
        pinned: false,
        asked: None,
        leaving: false,
        watch: Arc::clone(&shared.watch),
    }))
}

/// Checks the parameters as RDS Proxy does, in its words.
fn key(startup: &Startup) -> Result<Key, Refusal> {
    let user = startup.get("user").filter(|user| !user.is_empty()).ok_or(("28000", "no user name is given in the start-up packet".to_owned()))?;
    let mut parameters = Vec::new();
    for (name, value) in &startup.parameters {
        match name.as_str() {
            "user" | "database" => {}
            "options" => return Err(("0A000", "Feature not supported: RDS Proxy currently doesn\u{2019}t support command-line options.".to_owned())),
            // Of a newer minor version of the protocol; answered by NegotiateProtocolVersion.
            name if name.starts_with("_pq_.") => {}
            name if PARAMETERS.contains(&name.to_ascii_lowercase().as_str()) => parameters.push((name.to_owned(), value.clone())),
            name => return Err(("0A000", format!("Feature not supported: RDS Proxy currently doesn\u{2019}t support the option {name}."))),
        }
    }
    parameters.sort();
    Ok(Key { user: user.to_owned(), database: startup.get("database").unwrap_or(user).to_owned(), parameters })
}

/// Protocol 3.0 and no extension is what is spoken here.
fn negotiate(startup: &Startup) -> Option<Frame> {
    let extensions: Vec<&str> = startup.parameters.iter().map(|(name, _)| name.as_str()).filter(|name| name.starts_with("_pq_.")).collect();
    if startup.minor_version == 0 && extensions.is_empty() {
        return None;
    }
    let mut body = 0_u32.to_be_bytes().to_vec();
    body.extend(u32::try_from(extensions.len()).unwrap_or(u32::MAX).to_be_bytes());
    for extension in extensions {
        body.extend(extension.bytes());
        body.push(0);
    }
    Some(Frame::new(b'v', &body))
}

async fn refuse<T>(transport: &mut Box<dyn Transport>, (sqlstate, text): Refusal) -> Result<T, OpeningError> {
    transport.write_all(error_response(Severity::Fatal, sqlstate, &text).bytes()).await?;
    close(transport).await?;
    Err(OpeningError::Refused(text))
}

async fn refuse_on<T>(link: &mut Link, (sqlstate, text): Refusal) -> Result<T, OpeningError> {
    link.farewell(error_response(Severity::Fatal, sqlstate, &text)).await?;
    Err(OpeningError::Refused(text))
}
