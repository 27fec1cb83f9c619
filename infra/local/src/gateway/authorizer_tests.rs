#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair};
use serde_json::json;

use super::*;
use crate::issuer::Issuer;

const ISSUER: &str = "http://127.0.0.1:3001";
const NOW_S: u64 = 1_800_000_000;

static LOCAL: LazyLock<Issuer> = LazyLock::new(|| new_issuer().0);
static OTHER: LazyLock<Issuer> = LazyLock::new(|| new_issuer().0);

/// An issuer and its private key.
fn new_issuer() -> (Issuer, RsaKeyPair) {
    let directory = tempfile::tempdir().unwrap();
    let issuer = Issuer::load_or_create(directory.path(), ISSUER.into()).unwrap();
    let key_file = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
    (issuer, RsaKeyPair::from_pkcs8(&std::fs::read(key_file).unwrap()).unwrap())
}

fn authorizer(scopes: &[&str]) -> JwtAuthorizer {
    JwtAuthorizer {
        name: "Users".into(),
        issuer: ISSUER.into(),
        audience: vec!["thaw".into(), "thaw-2".into()],
        scopes: scopes.iter().map(ToString::to_string).collect(),
    }
}

/// Good claims with some replaced, and those set to null removed.
fn claims(changes: Value) -> Value {
    let mut claims = json!({"sub": "user-1", "iss": ISSUER, "aud": "thaw", "iat": NOW_S - 10, "exp": NOW_S + 10});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn verify_header(value: &str, scopes: &[&str]) -> Result<Verified, Refusal> {
    verify_against(&LOCAL, value, scopes)
}

fn verify_against(issuer: &Issuer, value: &str, scopes: &[&str]) -> Result<Verified, Refusal> {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::try_from(value).unwrap());
    verify(&authorizer(scopes), issuer, &headers, UNIX_EPOCH + Duration::from_millis(NOW_S * 1000 + 500))
}

fn reason(result: Result<Verified, Refusal>) -> String {
    match result {
        Ok(_) => "accepted".into(),
        Err(Refusal::Unauthorized(challenge)) => challenge,
        Err(other) => panic!("{other:?}"),
    }
}

/// A token with this header, which `sign` signs.
fn forged(header: &Value, claims: &Value, sign: impl Fn(&str) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(sign(&message)))
}

#[test]
fn good_token_gives_its_claims_as_texts() {
    let token = LOCAL.sign(&claims(json!({"groups": ["a", "b"]}))).unwrap();
    let verified = verify_header(&format!("Bearer {token}"), &[]).unwrap();
    assert_eq!(verified.claims["sub"], "user-1");
    assert_eq!(verified.claims["exp"], (NOW_S + 10).to_string());
    assert_eq!(verified.claims["groups"], "[a b]");
    assert_eq!(verified.scopes, None);
}

#[test]
fn token_may_stand_with_or_without_its_scheme() {
    let token = LOCAL.sign(&claims(json!({}))).unwrap();
    for header in [format!("Bearer {token}"), format!("bearer  {token} "), token.clone()] {
        assert!(verify_header(&header, &[]).is_ok(), "{header}");
    }
    assert_eq!(reason(verify_header(&format!("Basic {token}"), &[])).matches("error=").count(), 1);
}

#[test]
fn request_without_a_token_is_asked_for_one() {
    let none = verify(&authorizer(&[]), &*LOCAL, &HeaderMap::new(), SystemTime::now());
    assert_eq!(none, Err(Refusal::Unauthorized("Bearer".into())));
    for header in ["", "Bearer", "Bearer ", "bearer"] {
        assert_eq!(reason(verify_header(header, &[])), "Bearer", "{header:?}");
    }
}

#[test]
fn two_authorization_headers_are_refused_even_if_one_is_good() {
    let token = LOCAL.sign(&claims(json!({}))).unwrap();
    let mut headers = HeaderMap::new();
    headers.append(header::AUTHORIZATION, HeaderValue::try_from(&token).unwrap());
    headers.append(header::AUTHORIZATION, HeaderValue::try_from(&token).unwrap());
    let refused = verify(&authorizer(&[]), &*LOCAL, &headers, UNIX_EPOCH + Duration::from_secs(NOW_S));
    assert!(reason(refused).contains("number of segments"));
}

#[test]
fn claims_are_checked_without_leeway() {
    let cases = [
        (json!({"exp": NOW_S + 1}), "accepted"),
        (json!({"exp": NOW_S as f64 + 0.75}), "accepted"),
        (json!({"exp": NOW_S}), "the token has expired"),
        (json!({"exp": NOW_S as f64 + 0.5}), "the token has expired"),
        (json!({"exp": 0}), "the token has expired"),
        (json!({"exp": -1e300}), "the token has expired"),
        (json!({"exp": null}), "the token does not expire"),
        (json!({"exp": (NOW_S + 10).to_string()}), "a time that is not a number"),
        (json!({"nbf": NOW_S}), "accepted"),
        (json!({"nbf": NOW_S + 1}), "the token is not valid yet"),
        (json!({"nbf": []}), "a time that is not a number"),
        (json!({"iat": NOW_S}), "accepted"),
        (json!({"iat": null}), "accepted"),
        (json!({"iat": NOW_S + 1}), "issued in the future"),
        (json!({"iss": "http://127.0.0.1:3002"}), "valid issuer"),
        (json!({"iss": format!("{ISSUER}/")}), "valid issuer"),
        (json!({"iss": [ISSUER]}), "valid issuer"),
        (json!({"iss": null}), "valid issuer"),
        (json!({"aud": "thaw-2"}), "accepted"),
        (json!({"aud": ["x", "thaw"]}), "accepted"),
        (json!({"aud": "x"}), "the token does not have a valid audience"),
        (json!({"aud": []}), "valid audience"),
        (json!({"aud": {"thaw": 1}}), "valid audience"),
        (json!({"aud": null}), "valid audience"),
        (json!({"aud": null, "client_id": "thaw"}), "accepted"),
        (json!({"aud": "x", "client_id": "thaw"}), "valid audience"),
    ];
    for (changes, expected) in cases {
        let token = LOCAL.sign(&claims(changes.clone())).unwrap();
        let found = reason(verify_header(&format!("Bearer {token}"), &[]));
        assert!(found.contains(expected), "{changes}: {found}");
        assert!(!found.contains(&token), "{changes}: the token shows");
    }
}

