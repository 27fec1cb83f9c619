//! Opening a connection to the database: TLS where it is asked for, and signing in with a password.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{RwLock, RwLockWriteGuard};
use tokio_rustls::TlsConnector;

use super::certificate;
use super::greetings::Greeting;
use super::link::{Link, Transport};
use crate::roles::Roles;
use crate::wire::{ErrorFields, Frame, FrameError, Severity, error_response};

/// A row is a message, and may be long.
const SERVER_MESSAGE_LIMIT_BYTES: usize = 64 * 1024 * 1024;
/// SQLSTATE invalid_password.
const INVALID_PASSWORD: &str = "28P01";
/// Bound of one try to open a connection.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// The database behind the stand-in, and who may sign in there.
pub struct Upstream {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    database: String,
    /// Held for writing throughout a rotation.
    passwords: RwLock<BTreeMap<String, SecretString>>,
}

/// A rotation that is under way. Dropping it leaves the password as it is.
pub struct Rotation<'a>(RwLockWriteGuard<'a, BTreeMap<String, SecretString>>);

impl Rotation<'_> {
    /// The database has the new password of a role. Its sessions of the old one go on; it is the caller's to end them.
    pub fn finish(mut self, role: &str, password: SecretString) {
        self.0.insert(role.to_owned(), password);
    }
}

/// What makes two sessions interchangeable: RDS Proxy hands a database connection on among clients that look alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) user: String,
    pub(super) database: String,
    /// The other start-up parameters, sorted.
    pub(super) parameters: Vec<(String, String)>,
}

/// A session that is ready.
pub(super) struct Session {
    pub(super) link: Link,
    /// The server's parameters (ParameterStatus), which every client of the session gets.
    pub(super) greeting: Greeting,
}

/// Why no session came about.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// The server said no.
    #[error("the database refused: {}", .fields.message)]
    Refused { fields: ErrorFields, frame: Frame },
    /// Nobody answered, or not to the end.
    #[error("the database cannot be reached")]
    Io(#[from] std::io::Error),
    /// What was answered makes no sense.
    #[error("the database answered with what is no message")]
    Frame(#[from] FrameError),
    /// Signing in needs what is not here.
    #[error("{0}")]
    SignIn(String),
    /// As RDS Proxy says it (Amazon RDS User Guide, "Troubleshooting for RDS Proxy").
    #[error("This RDS proxy has no credentials for the role {0}. Check the credentials for this role and try again.")]
    NoCredentials(String),
    #[error("the database did not answer in time")]
    TimedOut,
}

impl OpenError {
    /// What the client is told: the database's own words, where there are any.
    pub(super) fn frame(&self) -> Frame {
        match self {
            Self::Refused { frame, .. } => frame.clone(),
            Self::NoCredentials(_) => error_response(Severity::Fatal, "28000", &self.to_string()),
            other => error_response(Severity::Fatal, "08001", &other.to_string()),
        }
    }

    /// Whether it may be different in a moment: the server is down, starting, or full.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Refused { fields, .. } => matches!(fields.sqlstate.as_str(), "57P03" | "53300" | "57P01" | "57P02"),
            Self::Io(_) | Self::TimedOut => true,
            Self::Frame(FrameError::Io(_)) => true,
            Self::Frame(_) | Self::SignIn(_) | Self::NoCredentials(_) => false,
        }
    }
}

impl Upstream {
    /// The server and database of these roles.
    ///
    /// # Errors
    /// TLS is asked for and cannot be set up.
    pub fn new(roles: &Roles) -> Result<Self> {
        let address = roles.address();
        Ok(Self {
            host: address.host().to_owned(),
            port: address.port(),
            tls: if address.is_verified() { Some(connector()?) } else { None },
            database: address.database().to_owned(),
            passwords: RwLock::new(roles.passwords().clone()),
        })
    }

