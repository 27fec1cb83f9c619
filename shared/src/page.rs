//! Lists, newest first, by keyset: `?limit=1..100&cursor=…`.

use serde::Serialize;
use uuid::Uuid;

use crate::cursor;
use crate::error::Error;
use crate::http::Request;

/// How many items a page has where the client says nothing.
const LIMIT_DEFAULT: u32 = 20;
/// How many items a page may have.
const LIMIT_MAX: u32 = 100;

/// Which part of which list a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    list: &'static str,
    subject: String,
    limit: u32,
    before: Uuid,
}

/// A list item that knows its place: a UUIDv7, so that a later one is a newer one.
pub trait Positioned {
    /// The key by which the list is ordered.
    fn position(&self) -> Uuid;
}

/// One page, as the client gets it.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl PageRequest {
    /// Reads `limit` and `cursor`. `list` names the list, so that a cursor of another one is refused.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a limit that is not a number from 1 to 100, and for a cursor that this list did not give to this subject.
    pub fn from_request(request: &Request, list: &'static str, subject: &str) -> Result<Self, Error> {
        let limit = match request.query("limit")? {
            None => LIMIT_DEFAULT,
            Some(text) => parse_limit(&text)?,
        };
        let before = match request.query("cursor")? {
            None => Uuid::max(),
            Some(text) => cursor::decode(&text, list, subject).map_err(|error| Error::malformed(format!("cursor: {error}")))?,
        };
        Ok(Self { list, subject: subject.to_owned(), limit, before })
    }

    /// Whose list it is.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The page holds items before this position; the greatest UUID on the first page.
    #[must_use]
    pub fn before(&self) -> Uuid {
        self.before
    }

    /// How many rows to ask the database for: one more than the page holds, which tells whether there is a next page.
    #[must_use]
    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Makes the page from the rows, newest first.
    #[must_use]
    pub fn page<T: Positioned>(&self, mut rows: Vec<T>) -> Page<T> {
        let limit = self.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more).map(Positioned::position);
        Page { next_cursor: last.map(|position| cursor::encode(self.list, &self.subject, position)), items: rows }
    }
}

fn parse_limit(text: &str) -> Result<u32, Error> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u32>() {
        Ok(limit) if digits && (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        _ => Err(Error::malformed(format!("limit: must be a whole number from 1 to {LIMIT_MAX}"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Item(Uuid);

    impl Positioned for Item {
        fn position(&self) -> Uuid {
            self.0
        }
    }

    fn request(limit: u32) -> PageRequest {
        PageRequest { list: "models", subject: "user-1".into(), limit, before: Uuid::max() }
    }

    fn rows(count: u128) -> Vec<Item> {
        (1..=count).rev().map(|number| Item(Uuid::from_u128(number))).collect()
    }

    #[test]
    fn the_row_too_many_becomes_a_cursor_at_the_last_item() {
        let page = request(3).page(rows(4));
        assert_eq!(page.items.len(), 3);
        let cursor = page.next_cursor.unwrap();
        assert_eq!(cursor::decode(&cursor, "models", "user-1"), Ok(Uuid::from_u128(2)));
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        for count in 0..=3 {
            assert_eq!(request(3).page(rows(count)).next_cursor, None, "{count} rows");
        }
    }

    #[test]
    fn a_limit_is_a_plain_number_from_1_to_100() {
        assert_eq!(parse_limit("1").unwrap(), 1);
        assert_eq!(parse_limit("100").unwrap(), 100);
        for text in ["", "0", "101", "abc", "-1", "+5", "1.5", "1e1", " 1", "99999999999999999999", "١"] {
            assert!(matches!(parse_limit(text), Err(Error::Malformed { detail }) if detail.starts_with("limit: ")), "{text:?}");
        }
    }
}
