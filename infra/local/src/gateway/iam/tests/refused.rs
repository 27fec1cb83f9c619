use std::collections::BTreeMap;

use http::HeaderValue;

use super::*;

#[test]
fn a_signature_is_good_for_five_minutes_either_way() {
    let (authorizer, head) = accepted();
    let verdict = |now| verdict(&authorizer, &head, BODY, now).map(drop);
    for now in [at(700), at(1_000), at(1_300)] {
        assert_eq!(verdict(now), Ok(()), "{now:?}");
    }
    assert_eq!(verdict(at(1_301)), Err(Refusal::Expired(Duration::from_secs(301))));
    assert_eq!(verdict(at(699)), Err(Refusal::Future(Duration::from_secs(301))));
}

#[test]
fn credentials_region_service_and_session_token_have_to_be_ours() {
    let ours = signer();
    let authorizer = authorizer(&ours);
    let with = |change: fn(&mut Signer)| {
        let mut signer = ours.clone();
        change(&mut signer);
        signer.head("GET", URL, &[], b"")
    };
    let cases = [
        ("nothing", with(|_| {}), None),
        ("unknown credentials", signer().head("GET", URL, &[], b""), Some(Refusal::AccessKey)),
        ("another secret", with(|signer| signer.credentials.secret_access_key = "wrong".into()), Some(Refusal::Signature)),
        ("another session token", with(|signer| signer.credentials.session_token = Some("other".into())), Some(Refusal::SessionToken)),
        ("no session token", with(|signer| signer.credentials.session_token = None), Some(Refusal::SessionToken)),
        ("another region", with(|signer| signer.region = "us-east-1"), Some(Refusal::Region("us-east-1".into()))),
        ("another service", with(|signer| signer.service = "rds-db"), Some(Refusal::Service("rds-db".into()))),
    ];
    for (case, head, refusal) in cases {
        assert_eq!(verdict(&authorizer, &head, b"", ours.at).err(), refusal, "{case}");
    }
    let permanent = Signer { credentials: LocalCredentials { session_token: None, ..ours.credentials.clone() }, ..ours.clone() };
    let head = permanent.head("GET", URL, &[("x-amz-security-token", "anything")], b"");
    let only_permanent = super::authorizer(&permanent);
    assert_eq!(verdict(&only_permanent, &head, b"", ours.at).err(), Some(Refusal::SessionToken));
}

#[test]
fn a_request_that_was_changed_after_it_was_signed_is_refused() {
    let (authorizer, signed) = accepted();
    let changed = |change: fn(&mut Parts)| {
        let mut head = signed.clone();
        change(&mut head);
        head
    };
    assert!(verdict(&authorizer, &signed, BODY, at(1_000)).is_ok());
    let cases = [
        ("the method", changed(|head| head.method = http::Method::PUT)),
        ("the path", changed(|head| head.uri = URL.replace("reset-db", "reset-dc").parse().unwrap())),
        ("a slash at the end", changed(|head| head.uri = URL.replace('?', "/?").parse().unwrap())),
        ("the path's escapes", changed(|head| head.uri = URL.replace("reset", "%72eset").parse().unwrap())),
        ("a value of the query", changed(|head| head.uri = URL.replace("n=1", "n=2").parse().unwrap())),
        ("a parameter less", changed(|head| head.uri = URL.replace("&n=1", "").parse().unwrap())),
        ("a parameter more", changed(|head| head.uri = format!("{URL}&m=1").parse().unwrap())),
        ("the host", changed(|head| drop(head.headers.insert("host", HeaderValue::from_static("127.0.0.1:3001"))))),
        ("the date", changed(|head| drop(head.headers.insert("x-amz-date", HeaderValue::from_static("20270115T081641Z"))))),
        ("a header", changed(|head| drop(head.headers.insert("content-type", HeaderValue::from_static("text/plain"))))),
        ("a second value of a header", changed(|head| assert!(head.headers.append("content-type", HeaderValue::from_static("text/plain"))))),
    ];
    for (case, head) in cases {
        assert_eq!(verdict(&authorizer, &head, BODY, at(1_000)).err(), Some(Refusal::Signature), "{case}");
    }
    for body in [&b""[..], b"{}", &BODY[1..], &[BODY, b" "].concat()] {
        assert_eq!(verdict(&authorizer, &signed, body, at(1_000)).err(), Some(Refusal::Signature), "{body:?}");
    }
    // The order of parameters means nothing to a signature.
    let reordered = changed(|head| head.uri = "http://127.0.0.1:3000/api/debug/reset-db?n=1&scope=fleet".parse().unwrap());
    assert!(verdict(&authorizer, &reordered, BODY, at(1_000)).is_ok());
}

