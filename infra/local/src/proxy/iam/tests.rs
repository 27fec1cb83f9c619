use std::time::UNIX_EPOCH;

use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret as _;
use shared::config::Aws;
use shared::token::SignIn;

use super::*;

const HOST: &str = "proxy.thaw.test";
const PORT: u16 = 6432;
const REGION: &str = "eu-central-1";
const USER: &str = "thaw_app";

fn at(s: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000 + s)
}

fn credentials() -> LocalCredentials {
    LocalCredentials::generate().unwrap()
}

/// A token as the functions sign it.
fn token(credentials: &LocalCredentials, region: &str, sign_in: SignIn<'_>) -> String {
    let aws = Aws {
        region: region.to_owned(),
        access_key_id: credentials.access_key_id.clone(),
        secret_access_key: credentials.secret_access_key.clone(),
        session_token: credentials.session_token.clone(),
    };
    shared::token::sign(sign_in, &aws, at(0)).unwrap().expose_secret().to_owned()
}

const SIGN_IN: SignIn<'_> = SignIn { host: HOST, port: PORT, user: USER };

/// A proxy, and a token that it accepts.
fn proxy() -> (Verifier, String) {
    let credentials = credentials();
    (Verifier::new([HOST, "127.0.0.1", "::1"], PORT, REGION).with(&credentials), token(&credentials, REGION, SIGN_IN))
}

#[test]
fn what_the_functions_sign_is_accepted_also_for_odd_names() {
    let credentials = credentials();
    let verifier = Verifier::new([HOST, "127.0.0.1", "::1"], PORT, REGION).with(&credentials);
    for (host, user) in
        [(HOST, USER), ("127.0.0.1", USER), ("::1", USER), ("PROXY.thaw.Test", USER), (HOST, "a b+c/ü&=@"), (HOST, "100%25"), (HOST, "雪~*'")]
    {
        let token = token(&credentials, REGION, SignIn { host, port: PORT, user });
        assert_eq!(verifier.verify(&token, user, at(0)), Ok(()), "{host} {user}");
    }
}

#[test]
fn credentials_without_a_session_token_work_too() {
    let permanent = LocalCredentials { session_token: None, ..credentials() };
    let verifier = Verifier::new([HOST], PORT, REGION).with(&permanent);
    assert_eq!(verifier.verify(&token(&permanent, REGION, SIGN_IN), USER, at(0)), Ok(()));
}

/// The same tokens that the functions' side is compared with, made by AWS's own botocore.
#[test]
fn what_botocore_signs_is_accepted() {
    let recorded: serde_json::Value = serde_json::from_str(include_str!("../../../../../shared/src/token/botocore.json")).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let signed_at = time::OffsetDateTime::parse(&text(&recorded["signed_at"]), &time::format_description::well_known::Rfc3339).unwrap();
    let vectors = recorded["vectors"].as_array().unwrap();
    assert!(vectors.len() > 8);
    for vector in vectors {
        let credentials = LocalCredentials {
            access_key_id: text(&recorded["access_key_id"]),
            secret_access_key: text(&recorded["secret_access_key"]).into(),
            session_token: vector["session_token"].as_str().map(Into::into),
        };
        let port = vector["port"].as_u64().unwrap().try_into().unwrap();
        let verifier = Verifier::new([vector["host"].as_str().unwrap()], port, text(&vector["region"])).with(&credentials);
        assert_eq!(verifier.verify(&text(&vector["token"]), &text(&vector["user"]), signed_at.into()), Ok(()), "{}", vector["case"]);
    }
}

#[test]
fn a_token_is_good_from_five_minutes_before_its_date_to_fifteen_after() {
    let (verifier, token) = proxy();
    let verify = |now| verifier.verify(&token, USER, now);
    assert_eq!(verify(at(899)), Ok(()));
    assert_eq!(verify(at(900)), Err(Refusal::Expired(Duration::ZERO)));
    assert_eq!(verify(at(86_400)), Err(Refusal::Expired(Duration::from_secs(85_500))));
    assert_eq!(verify(at(0) - CLOCK_SKEW), Ok(()));
    assert_eq!(verify(at(0) - CLOCK_SKEW - Duration::from_secs(1)), Err(Refusal::Future(Duration::from_secs(301))));
}

