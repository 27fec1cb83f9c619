//! A client of the stand-in for RDS Proxy, or of Postgres, that says exactly what a test wants it to say.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::BytesMut;
use local::proxy::Proxy;
use local::wire::{Bind, ErrorFields, Frame, Frames, Parse};
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret as _;
use shared::config::Aws;
use shared::token::SignIn;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Database;

/// A session, message by message.
pub struct RawClient {
    frames: Frames<ReadHalf<Box<dyn Transport>>>,
    writer: WriteHalf<Box<dyn Transport>>,
}

/// TLS, or TCP itself.
trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A token as the functions sign it, for this user at this time.
#[must_use]
pub fn token(proxy: &Proxy, user: &str, at: SystemTime) -> String {
    let environment = proxy.environment();
    let aws = Aws {
        region: environment["AWS_REGION"].clone(),
        access_key_id: environment["AWS_ACCESS_KEY_ID"].clone(),
        secret_access_key: environment["AWS_SECRET_ACCESS_KEY"].clone().into(),
        session_token: Some(environment["AWS_SESSION_TOKEN"].clone().into()),
    };
    let sign_in = SignIn { host: &environment["DB_HOST"], port: proxy.address().port(), user };
    shared::token::sign(sign_in, &aws, at).unwrap().expose_secret().to_owned()
}

/// A start-up packet of protocol 3 with this minor version.
#[must_use]
pub fn startup_packet(minor_version: u16, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = (196_608 + u32::from(minor_version)).to_be_bytes().to_vec();
    for text in parameters.iter().flat_map(|(name, value)| [name, value]) {
        body.extend(text.bytes());
        body.push(0);
    }
    body.push(0);
    [&u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], &body].concat()
}

impl RawClient {
    /// Connects and begins TLS, and nothing more.
    pub async fn encrypted(proxy: &Proxy) -> Self {
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'S');
        let mut roots = RootCertStore::empty();
        let authority = proxy.environment()["DB_CA_FILE"].clone();
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        Self::over(Box::new(stream))
    }

    fn over(stream: Box<dyn Transport>) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self { frames: Frames::new(reader, 1 << 24), writer }
    }

    /// Signs in to the database itself as the functions' role, by SCRAM and without TLS.
    pub async fn direct(database: &Database) -> Self {
        let url: reqwest::Url = database.app_url().parse().unwrap();
        let mut client = Self::over(Box::new(TcpStream::connect(database.address()).await.unwrap()));
        client.send_bytes(&startup_packet(0, &[("user", url.username()), ("database", database.name())])).await;
        assert_eq!(client.next().await.body()[..4], [0, 0, 0, 10]);
        let mut scram = ScramSha256::new(url.password().unwrap().as_bytes(), ChannelBinding::unsupported());
        let mut message = BytesMut::new();
        frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut message).unwrap();
        client.send_bytes(&message).await;
        scram.update(&client.next().await.body()[4..]).unwrap();
        message.clear();
        frontend::sasl_response(scram.message(), &mut message).unwrap();
        client.send_bytes(&message).await;
        assert_eq!(client.until_ready().await.last().map(Frame::kind), Some(b'Z'));
        client
    }

    /// Signs in as the functions do, with these parameters beside user and database.
    pub async fn signed_in(proxy: &Proxy, parameters: &[(&str, &str)]) -> Self {
        let mut client = Self::encrypted(proxy).await;
        let database = proxy.environment()["DB_NAME"].clone();
        let all = [&[("user", "thaw_app"), ("database", &*database)], parameters].concat();
        client.send_bytes(&startup_packet(0, &all)).await;
        assert_eq!(client.next().await.kind(), b'R');
        let token = token(proxy, "thaw_app", SystemTime::now());
        client.send(&[Frame::new(b'p', &[token.as_bytes(), b"\0"].concat())]).await;
        let answers = client.until_ready().await;
        assert_eq!(answers.first().map(Frame::kind), Some(b'R'), "{:?}", errors(&answers));
        client
    }

    /// Sends frames.
    pub async fn send(&mut self, frames: &[Frame]) {
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes().to_vec()).collect();
        self.send_bytes(&bytes).await;
    }

    /// Sends bytes.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.unwrap();
        self.writer.flush().await.unwrap();
    }

    /// The next frame.
    pub async fn next(&mut self) -> Frame {
        self.frames.next().await.unwrap().expect("the server says something")
    }

    /// All frames up to ReadyForQuery, or to the end of the connection.
    pub async fn until_ready(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = self.frames.next().await {
            let ready = frame.kind() == b'Z';
            frames.push(frame);
            if ready {
                break;
            }
        }
        frames
    }

    /// Sends frames and gives the answers up to ReadyForQuery.
    pub async fn run(&mut self, frames: &[Frame]) -> Vec<Frame> {
        self.send(frames).await;
        self.until_ready().await
    }

    /// Runs a simple query and gives its answers.
    pub async fn query(&mut self, sql: &str) -> Vec<Frame> {
        self.run(&[query(sql)]).await
    }

    /// Reads one more frame into `frames`; true where the server has closed the connection.
    pub async fn is_ended(&mut self, frames: &mut Vec<Frame>) -> bool {
        let next = self.frames.next().await.ok().flatten();
        let ended = next.is_none();
        frames.extend(next);
        ended
    }

    /// Whether the server has closed the connection.
    pub async fn is_closed(&mut self) -> bool {
        !matches!(self.frames.next().await, Ok(Some(_)))
    }
}

/// Query.
#[must_use]
pub fn query(sql: &str) -> Frame {
    Frame::new(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

/// Parse, without types of parameters.
#[must_use]
pub fn parse(name: &str, sql: &str) -> Frame {
    Parse { name: b"", sql: sql.as_bytes(), types: &[0, 0] }.named(name.as_bytes())
}

/// Bind to the unnamed portal, without parameters.
#[must_use]
pub fn bind(statement: &str) -> Frame {
    Bind { portal: b"", statement: b"", values: &[0; 6] }.of(statement.as_bytes())
}

/// Execute of the unnamed portal, to its end.
#[must_use]
pub fn execute() -> Frame {
    Frame::new(b'E', &[0; 5])
}

/// Sync.
#[must_use]
pub fn sync() -> Frame {
    Frame::new(b'S', b"")
}

/// The types of these frames, in order.
#[must_use]
pub fn kinds(frames: &[Frame]) -> String {
    frames.iter().map(|frame| char::from(frame.kind())).collect()
}

/// The first column of each row, as text.
#[must_use]
pub fn values(frames: &[Frame]) -> Vec<String> {
    let rows = frames.iter().filter(|frame| frame.kind() == b'D');
    rows.map(|row| {
        let body = row.body();
        let length = usize::try_from(u32::from_be_bytes(body[2..6].try_into().unwrap())).unwrap();
        String::from_utf8(body[6..6 + length].to_vec()).unwrap()
    })
    .collect()
}

/// The errors among these frames.
#[must_use]
pub fn errors(frames: &[Frame]) -> Vec<ErrorFields> {
    frames.iter().filter(|frame| frame.kind() == b'E').map(|frame| ErrorFields::read(frame.body())).collect()
}
