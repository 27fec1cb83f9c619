//! Writes that happen once, however often a client or the engine sends them.
//!
//! A client names its wish in `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header). One statement has the effect and keeps the
//! response under that key, or does neither; whoever comes with the key again gets the response that is kept. Refusals are not kept.
//!
//! What the statement of an [`Effect`] has to do, and `keep_response` of `infra/migrations` does for it:
//! - it makes the response from what it reads, before the key is inserted, since no part of a statement sees what another part of it
//!   changes; and it does so in a materialized part, so that no planner asks `keep_response` about a row that a condition removes;
//! - it calls `keep_response` once, and everything that it changes hangs on the answer being true;
//! - its own failure rolls all of it back, so no key is left without its effect.

use http::header::{ETAG, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

use crate::db::{Db, KeyedWrite};
use crate::error::{Error, sqlstate};
use crate::http::{Request, Response};
use crate::identity::Identity;
use crate::key::Key;
use crate::refusal::{KEY_IN_FLIGHT, KEY_REUSED, Refusal};

/// The name that a client gives to its wish.
const HEADER: &str = "idempotency-key";
/// Says that a response was kept from an earlier request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// lock_not_available: what the statement needs is held by another that has not ended. unique_violation: by one that has.
const LOCK_NOT_AVAILABLE: &str = "55P03";
const UNIQUE_VIOLATION: &str = "23505";

/// How often the statement is sent in one attempt. The first time it may have met something that is gone by the time it is asked why, such
/// as a key that has just expired.
const ROUNDS: u32 = 3;

/// One wish of one principal.
#[derive(Debug)]
pub struct Submission {
    key: Key,
    request_hash: [u8; 32],
    lifetime_s: i32,
}

/// A response as it is kept with its effect.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Kept {
    /// 2xx.
    pub status: i32,
    /// The tag of what the body describes.
    pub etag: Option<String>,
    /// Where that is.
    pub location: Option<String>,
    /// JSON, or empty.
    pub body: String,
}

/// What a request wants to have done.
pub trait Effect: Sync {
    /// Has the effect and keeps its response by one statement; none where it had no effect.
    ///
    /// # Errors
    /// The statement's. A violated `unique` constraint is taken for having had no effect.
    ///
    /// # Cancel safety
    /// As [`KeyedWrite::run`].
    fn apply(&self, submission: &Submission, connection: &mut PgConnection) -> impl Future<Output = Result<Option<Kept>, sqlx::Error>> + Send;

    /// Why there was no effect, where no response is kept under the key. None where there would be one now.
    ///
    /// # Errors
    /// The statement's.
    ///
    /// # Cancel safety
    /// It changes nothing.
    fn refusal(&self, submission: &Submission, connection: &mut PgConnection) -> impl Future<Output = Result<Option<Refusal>, sqlx::Error>> + Send;
}

impl Submission {
    /// The wish of a request that has to name it.
    ///
    /// # Errors
    /// [`Error::Malformed`] where `Idempotency-Key` is missing or no key.
    pub fn named(request: &Request, identity: &Identity, payload: &impl Serialize, db: &Db) -> Result<Self, Error> {
        let text = request.header(HEADER)?.ok_or_else(|| {
            Error::malformed("Idempotency-Key: is missing; send a value of your own choice, such as a UUID, and the same one when you repeat this")
        })?;
        Self::new(request, identity, text, payload, db)
    }

    /// The wish of a request that may name it. Without a name only this invocation repeats it.
    ///
    /// # Errors
    /// [`Error::Malformed`] where `Idempotency-Key` is no key.
    pub fn maybe_named(request: &Request, identity: &Identity, payload: &impl Serialize, db: &Db) -> Result<Self, Error> {
        let own = format!("invocation:{}", request.request_id());
        Self::new(request, identity, request.header(HEADER)?.unwrap_or(&own), payload, db)
    }

    fn new(request: &Request, identity: &Identity, text: &str, payload: &impl Serialize, db: &Db) -> Result<Self, Error> {
        let key = Key::new(identity, unquoted(text)?).map_err(|error| Error::malformed(format!("Idempotency-Key: {error}")))?;
        let mut hash = Sha256::new();
        for part in [request.method().as_str().as_bytes(), request.path().as_bytes(), &serde_json::to_vec(payload).map_err(Error::internal)?] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        let lifetime_s = i32::try_from(db.config().key_lifetime.as_secs()).unwrap_or(i32::MAX);
        Ok(Self { key, request_hash: hash.finalize().into(), lifetime_s })
    }

    /// Whose wish it is.
    #[must_use]
    pub fn principal(&self) -> &str {
        self.key.principal()
    }

    /// What it is called.
    #[must_use]
    pub fn key(&self) -> &str {
        self.key.text()
    }

    /// SHA-256 of method, path and payload.
    #[must_use]
    pub fn request_hash(&self) -> &[u8] {
        &self.request_hash
    }

    /// For how many seconds the response is kept.
    #[must_use]
    pub fn lifetime_s(&self) -> i32 {
        self.lifetime_s
    }