#[test]
fn the_digest_of_the_body_has_to_be_the_bodys_and_cannot_be_left_open() {
    let signer = Signer { with_digest: true, ..signer() };
    let authorizer = authorizer(&signer);
    let head = signer.head("POST", URL, &[], BODY);
    assert!(verdict(&authorizer, &head, BODY, signer.at).is_ok());
    assert_eq!(verdict(&authorizer, &head, b"{}", signer.at).err(), Some(Refusal::PayloadHash));
    let open = Signer { with_digest: false, ..signer.clone() }.head("POST", URL, &[(PAYLOAD_HASH, "UNSIGNED-PAYLOAD")], BODY);
    assert_eq!(verdict(&authorizer, &open, BODY, signer.at).err(), Some(Refusal::PayloadHash));
}

#[test]
fn what_cannot_be_understood_in_one_way_is_refused_by_name() {
    use Refusal::{Absent, Malformed, Missing, NotText, Path, Query, Repeated, Unacceptable, Unsigned};
    let (authorizer, signed) = accepted();
    let value = signed.headers["authorization"].to_str().unwrap().to_owned();
    let with = |name: &str, value: &str| {
        let mut head = signed.clone();
        head.headers.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        head
    };
    let twice = |name: &str, value: &str| {
        let mut head = signed.clone();
        head.headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        head
    };
    let without = |name: &str| {
        let mut head = signed.clone();
        head.headers.remove(name);
        head
    };
    let authorization = |value: String| with("authorization", &value);
    let at_url = |url: &str| {
        let mut head = signed.clone();
        head.uri = url.parse().unwrap();
        head
    };
    let mut not_text = signed.clone();
    not_text.headers.insert("content-type", HeaderValue::from_bytes(b"a\xFF").unwrap());
    let mut presigned = at_url("http://127.0.0.1:3000/api?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0");
    presigned.headers.remove("authorization");
    let signed_headers = "content-type;host;x-amz-date;x-amz-security-token";
    assert!(value.contains(signed_headers), "{value}");
    let signing = |names: &str| authorization(value.replace(signed_headers, names));
    let cases = [
        ("no signature", without("authorization"), Missing("authorization")),
        ("a signature in the query", presigned, Refusal::Presigned),
        ("two signatures", twice("authorization", &value), Repeated("authorization")),
        ("a token", authorization("Bearer abc".into()), Malformed("another algorithm")),
        ("another algorithm", authorization(value.replace("SHA256", "SHA512")), Malformed("another algorithm")),
        ("an algorithm that goes on", authorization(value.replace("SHA256 ", "SHA256x ")), Malformed("another algorithm")),
        ("the algorithm alone", authorization("AWS4-HMAC-SHA256".into()), Malformed("another algorithm")),
        ("no parameters", authorization("AWS4-HMAC-SHA256 ,".into()), Malformed("a parameter without a value")),
        ("no signature among them", authorization(value.split(", Signature").next().unwrap().into()), Malformed("a parameter is missing")),
        ("two scopes", authorization(format!("{value}, Credential=a/b/c/d/e")), Malformed("a parameter twice")),
        ("another parameter", authorization(format!("{value}, Expires=900")), Malformed("another parameter")),
        ("a long one", authorization(format!("{value}{}", "0".repeat(4_096))), Malformed("it is too long")),
        ("no date", without("x-amz-date"), Missing("x-amz-date")),
        ("two dates", twice("x-amz-date", "20270115T080000Z"), Repeated("x-amz-date")),
        ("a date of HTTP", with("x-amz-date", "Fri, 15 Jan 2027 08:16:40 GMT"), Unacceptable("x-amz-date")),
        ("a day that is none", with("x-amz-date", "20270230T081640Z"), Unacceptable("x-amz-date")),
        ("a date of another day", with("x-amz-date", "20270116T000000Z"), Unacceptable("Credential")),
        ("a scope of another kind", authorization(value.replace("aws4_request", "aws5_request")), Unacceptable("Credential")),
        ("a scope too short", authorization(value.replace("/execute-api", "")), Unacceptable("Credential")),
        ("names in capitals", signing("Content-Type;host;x-amz-date;x-amz-security-token"), Unacceptable("SignedHeaders")),
        ("names out of order", signing("host;content-type;x-amz-date;x-amz-security-token"), Unacceptable("SignedHeaders")),
        ("a name twice", signing("content-type;host;host;x-amz-date;x-amz-security-token"), Unacceptable("SignedHeaders")),
        ("no names", signing(""), Unacceptable("SignedHeaders")),
        ("a name that is none", signing("a b;host;x-amz-date;x-amz-security-token"), Unacceptable("SignedHeaders")),
        ("the host not signed", signing("content-type;x-amz-date;x-amz-security-token"), Unsigned("host".into())),
        ("the date not signed", signing("content-type;host;x-amz-security-token"), Unsigned("x-amz-date".into())),
        ("the session token not signed", signing("content-type;host;x-amz-date"), Unsigned("x-amz-security-token".into())),
        ("a header of AWS's not signed", with("x-amz-meta", "1"), Unsigned("x-amz-meta".into())),
        ("two session tokens", twice("x-amz-security-token", "other"), Repeated("x-amz-security-token")),
        ("a signed header that is gone", without("content-type"), Absent("content-type".into())),
        ("the host that is gone", without("host"), Absent("host".into())),
        ("a header that is no text", not_text, NotText("content-type".into())),
        ("an empty segment", at_url("http://127.0.0.1:3000/api//debug"), Path("has an empty segment")),
        ("a relative segment", at_url("http://127.0.0.1:3000/api/../debug"), Path("has a relative segment")),
        ("a segment for this place", at_url("http://127.0.0.1:3000/api/."), Path("has a relative segment")),
        ("a target without a path", at_url("*"), Path("does not begin with a slash")),
        ("a plus", at_url("http://127.0.0.1:3000/api?a=b+c"), Query("has a +, which is a space to some signers: write %20 or %2B")),
        ("an empty parameter", at_url("http://127.0.0.1:3000/api?a=1&&b=2"), Query("has an empty parameter")),
        ("a broken escape", at_url("http://127.0.0.1:3000/api?a=%2"), Query("is not percent-encoded UTF-8")),
        ("bytes that are no text", at_url("http://127.0.0.1:3000/api?a=%FF"), Query("is not percent-encoded UTF-8")),
        ("a signature cut short", authorization(value[..value.len() - 1].into()), Refusal::Signature),
        (
            "a signature in capitals",
            authorization(format!("{}{}", &value[..value.len() - 64], value[value.len() - 64..].to_uppercase())),
            Refusal::Signature,
        ),
    ];
    for (case, head, refusal) in cases {
        assert_eq!(verdict(&authorizer, &head, BODY, at(1_000)).err(), Some(refusal), "{case}");
    }
}