#[test]
fn a_token_for_something_else_is_refused_for_what_is_wrong() {
    let ours = credentials();
    let verifier = Verifier::new([HOST], PORT, REGION).with(&ours);
    let with = |sign_in| token(&ours, REGION, sign_in);
    let wrong_secret = LocalCredentials { secret_access_key: credentials().secret_access_key, ..ours.clone() };
    let other_session = LocalCredentials { session_token: credentials().session_token, ..ours.clone() };
    let no_session = LocalCredentials { session_token: None, ..ours.clone() };
    let cases = [
        ("another host", with(SignIn { host: "db.thaw.test", ..SIGN_IN }), Refusal::Host("db.thaw.test".to_owned())),
        ("a longer host", with(SignIn { host: "proxy.thaw.test.evil.test", ..SIGN_IN }), Refusal::Host("proxy.thaw.test.evil.test".to_owned())),
        ("another port", with(SignIn { port: 5432, ..SIGN_IN }), Refusal::Port("5432".to_owned())),
        ("another user", with(SignIn { user: "thaw_ops", ..SIGN_IN }), Refusal::User("thaw_ops".to_owned())),
        ("another case of the user", with(SignIn { user: "Thaw_App", ..SIGN_IN }), Refusal::User("Thaw_App".to_owned())),
        ("another region", token(&ours, "us-east-1", SIGN_IN), Refusal::Region("us-east-1".to_owned())),
        ("unknown credentials", token(&credentials(), REGION, SIGN_IN), Refusal::AccessKey),
        ("another secret", token(&wrong_secret, REGION, SIGN_IN), Refusal::Signature),
        ("another session token", token(&other_session, REGION, SIGN_IN), Refusal::SessionToken),
        ("no session token", token(&no_session, REGION, SIGN_IN), Refusal::SessionToken),
    ];
    for (case, token, refusal) in cases {
        assert_eq!(verifier.verify(&token, USER, at(0)), Err(refusal), "{case}");
    }
}