    /// Has the effect once, and gives the response of the one time.
    ///
    /// # Errors
    /// Those of [`Db::write`]; [`Error::Refused`] where there is no effect, where the key was used for another request, or where one like it
    /// is under way.
    ///
    /// # Cancel safety
    /// As [`Db::write`].
    pub async fn submit<E: Effect>(&self, request: &Request, db: &Db, effect: &E) -> Result<Response, Error> {
        match db.write(request.deadline(), &self.key, &Submitted { submission: self, effect }).await? {
            Outcome::Done(kept) => response(kept),
            Outcome::Replayed(kept) => Ok(response(kept)?.with_header(REPLAYED, HeaderValue::from_static("true"))),
            Outcome::Refused(refusal) => Err(refusal.into()),
        }
    }

    /// What is kept under its key.
    async fn kept(&self, connection: &mut PgConnection) -> Result<Option<Found>, sqlx::Error> {
        let select = "select request_hash, status::int, etag, location, convert_from(body, 'UTF8') as body from idempotency_keys
                      where principal = $1 and key = $2 and expires_at > now()";
        sqlx::query_as(select).bind(self.principal()).bind(self.key()).fetch_optional(connection).await
    }
}

#[derive(sqlx::FromRow)]
struct Found {
    request_hash: Vec<u8>,
    #[sqlx(flatten)]
    kept: Kept,
}

/// The draft's header is a string of RFC 9651, in quotes; clients mostly send it bare. Both name the same key.
fn unquoted(text: &str) -> Result<&str, Error> {
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    // A comma is how several headers of one name arrive.
    if bare.contains(['"', '\\', ',']) {
        return Err(Error::malformed("Idempotency-Key: must be one value, without quotes, backslashes and commas inside"));
    }
    Ok(bare)
}

fn response(kept: Kept) -> Result<Response, Error> {
    let status = u16::try_from(kept.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = Response::personal_text(status.ok_or_else(|| Error::internal(format!("{} was kept as a status", kept.status)))?, kept.body);
    for (name, value) in [(ETAG, kept.etag), (LOCATION, kept.location)] {
        if let Some(value) = value {
            response = response.with_header(name, HeaderValue::try_from(value).map_err(Error::internal)?);
        }
    }
    Ok(response)
}

enum Outcome {
    Done(Kept),
    Replayed(Kept),
    Refused(Refusal),
}

struct Submitted<'a, E> {
    submission: &'a Submission,
    effect: &'a E,
}

impl<E: Effect> KeyedWrite for Submitted<'_, E> {
    type Output = Outcome;

    async fn run(&self, _: &Key, connection: &mut PgConnection) -> Result<Outcome, sqlx::Error> {
        for _ in 0..ROUNDS {
            let blocked = match self.effect.apply(self.submission, connection).await {
                Ok(Some(kept)) => return Ok(Outcome::Done(kept)),
                Ok(None) => None,
                // A statement by itself is rolled back by its error, and the connection is sound.
                Err(error) => match sqlstate(&error).as_deref() {
                    Some(LOCK_NOT_AVAILABLE) => Some(error),
                    Some(UNIQUE_VIOLATION) => None,
                    _ => return Err(error),
                },
            };
            match self.submission.kept(connection).await? {
                Some(found) if found.request_hash == self.submission.request_hash => return Ok(Outcome::Replayed(found.kept)),
                Some(_) => {
                    return Ok(Outcome::Refused(KEY_REUSED.because("Repeat the request as it was sent with this key first, or choose a new key.")));
                }
                None => {}
            }
            if let Some(error) = blocked {
                // A table is waited for as a read waits for it; only another write is a conflict.
                if is_a_table_locked(connection).await? {
                    return Err(error);
                }
                break;
            }
            if let Some(refusal) = self.effect.refusal(self.submission, connection).await? {
                return Ok(Outcome::Refused(refusal));
            }
        }
        let in_flight = KEY_IN_FLIGHT
            .because("A request with this key, or another change of the same, has not ended yet. Repeat this after the seconds in Retry-After.");
        Ok(Outcome::Refused(Refusal { retry_after_s: Some(1), ..in_flight }))
    }
}

/// Whether somebody keeps writes from a whole table, or waits to, as a migration does: a lock of a mode that no read and no write takes
/// (PostgreSQL documentation, section 13.3.1).
async fn is_a_table_locked(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let select = "select exists (
                      select from pg_locks l join pg_class c on c.oid = l.relation
                      where l.locktype = 'relation' and c.relnamespace = 'public'::regnamespace
                        and l.database = (select d.oid from pg_database d where d.datname = current_database())
                        and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
                  )";
    sqlx::query_scalar(select).fetch_one(connection).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_stand_in_quotes_and_stands_there_once() {
        assert_eq!(unquoted("\"abc\"").unwrap(), "abc");
        assert_eq!(unquoted("abc").unwrap(), "abc");
        for text in ["\"a", "a\"", "\"a\", \"b\"", "a,b", "\"a\\\"b\"", "\""] {
            assert!(matches!(unquoted(text), Err(Error::Malformed { .. })), "{text}");
        }
    }
}