/// Every byte of the header counts, but for how its parameters are set apart.
#[test]
fn one_character_of_the_authorization_changed_anywhere_is_refused() {
    let (authorizer, signed) = accepted();
    let value = signed.headers["authorization"].to_str().unwrap().to_owned();
    let mut refusals = BTreeMap::<String, usize>::new();
    for (position, byte) in value.bytes().enumerate() {
        for replacement in [byte ^ 1, byte ^ b' ', b',', b'=', b'/', b';', b' '].into_iter().filter(|other| *other != byte) {
            let mut changed = value.clone().into_bytes();
            changed[position] = replacement;
            let Ok(changed) = HeaderValue::from_bytes(&changed) else { continue };
            let mut head = signed.clone();
            head.headers.insert("authorization", changed);
            let refusal = verdict(&authorizer, &head, BODY, at(1_000)).err();
            let refusal = refusal.unwrap_or_else(|| panic!("{position} {:?} is accepted", char::from(replacement)));
            *refusals.entry(format!("{refusal:?}").split(['(', ' ']).next().unwrap().to_owned()).or_default() += 1;
        }
    }
    let seen: Vec<&str> = refusals.keys().map(String::as_str).collect();
    assert_eq!(seen, ["Absent", "AccessKey", "Malformed", "Region", "Service", "Signature", "Unacceptable", "Unsigned"]);
    assert!(refusals.values().sum::<usize>() > 1_000, "{refusals:?}");
}

#[test]
fn no_refusal_and_no_debug_output_holds_a_secret() {
    let signer = signer();
    let authorizer = authorizer(&signer);
    let environment = signer.credentials.environment();
    let head = signer.head("POST", URL, &[], BODY);
    let signature = head.headers["authorization"].to_str().unwrap().split_once("Signature=").unwrap().1;
    let secrets = [&environment["AWS_SECRET_ACCESS_KEY"], &environment["AWS_SESSION_TOKEN"], signature];
    let mut shown = vec![format!("{authorizer:?}")];
    let mut other_token = head.clone();
    other_token.headers.insert("x-amz-security-token", HeaderValue::from_static("other"));
    for (head, body, now) in [(&head, &b""[..], at(1_000)), (&head, BODY, at(9_000)), (&other_token, BODY, at(1_000))] {
        let refusal = verdict(&authorizer, head, body, now).unwrap_err();
        shown.push(format!("{refusal} {refusal:?}"));
    }
    for shown in shown {
        assert!(secrets.iter().all(|secret| !shown.contains(*secret)), "{shown}");
    }
}
