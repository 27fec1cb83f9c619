//! The server's errors: written for a client, and read from a server.

use bytes::{BufMut as _, BytesMut};

use super::{Frame, split_cstr};

/// How bad an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement fails.
    Error,
    /// The session ends.
    Fatal,
}

/// An ErrorResponse.
#[must_use]
pub fn error_response(severity: Severity, sqlstate: &str, message: &str) -> Frame {
    let severity = match severity {
        Severity::Error => "ERROR",
        Severity::Fatal => "FATAL",
    };
    let mut body = BytesMut::new();
    for (field, value) in [(b'S', severity), (b'V', severity), (b'C', sqlstate), (b'M', message)] {
        body.put_u8(field);
        body.put_slice(value.as_bytes());
        body.put_u8(0);
    }
    body.put_u8(0);
    Frame::new(b'E', &body)
}

/// What an ErrorResponse says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorFields {
    /// SQLSTATE.
    pub sqlstate: String,
    /// The message.
    pub message: String,
}

impl ErrorFields {
    /// Reads the body of an ErrorResponse; what is missing or malformed stays empty.
    #[must_use]
    pub fn read(mut body: &[u8]) -> Self {
        let mut fields = Self::default();
        while let Some((field @ 1.., rest)) = body.split_first() {
            let Some((value, after)) = split_cstr(rest) else { break };
            let value = || String::from_utf8_lossy(value).into_owned();
            match field {
                b'C' => fields.sqlstate = value(),
                b'M' => fields.message = value(),
                _ => {}
            }
            body = after;
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let frame = error_response(Severity::Fatal, "0A000", "no");
        assert_eq!(ErrorFields::read(frame.body()), ErrorFields { sqlstate: "0A000".to_owned(), message: "no".to_owned() });
        assert_eq!(ErrorFields::read(b"C57P01"), ErrorFields::default());
    }
}
