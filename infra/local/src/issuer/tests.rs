#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use jsonwebtoken::jwk::ThumbprintHash;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Map;

use super::*;

const URL: &str = "http://127.0.0.1:3001";

fn issuer(directory: &Path) -> Issuer {
    Issuer::load_or_create(directory, URL.into()).unwrap()
}

fn key_file(directory: &Path) -> std::path::PathBuf {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

#[test]
fn key_is_made_once_for_its_owner_only() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a/b");
    let first = issuer(&directory).jwks();
    let file = fs::metadata(key_file(&directory)).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert_eq!(issuer(&directory).jwks(), first);
    assert_eq!(fs::metadata(key_file(&directory)).unwrap().ino(), file.ino());
}

#[test]
fn processes_that_start_at_once_share_one_key() {
    let directory = tempfile::tempdir().unwrap();
    let keys: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| issuer(directory.path()).jwks())).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    key_file(directory.path()); // no temporary file is left
}

#[test]
fn damaged_key_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    issuer(directory.path());
    let file = key_file(directory.path());
    let whole = fs::read(&file).unwrap();
    for (case, bytes) in [("empty", &b""[..]), ("cut off", &whole[..whole.len() / 2]), ("foreign", b"-----BEGIN PRIVATE KEY-----")] {
        fs::write(&file, bytes).unwrap();
        let message = format!("{:#}", Issuer::load_or_create(directory.path(), URL.into()).unwrap_err());
        assert!(message.contains(file.to_str().unwrap()) && message.contains("delete it"), "{case}: {message}");
        assert_eq!(fs::read(&file).unwrap(), bytes, "{case}: the file was touched");
    }
}

#[test]
fn directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let taken = directory.path().join("file");
    fs::write(&taken, "").unwrap();
    let message = format!("{:#}", Issuer::load_or_create(&taken.join("keys"), URL.into()).unwrap_err());
    assert!(message.contains("file/keys/issuer-key.p8"), "{message}");
}

#[test]
fn token_holds_the_claims_and_verifies_with_the_published_key() {
    let directory = tempfile::tempdir().unwrap();
    let issuer = issuer(directory.path());
    let token = issuer.token_with_scope("user-1", "thaw", Duration::from_secs(60), &["read", "write"]).unwrap();

    let published: JwkSet = serde_json::from_value(issuer.jwks()).unwrap();
    let header = jsonwebtoken::decode_header(&token).unwrap();
    let jwk = published.find(&header.kid.unwrap()).unwrap();
    assert_eq!(jwk.thumbprint(ThumbprintHash::SHA256).unwrap(), jwk.common.key_id.clone().unwrap());
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["thaw"]);
    validation.set_issuer(&[URL]);
    validation.leeway = 0;
    let claims = jsonwebtoken::decode::<Map<String, Value>>(&token, &DecodingKey::from_jwk(jwk).unwrap(), &validation).unwrap().claims;

    assert_eq!(claims["sub"], "user-1");
    assert_eq!(claims["scope"], "read write");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
    let other = issuer.token("user-1", "thaw", Duration::from_secs(60)).unwrap();
    let other: Map<String, Value> = jsonwebtoken::dangerous::insecure_decode_claims(&other).unwrap();
    assert!(!other.contains_key("scope") && other["jti"] != claims["jti"]);
}

#[test]
fn published_key_holds_nothing_private() {
    let directory = tempfile::tempdir().unwrap();
    let jwks = issuer(directory.path()).jwks();
    let mut members: Vec<_> = jwks["keys"][0].as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
}

#[test]
fn bad_subject_and_lifetime_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let issuer = issuer(directory.path());
    let minute = Duration::from_secs(60);
    let cases = [
        (String::new(), minute, "subject is empty"),
        ("ä".repeat(256), minute, "256 characters"),
        ("a\nb".into(), minute, "control character"),
        ("a\u{0}".into(), minute, "control character"),
        ("user-1".into(), Duration::from_millis(999), "at least one second"),
        ("user-1".into(), Duration::MAX, "too long"),
    ];
    for (subject, lifetime, expected) in cases {
        let message = issuer.token(&subject, "thaw", lifetime).unwrap_err().to_string();
        assert!(message.contains(expected), "{subject:?} {lifetime:?}: {message}");
    }
    for subject in ["a".to_owned(), "ä".repeat(255), "auth0|12 3".to_owned()] {
        assert!(issuer.token(&subject, "thaw", minute).is_ok(), "{subject}");
    }
}

#[test]
fn issuer_url_must_be_an_origin() {
    let directory = tempfile::tempdir().unwrap();
    for url in ["", "127.0.0.1:3001", "/a", "ftp://a", "http://a/", "http://a/b", "http://a?b", "http:// a", "http://"] {
        let message = Issuer::load_or_create(directory.path(), url.into()).unwrap_err().to_string();
        assert!(message.contains("issuer URL"), "{url}: {message}");
    }
}

#[test]
fn nothing_of_the_key_shows_in_debug_output() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(format!("{:?}", issuer(directory.path())), r#"Issuer { url: "http://127.0.0.1:3001", .. }"#);
}
