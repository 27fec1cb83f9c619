//! Whether a client has signed in, seen from the bytes that pass by.

use crate::wire::{Piece, Pieces};

/// Waits for AuthenticationOk among what the server says.
#[derive(Default)]
pub(super) struct SignIn {
    pieces: Pieces,
    /// Of an Authentication message that is being read.
    code: Option<Vec<u8>>,
}

impl SignIn {
    /// Whether the client has signed in; None while that is open.
    pub(super) fn look(&mut self, mut bytes: &[u8]) -> Option<bool> {
        loop {
            match self.pieces.next(&mut bytes) {
                Ok(Some(Piece::Begin(kind))) => self.code = (kind == b'R').then(Vec::new),
                Ok(Some(Piece::Body(part))) => {
                    if let Some(code) = &mut self.code {
                        code.extend_from_slice(&part[..part.len().min(4 - code.len())]);
                    }
                }
                Ok(Some(Piece::End)) if self.code.as_deref() == Some(&[0; 4]) => return Some(true),
                Ok(Some(Piece::End)) => {}
                Ok(None) => return None,
                // A server that speaks otherwise signs nobody in.
                Err(_) => return Some(false),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Frame, Severity, error_response};

    #[test]
    fn a_sign_in_is_seen_wherever_the_stream_is_cut_and_only_once_it_succeeded() {
        let asks = Frame::new(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
        let stream = [asks.bytes(), Frame::new(b'R', &[0; 4]).bytes()].map(|bytes| bytes.to_vec()).concat();
        for cut in 0..stream.len() {
            let mut sign_in = SignIn::default();
            assert_eq!(sign_in.look(&stream[..cut]), None);
            assert_eq!(sign_in.look(&stream[cut..]), Some(true), "cut at {cut}");
        }
        let refused = [asks.bytes(), error_response(Severity::Fatal, "28P01", "no").bytes()].map(|bytes| bytes.to_vec()).concat();
        assert_eq!(SignIn::default().look(&refused), None);
        assert_eq!(SignIn::default().look(b"R\0\0\0\x03"), Some(false));
    }
}
