//! Positions in a list, as opaque text.
//!
//! A cursor carries a version, the route, a digest of the subject, the position and a checksum. None of it is a secret and no permission
//! follows from it: the queries filter by the subject whatever the cursor says. The digest only turns another user's cursor, and the checksum
//! a mistyped one, into a clear 400.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

const VERSION: u8 = 1;
const ROUTE: std::ops::Range<usize> = 1..5;
const SUBJECT: std::ops::Range<usize> = 5..13;
const POSITION: std::ops::Range<usize> = 13..29;
const CHECKSUM: std::ops::Range<usize> = 29..LENGTH_BYTES;
const LENGTH_BYTES: usize = 33;

/// Why a cursor is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CursorError {
    #[error("is damaged; send it as it came, or start again without one")]
    Damaged,
    #[error("is of another version; start again without one")]
    Version,
    #[error("belongs to another list or another user; start again without one")]
    Foreign,
}

pub(crate) fn encode(route: &str, subject: &str, position: Uuid) -> String {
    let mut bytes = [0_u8; LENGTH_BYTES];
    bytes[0] = VERSION;
    bytes[ROUTE].copy_from_slice(&digest(route)[..ROUTE.len()]);
    bytes[SUBJECT].copy_from_slice(&digest(subject)[..SUBJECT.len()]);
    bytes[POSITION].copy_from_slice(position.as_bytes());
    let checksum = crc32fast::hash(&bytes[..CHECKSUM.start]);
    bytes[CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn decode(text: &str, route: &str, subject: &str) -> Result<Uuid, CursorError> {
    let bytes: [u8; LENGTH_BYTES] = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(CursorError::Damaged)?;
    if bytes[CHECKSUM] != crc32fast::hash(&bytes[..CHECKSUM.start]).to_be_bytes() {
        return Err(CursorError::Damaged);
    }
    if bytes[0] != VERSION {
        return Err(CursorError::Version);
    }
    if bytes[ROUTE] != digest(route)[..ROUTE.len()] || bytes[SUBJECT] != digest(subject)[..SUBJECT.len()] {
        return Err(CursorError::Foreign);
    }
    Uuid::from_slice(&bytes[POSITION]).map_err(|_| CursorError::Damaged)
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn sample() -> (Uuid, String) {
        let position = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0042);
        (position, encode("models", "user-1", position))
    }

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let (position, text) = sample();
        assert_eq!(decode(&text, "models", "user-1"), Ok(position));
    }

    #[test]
    fn another_users_or_another_lists_cursor_is_foreign() {
        let (_, text) = sample();
        assert_eq!(decode(&text, "models", "user-2"), Err(CursorError::Foreign));
        assert_eq!(decode(&text, "purchases", "user-1"), Err(CursorError::Foreign));
    }

    #[test]
    fn every_changed_or_missing_character_is_noticed() {
        let (_, text) = sample();
        for index in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(decode(&changed, "models", "user-1"), Err(CursorError::Damaged), "character {index} of {changed}");
            assert_eq!(decode(&text[..index], "models", "user-1"), Err(CursorError::Damaged), "cut at {index}");
        }
        for junk in ["", " ", "null", "%00", "é", &"A".repeat(10_000)] {
            assert_eq!(decode(junk, "models", "user-1"), Err(CursorError::Damaged), "{junk}");
        }
    }

    #[test]
    fn a_cursor_of_another_version_says_so() {
        let (_, text) = sample();
        let mut bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
        bytes[0] = 2;
        let checksum = crc32fast::hash(&bytes[..CHECKSUM.start]);
        bytes[CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(decode(&URL_SAFE_NO_PAD.encode(bytes), "models", "user-1"), Err(CursorError::Version));
    }
}