#[test]
fn a_token_that_was_changed_is_refused_for_what_is_wrong() {
    use Refusal::{Duplicate, Expired, Malformed, Missing, Port, Service, SessionToken, Signature, Unacceptable, Unknown};
    let (verifier, token) = proxy();
    let credential = token.split('&').find(|pair| pair.starts_with("X-Amz-Credential=")).unwrap().to_owned();
    let security = token.split('&').find(|pair| pair.starts_with("X-Amz-Security-Token=")).unwrap().to_owned();
    let signature = token.split_once("X-Amz-Signature=").unwrap().1[..64].to_owned();
    let replaced = |from: &str, to: &str| {
        assert!(token.contains(from), "{from}");
        token.replacen(from, to, 1)
    };
    let cases = [
        ("another action", replaced("Action=connect", "Action=delete"), Unacceptable("Action")),
        ("no action", replaced("Action=connect&", ""), Missing("Action")),
        ("another algorithm", replaced("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), Unacceptable("X-Amz-Algorithm")),
        ("more signed headers", replaced("SignedHeaders=host", "SignedHeaders=host%3Bx"), Unacceptable("X-Amz-SignedHeaders")),
        ("another service", replaced("rds-db", "s3"), Service("s3".to_owned())),
        ("another end of the scope", replaced("aws4_request", "aws5_request"), Unacceptable("X-Amz-Credential")),
        ("a scope with a part more", replaced("%2Faws4_request", "%2Fx%2Faws4_request"), Unacceptable("X-Amz-Credential")),
        ("a scope of another day", replaced("%2F20270115%2F", "%2F20270116%2F"), Unacceptable("X-Amz-Credential")),
        ("a longer life", replaced("Expires=900", "Expires=901"), Unacceptable("X-Amz-Expires")),
        ("a much longer life", replaced("Expires=900", "Expires=99999999999999999999"), Unacceptable("X-Amz-Expires")),
        ("a shorter life", replaced("Expires=900", "Expires=899"), Signature),
        ("no life", replaced("Expires=900", "Expires=0"), Unacceptable("X-Amz-Expires")),
        ("a signed life", replaced("Expires=900", "Expires=%2B900"), Unacceptable("X-Amz-Expires")),
        ("a later date", replaced("T080000Z", "T080001Z"), Signature),
        ("an earlier date", replaced("T080000Z", "T070000Z"), Expired(Duration::from_secs(2_700))),
        ("a day that is none", replaced("Date=20270115T", "Date=20270231T"), Unacceptable("X-Amz-Date")),
        ("an hour that is none", replaced("T080000Z", "T240000Z"), Unacceptable("X-Amz-Date")),
        ("a date in bytes that are no digits", replaced("Date=20270115T", "Date=%C3%BC%C3%BC%C3%BC%C3%BCT"), Unacceptable("X-Amz-Date")),
        ("a date without its zone", replaced("T080000Z", "T080000"), Unacceptable("X-Amz-Date")),
        ("another port in the text", replaced(":6432", ":06432"), Port("06432".to_owned())),
        ("no port", replaced(":6432", ""), Malformed("it names no port")),
        ("a scheme", format!("https://{token}"), Refusal::Host("https://proxy.thaw.test".to_owned())),
        ("a user twice", replaced("DBUser=thaw_app", "DBUser=thaw_app&DBUser=thaw_app"), Duplicate("DBUser")),
        ("a user twice, once encoded", replaced("DBUser=thaw_app", "DBUser=thaw_app&%44BUser=thaw_ops"), Duplicate("DBUser")),
        ("a signature twice", format!("{token}&X-Amz-Signature={signature}"), Duplicate("X-Amz-Signature")),
        ("a parameter more", format!("{token}&x=y"), Unknown),
        ("a parameter in another case", replaced("Action=", "action="), Unknown),
        ("an empty parameter", format!("{token}&"), Malformed("it has a parameter without a value")),
        ("no credential", replaced(&format!("&{credential}"), ""), Missing("X-Amz-Credential")),
        ("no session token", replaced(&format!("&{security}"), ""), SessionToken),
        ("no signature", replaced(&format!("&X-Amz-Signature={signature}"), ""), Missing("X-Amz-Signature")),
        ("an empty signature", replaced(&signature, ""), Signature),
        ("a signature cut", replaced(&signature, &signature[..63]), Signature),
        ("a signature in capitals", replaced(&signature, &signature.to_uppercase()), Signature),
        ("a signature of zeros", replaced(&signature, &"0".repeat(64)), Signature),
        ("an escape that is none", replaced("DBUser=thaw_app", "DBUser=thaw%_app"), Malformed("it is not percent-encoded UTF-8")),
        ("an escape that is cut", replaced("DBUser=thaw_app", "DBUser=thaw_app%4"), Malformed("it is not percent-encoded UTF-8")),
        ("an escape with a sign", replaced("DBUser=thaw_app", "DBUser=thaw%+4app"), Malformed("it is not percent-encoded UTF-8")),
        ("bytes that are no UTF-8", replaced("DBUser=thaw_app", "DBUser=%FF"), Malformed("it is not percent-encoded UTF-8")),
        ("a line after it", format!("{token}\n"), Malformed("it has white space, control or non-ASCII characters")),
        ("nothing", String::new(), Malformed("it is empty")),
        ("a password", "correct horse battery staple".to_owned(), Malformed("it has white space, control or non-ASCII characters")),
        ("garbage", "\u{fffd}\0\u{7f}".to_owned(), Malformed("it has white space, control or non-ASCII characters")),
        ("the shape alone", "/?".to_owned(), Malformed("it names no port")),
        ("the authority alone", format!("{HOST}:{PORT}/?"), Malformed("it has a parameter without a value")),
        ("a megabyte", "a".repeat(1 << 20), Malformed("it is too long")),
    ];
    assert_eq!(verifier.verify(&token, USER, at(0)), Ok(()));
    for (case, changed, refusal) in cases {
        assert_eq!(verifier.verify(&changed, USER, at(0)), Err(refusal), "{case}");
    }
}

#[test]
fn a_token_that_was_cut_anywhere_is_refused() {
    let (verifier, token) = proxy();
    for end in 0..token.len() {
        assert!(verifier.verify(&token[..end], USER, at(0)).is_err(), "{end}");
        assert!(verifier.verify(&token[end + 1..], USER, at(0)).is_err(), "{end}");
    }
}

/// What a token says: its host, in which case does not count, and its parameters, in which order and with how many escapes does not either.
fn meaning(token: &str) -> Option<(String, Vec<(String, String)>)> {
    let (authority, query) = token.split_once("/?")?;
    let decoded = |text| percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned);
    let pairs = query.split('&').map(|pair| pair.split_once('=').and_then(|(name, value)| Some((decoded(name)?, decoded(value)?))));
    let mut pairs = pairs.collect::<Option<Vec<_>>>()?;
    pairs.sort();
    Some((authority.to_lowercase(), pairs))
}

#[test]
fn one_character_changed_anywhere_is_refused_unless_the_token_says_the_same() {
    // A short session token: a character of it is refused like any other.
    let credentials = LocalCredentials { session_token: Some("a+b/c==".into()), ..credentials() };
    let verifier = Verifier::new([HOST], PORT, REGION).with(&credentials);
    let token = token(&credentials, REGION, SIGN_IN);
    let original = meaning(&token);
    let (mut refused, mut accepted) = (0, 0);
    for (position, byte) in token.bytes().enumerate() {
        // Its neighbour, its other case, and what means something in a token.
        for replacement in BTreeSet::from([byte ^ 1, byte ^ b' ']).into_iter().chain(*b"%&=/?+:0 \n").filter(|other| *other != byte) {
            let mut changed = token.clone().into_bytes();
            changed[position] = replacement;
            let changed = String::from_utf8(changed).unwrap();
            let verdict = verifier.verify(&changed, USER, at(0));
            assert_eq!(verdict.is_ok(), meaning(&changed) == original, "{position} {:?}: {verdict:?}", char::from(replacement));
            *if verdict.is_ok() { &mut accepted } else { &mut refused } += 1;
        }
    }
    assert!(refused > 4_000, "{refused}");
    // Letters of the host in capitals, and %2f for %2F: what is left is small and known.
    let letters = HOST.bytes().filter(u8::is_ascii_alphabetic).count();
    let letters_of_escapes = token.split('%').skip(1).map(|rest| rest.bytes().take(2).filter(u8::is_ascii_alphabetic).count()).sum::<usize>();
    assert_eq!(accepted, letters + letters_of_escapes);
}

#[test]
fn no_refusal_and_no_debug_output_holds_a_secret() {
    let credentials = credentials();
    let verifier = Verifier::new([HOST], PORT, REGION).with(&credentials);
    let token = token(&credentials, REGION, SIGN_IN);
    let environment = credentials.environment();
    let secrets = [&environment["AWS_SECRET_ACCESS_KEY"], &environment["AWS_SESSION_TOKEN"], token.split_once("X-Amz-Signature=").unwrap().1];
    let mut shown = vec![format!("{verifier:?} {credentials:?}")];
    for user in ["thaw_ops", USER] {
        let changed = token.replacen("Expires=900", "Expires=899", 1);
        let refusal = verifier.verify(&changed, user, at(0)).unwrap_err();
        shown.push(format!("{refusal} {refusal:?}"));
    }
    shown.push(message(USER));
    for shown in shown {
        assert!(secrets.iter().all(|secret| !shown.contains(*secret)), "{shown}");
    }
}

#[test]
fn credentials_look_like_those_of_a_role_and_differ_from_start_to_start() {
    let environment = credentials().environment();
    assert!(environment["AWS_ACCESS_KEY_ID"].starts_with("ASIA") && environment["AWS_ACCESS_KEY_ID"].len() == 20);
    assert_eq!(environment["AWS_SECRET_ACCESS_KEY"].len(), 40);
    assert_eq!(environment["AWS_SESSION_TOKEN"].len(), 1_000);
    let other = self::credentials().environment();
    assert!(environment.iter().all(|(name, value)| *value != other[name]));
}
