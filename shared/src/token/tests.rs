use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use tracing::level_filters::LevelFilter;

use super::*;

/// Tokens that AWS's own botocore made. See `made_by` in the file.
#[derive(serde::Deserialize)]
struct Recorded {
    signed_at: String,
    access_key_id: String,
    secret_access_key: String,
    vectors: Vec<Vector>,
}

#[derive(serde::Deserialize)]
struct Vector {
    case: String,
    host: String,
    port: u16,
    user: String,
    region: String,
    session_token: Option<String>,
    token: String,
}

fn recorded() -> Recorded {
    serde_json::from_str(include_str!("botocore.json")).unwrap()
}

fn aws(session_token: Option<&str>) -> Aws {
    Aws {
        region: "eu-central-1".to_owned(),
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        session_token: session_token.map(Into::into),
    }
}

const SIGN_IN: SignIn<'_> = SignIn { host: "db.internal", port: 5432, user: "thaw_app" };

fn at(s: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000 + s)
}

/// Host and port, and the parameters as they are written.
fn parts(token: &str) -> (String, BTreeMap<&str, &str>) {
    let (authority, query) = token.split_once("/?").unwrap();
    let parameters: Vec<_> = query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
    assert_eq!(parameters[0], ("Action", "connect"), "the action leads");
    assert_eq!(parameters.iter().copied().collect::<BTreeMap<_, _>>().len(), parameters.len(), "no parameter stands twice");
    (authority.to_lowercase(), parameters.into_iter().collect())
}

#[test]
fn a_token_is_the_one_that_botocore_makes_in_every_parameter() {
    let recorded = recorded();
    let signed_at = time::OffsetDateTime::parse(&recorded.signed_at, &time::format_description::well_known::Rfc3339).unwrap();
    assert!(recorded.vectors.len() > 8);
    for vector in recorded.vectors {
        let aws = Aws {
            region: vector.region,
            access_key_id: recorded.access_key_id.clone(),
            secret_access_key: recorded.secret_access_key.clone().into(),
            session_token: vector.session_token.map(Into::into),
        };
        let sign_in = SignIn { host: &vector.host, port: vector.port, user: &vector.user };
        let token = sign(sign_in, &aws, signed_at.into()).unwrap();
        assert_eq!(parts(token.expose_secret()), parts(&vector.token), "{}", vector.case);
    }
}

#[test]
fn a_host_that_is_none_is_an_error_and_no_panic() {
    for host in ["db internal", "a\nb", "[::1", "db\0"] {
        let error = sign(SignIn { host, ..SIGN_IN }, &aws(None), at(0)).unwrap_err();
        assert!(error.to_string().contains("could not be signed"), "{host:?}: {error}");
    }
}

/// A log that a test can read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_log_and_no_debug_output_holds_a_secret_at_any_level() {
    let aws = aws(Some("session-token-in-plain"));
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(move || writer.clone()).finish();
    let cache = TokenCache::default();
    tracing::subscriber::with_default(subscriber, || {
        cache.current(at(0), || sign(SIGN_IN, &aws, at(0))).unwrap();
        tracing::trace!(?aws, ?cache, "the end");
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("the end") && log.contains("AKIAIOSFODNN7EXAMPLE"), "{log}");
    for secret in ["wJalrXUtnFEMI", "session-token-in-plain", "X-Amz-Signature"] {
        assert!(!log.contains(secret), "{log}");
    }
}

/// How often a token is signed where one is asked for at these times.
fn signed(times: &[SystemTime]) -> usize {
    let (cache, count) = (TokenCache::default(), Cell::new(0));
    for now in times {
        let sign = || {
            count.set(count.get() + 1);
            Ok::<_, Infallible>("token".into())
        };
        let Ok(_) = cache.current(*now, sign);
    }
    count.get()
}

#[test]
fn a_token_is_kept_for_ten_minutes_by_wall_clock_and_a_clock_that_went_back_means_old() {
    assert_eq!(signed(&[at(0), at(0), at(599)]), 1);
    assert_eq!(signed(&[at(0), at(600)]), 2);
    assert_eq!(signed(&[at(0), at(599), at(600)]), 2, "age counts from the signature, not from the last use");
    assert_eq!(signed(&[at(0), at(86_400 * 365)]), 2, "thawed after a year");
    assert_eq!(signed(&[at(5), at(4)]), 2, "the clock went back");
}

#[test]
fn a_kept_token_lives_on_for_five_minutes_at_least() {
    assert!(KEPT_FOR + Duration::from_secs(300) <= LIFETIME);
    let token = sign(SIGN_IN, &aws(None), at(0)).unwrap();
    assert_eq!(parts(token.expose_secret()).1["X-Amz-Expires"], LIFETIME.as_secs().to_string());
}

#[test]
fn a_refused_token_is_not_used_again() {
    let cache = TokenCache::default();
    let current = |name: &'static str| {
        let Ok(token) = cache.current(at(0), || Ok::<_, Infallible>(name.into()));
        token.expose_secret().to_owned()
    };
    assert_eq!((current("first"), current("second")), ("first".to_owned(), "first".to_owned()));
    cache.forget();
    assert_eq!(current("third"), "third");
}

#[test]
fn a_token_that_could_not_be_signed_leaves_nothing_behind() {
    let cache = TokenCache::default();
    assert_eq!(cache.current(at(0), || Err("no")).err(), Some("no"));
    let Ok(token) = cache.current(at(0), || Ok::<_, Infallible>("yes".into()));
    assert_eq!(token.expose_secret(), "yes");
}