    /// The database's name.
    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// Begins to rotate a password.
    pub(super) async fn rotation(&self) -> Rotation<'_> {
        Rotation(self.passwords.write().await)
    }

    /// Opens a session. Bounded in time.
    pub(super) async fn open(&self, key: &Key) -> Result<Session, OpenError> {
        tokio::time::timeout(OPEN_TIMEOUT, self.sign_in_as_of_now(key)).await.unwrap_or(Err(OpenError::TimedOut))
    }

    /// Where the password is refused and has changed meanwhile, the new one is tried.
    async fn sign_in_as_of_now(&self, key: &Key) -> Result<Session, OpenError> {
        let mut password = self.password(key).await?;
        loop {
            let refused = match self.sign_in(key, &password).await {
                Err(OpenError::Refused { fields, frame }) if fields.sqlstate == INVALID_PASSWORD => OpenError::Refused { fields, frame },
                other => return other,
            };
            let current = self.password(key).await?;
            if current.expose_secret() == password.expose_secret() {
                return Err(refused);
            }
            password = current;
        }
    }

    async fn password(&self, key: &Key) -> Result<SecretString, OpenError> {
        self.passwords.read().await.get(&key.user).cloned().ok_or_else(|| OpenError::NoCredentials(key.user.clone()))
    }

    async fn sign_in(&self, key: &Key, password: &SecretString) -> Result<Session, OpenError> {
        let mut link = Link::new(self.transport().await?, SERVER_MESSAGE_LIMIT_BYTES);
        let names = [("user", key.user.as_str()), ("database", key.database.as_str())];
        let parameters = names.into_iter().chain(key.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let mut startup = BytesMut::new();
        frontend::startup_message(parameters, &mut startup)?;
        link.outbox.push_bytes(&startup);
        link.send(&[]).await?;
        let mut scram = None;
        let mut greeting = Vec::new();
        loop {
            let frame = link.inbox.next().await?.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::UnexpectedEof))?;
            match frame.kind() {
                b'R' => {
                    let answer = answer(frame.body(), key, password, &mut scram)?;
                    link.outbox.push_bytes(&answer);
                    link.send(&[]).await?;
                }
                b'S' => greeting.push(frame),
                b'E' => return Err(OpenError::Refused { fields: ErrorFields::read(frame.body()), frame }),
                b'Z' => return Ok(Session { link, greeting: greeting.into() }),
                // BackendKeyData, NoticeResponse, NegotiateProtocolVersion: nobody's business here.
                _ => {}
            }
        }
    }

    async fn transport(&self) -> Result<Box<dyn Transport>, OpenError> {
        let mut stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        stream.write_all(&request).await?;
        if stream.read_u8().await? != b'S' {
            return Err(OpenError::SignIn("the database speaks no TLS, which its URL asks for".to_owned()));
        }
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| OpenError::SignIn(format!("{:?} is no name that a certificate can hold", self.host)))?;
        Ok(Box::new(tls.connect(name, stream).await?))
    }
}

fn connector() -> Result<TlsConnector> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder_with_provider(certificate::provider())
        .with_safe_default_protocol_versions()
        .context("no version of TLS can be spoken")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// What follows an Authentication message: PostgreSQL documentation, "SASL Authentication" and "Message Formats".
fn answer(body: &[u8], key: &Key, password: &SecretString, scram: &mut Option<ScramSha256>) -> Result<BytesMut, OpenError> {
    let unexpected = || OpenError::SignIn("the database's sign-in cannot be followed".to_owned());
    let (code, data) = body.split_first_chunk::<4>().ok_or_else(unexpected)?;
    let password = password.expose_secret().as_bytes();
    let mut answer = BytesMut::new();
    match u32::from_be_bytes(*code) {
        0 => {}
        3 => frontend::password_message(password, &mut answer)?,
        5 => {
            let salt = *data.first_chunk::<4>().ok_or_else(unexpected)?;
            let hash = postgres_protocol::authentication::md5_hash(key.user.as_bytes(), password, salt);
            frontend::password_message(hash.as_bytes(), &mut answer)?;
        }
        10 if data.split(|byte| *byte == 0).any(|mechanism| mechanism == SCRAM_SHA_256.as_bytes()) => {
            let exchange = scram.insert(ScramSha256::new(password, ChannelBinding::unsupported()));
            frontend::sasl_initial_response(SCRAM_SHA_256, exchange.message(), &mut answer)?;
        }
        11 => {
            let exchange = scram.as_mut().ok_or_else(unexpected)?;
            exchange.update(data).map_err(|_| unexpected())?;
            frontend::sasl_response(exchange.message(), &mut answer)?;
        }
        12 => scram.take().ok_or_else(unexpected)?.finish(data).map_err(|_| unexpected())?,
        _ => return Err(OpenError::SignIn("the database asks for a sign-in other than SCRAM-SHA-256, MD5 or a password".to_owned())),
    }
    Ok(answer)
}
