//! What a client says first: it asks for encryption, for another session to be cancelled, or begins a session.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::split_cstr;

/// As in Postgres (MAX_STARTUP_PACKET_LENGTH): more is no start-up packet.
const LIMIT_BYTES: usize = 10_000;

const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_ENCRYPTION_REQUEST: u32 = 80_877_104;

/// A client's first packet, or the next one after encryption was answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Opening {
    /// It asks for TLS.
    Ssl,
    /// It asks for GSSAPI encryption.
    GssEncryption,
    /// It asks to cancel what another session does.
    Cancel,
    /// It begins a session.
    Startup(Startup),
}

/// The parameters of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Startup {
    /// Minor version of protocol 3.
    pub minor_version: u16,
    /// Names and values in the order sent.
    pub parameters: Vec<(String, String)>,
}

impl Startup {
    /// The value of a parameter; of one that was sent twice the last, as Postgres does.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Reads a start-up packet as it came, its length included.
///
/// # Errors
/// The stream broke, or the length is none of a start-up packet ([`io::ErrorKind::InvalidData`], with a text that says so).
///
/// # Cancel safety
/// Dropping the future may lose bytes that were read.
pub async fn read_first_packet(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut packet = [0; 4];
    stream.read_exact(&mut packet).await?;
    let length = usize::try_from(u32::from_be_bytes(packet)).unwrap_or(usize::MAX);
    if !(8..=LIMIT_BYTES).contains(&length) {
        return Err(invalid("the first packet is no start-up packet of Postgres's protocol: its length is out of range"));
    }
    let mut packet = packet.to_vec();
    packet.resize(length, 0);
    stream.read_exact(&mut packet[4..]).await?;
    Ok(packet)
}

/// What a start-up packet says.
///
/// # Errors
/// It makes no sense ([`io::ErrorKind::InvalidData`], with a text that says why).
pub fn opening(packet: &[u8]) -> io::Result<Opening> {
    let (code, rest) = packet.get(4..).and_then(|rest| rest.split_first_chunk()).ok_or_else(|| invalid("the start-up packet has no version"))?;
    match u32::from_be_bytes(*code) {
        SSL_REQUEST => Ok(Opening::Ssl),
        GSS_ENCRYPTION_REQUEST => Ok(Opening::GssEncryption),
        CANCEL_REQUEST => Ok(Opening::Cancel),
        version if version >> 16 == 3 => Ok(Opening::Startup(Startup { minor_version: (version & 0xffff) as u16, parameters: parameters(rest)? })),
        version => Err(invalid(&format!("protocol version {}.{} is asked for, and only 3 is spoken here", version >> 16, version & 0xffff))),
    }
}

/// Reads a start-up packet and what it says.
///
/// # Errors
/// As [`read_first_packet`] and [`opening`].
///
/// # Cancel safety
/// As [`read_first_packet`].
pub async fn read_opening(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Opening> {
    opening(&read_first_packet(stream).await?)
}

fn parameters(mut rest: &[u8]) -> io::Result<Vec<(String, String)>> {
    let mut parameters = Vec::new();
    loop {
        let (name, after) = split_cstr(rest).ok_or_else(|| invalid("the start-up packet ends within its parameters"))?;
        if name.is_empty() {
            return if after.is_empty() { Ok(parameters) } else { Err(invalid("bytes follow the end of the start-up packet's parameters")) };
        }
        let (value, after) = split_cstr(after).ok_or_else(|| invalid("the start-up packet ends within its parameters"))?;
        parameters.push((text(name)?, text(value)?));
        rest = after;
    }
}

fn text(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| invalid("a start-up parameter is not UTF-8"))
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn packet(code: u32, rest: &[u8]) -> Vec<u8> {
        let length = u32::try_from(rest.len() + 8).unwrap();
        [&length.to_be_bytes(), &code.to_be_bytes(), rest].concat()
    }

    async fn complaint(bytes: &[u8]) -> io::ErrorKind {
        read_opening(&mut &bytes[..]).await.unwrap_err().kind()
    }

    #[tokio::test]
    async fn each_kind_of_first_packet_is_told_apart() {
        let startup = packet(196_608, b"user\0app\0database\0thaw\0user\0other\0\0");
        let Opening::Startup(startup) = read_opening(&mut &startup[..]).await.unwrap() else { panic!() };
        assert_eq!((startup.get("user"), startup.get("database"), startup.get("options")), (Some("other"), Some("thaw"), None));
        for (code, expected) in [(SSL_REQUEST, Opening::Ssl), (GSS_ENCRYPTION_REQUEST, Opening::GssEncryption), (CANCEL_REQUEST, Opening::Cancel)] {
            assert_eq!(read_opening(&mut &packet(code, b"")[..]).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn what_is_no_start_up_packet_is_refused() {
        let invalid = io::ErrorKind::InvalidData;
        assert_eq!(complaint(b"GET / HTTP/1.1\r\n\r\n").await, invalid);
        assert_eq!(complaint(&[0, 0, 0, 7, 0, 3, 0, 0]).await, invalid);
        assert_eq!(complaint(&[0x16, 3, 1, 2, 0, 1, 0, 1]).await, invalid, "TLS without asking");
        assert_eq!(complaint(&packet(131_072, b"")).await, invalid, "protocol 2");
        for rest in [&b"user"[..], b"user\0app\0", b"user\0app\0\0more", b"user\0\xff\0\0", b"user\0"] {
            assert_eq!(complaint(&packet(196_608, rest)).await, invalid, "{rest:?}");
        }
        assert_eq!(complaint(&packet(196_608, b"user\0app\0\0")[..12]).await, io::ErrorKind::UnexpectedEof);
    }
}