#[test]
fn refusal_has_the_form_that_aws_documents() {
    let token = LOCAL.sign(&claims(json!({"aud": "x"}))).unwrap();
    assert_eq!(
        reason(verify_header(&token, &[])),
        r#"Bearer scope="" error="invalid_token" error_description="the token does not have a valid audience""#
    );
}

#[test]
fn only_the_issuers_rsa_signature_counts() {
    let (issuer, key) = new_issuer();
    let good = claims(json!({}));
    let jwk = issuer.jwks()["keys"][0].clone();
    let key_id = &jwk["kid"];
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let unsigned = |_: &str| Vec::new();
    let by_rsa = |algorithm: &'static dyn RsaEncoding, message: &str| {
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(algorithm, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        signature
    };
    let by_key = |message: &str| by_rsa(&RSA_PKCS1_SHA256, message);
    let by_public_key = |message: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &modulus), message.as_bytes()).as_ref().to_vec();
    let signed = forged(&json!({"alg": "RS256", "kid": key_id}), &good, by_key);
    assert!(verify_against(&issuer, &signed, &[]).is_ok());
    let (message, signature) = signed.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let other_claims = URL_SAFE_NO_PAD.encode(claims(json!({"sub": "user-2"})).to_string());
    let by_other = OTHER.sign(&good).unwrap();

    let cases = [
        ("alg none", forged(&json!({"alg": "none", "kid": key_id}), &good, unsigned)),
        ("alg NONE", forged(&json!({"alg": "NONE", "kid": key_id}), &good, unsigned)),
        ("alg none over a good signature", forged(&json!({"alg": "none", "kid": key_id}), &good, by_key)),
        ("HS256 with the public key", forged(&json!({"alg": "HS256", "kid": key_id}), &good, by_public_key)),
        ("ES256", forged(&json!({"alg": "ES256", "kid": key_id}), &good, |_| vec![1; 64])),
        ("RS512 of an RS256 key", forged(&json!({"alg": "RS512", "kid": key_id}), &good, |message| by_rsa(&RSA_PKCS1_SHA512, message))),
        ("no alg", forged(&json!({"kid": key_id}), &good, by_key)),
        ("no kid", forged(&json!({"alg": "RS256"}), &good, by_key)),
        ("kid of nobody", forged(&json!({"alg": "RS256", "kid": "nobody"}), &good, by_key)),
        ("kid is a number", forged(&json!({"alg": "RS256", "kid": 1}), &good, by_key)),
        ("critical header", forged(&json!({"alg": "RS256", "kid": key_id, "crit": ["x"], "x": 1}), &good, by_key)),
        ("embedded key", forged(&json!({"alg": "RS256", "jwk": jwk}), &good, by_key)),
        ("claims are no object", forged(&json!({"alg": "RS256", "kid": key_id}), &json!(["sub"]), by_key)),
        ("made-up signature", forged(&json!({"alg": "RS256", "kid": key_id}), &good, |_| vec![1; 256])),
        ("no signature", format!("{message}.")),
        ("signature cut", format!("{message}.{}", &signature[..signature.len() - 4])),
        ("other claims", format!("{header}.{other_claims}.{signature}")),
        ("another key under its own name", by_other.clone()),
        ("another key under this name", format!("{message}.{}", by_other.rsplit_once('.').unwrap().1)),
        ("garbage", "not-a-token".into()),
        ("dots", "..".into()),
        ("many dots", ".".repeat(500)),
        ("header is no JSON", "YQ.YQ.YQ".into()),
        ("invalid base64", "%%.%%.%%".into()),
        ("deep header", format!("{}.e30.YQ", URL_SAFE_NO_PAD.encode("[".repeat(3_000)))),
    ];
    for (case, token) in cases {
        let found = reason(verify_against(&issuer, &format!("Bearer {token}"), &[]));
        assert!(found.starts_with(r#"Bearer scope="" error="invalid_token""#), "{case}: {found}");
    }
}

#[test]
fn one_of_the_routes_scopes_is_enough() {
    let cases = [
        (json!({"scope": "x write"}), Some(&["x", "write"][..])),
        (json!({"scp": ["read"]}), Some(&["read"])),
        (json!({"scope": "reading"}), None),
        (json!({"scope": ""}), None),
        (json!({}), None),
    ];
    for (changes, expected) in cases {
        let token = LOCAL.sign(&claims(changes.clone())).unwrap();
        match (verify_header(&token, &["read", "write"]), expected) {
            (Ok(verified), Some(expected)) => assert_eq!(verified.scopes.unwrap(), expected, "{changes}"),
            (Err(Refusal::Forbidden(Some(challenge))), None) => {
                assert!(challenge.starts_with(r#"Bearer scope="read write" error="insufficient_scope""#), "{changes}: {challenge}");
            }
            (found, _) => panic!("{changes}: {found:?}"),
        }
    }
}
