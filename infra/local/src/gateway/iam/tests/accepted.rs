use http::Request;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::*;

#[test]
fn what_the_signing_library_signs_is_accepted_also_for_odd_paths_queries_and_headers() {
    let targets = [
        "/",
        "/api",
        "/api/",
        "/api/a%20b",
        "/api/%E9%9B%AA",
        "/api/a%2Fb",
        "/api/100%25",
        "/a~b-c_d.e",
        "/x!$'()*,;=:@y",
        "/api?",
        "/api?a=1",
        "/api?b=2&a=1",
        "/api?a=2&a=1&a=10",
        "/api?a",
        "/api?a=",
        "/api?a=%20%2B%26%3D%25",
        "/api?%E9%9B%AA=%e9%9b%aa",
        "/api?a=b%3D%3D&a-b=1",
        "/api?a=b/c:d@e",
        "/api?a=~-_.",
    ];
    let headers: [&[(&str, &str)]; 4] = [
        &[],
        &[("content-type", "application/json; charset=utf-8")],
        &[("x-note", "a   b  c"), ("accept", "*/*")],
        &[("x-twice", "b"), ("x-twice", "a"), ("x-empty", ""), ("user-agent", "not signed")],
    ];
    for with_digest in [false, true] {
        for session_token in [true, false] {
            let mut signer = Signer { with_digest, ..signer() };
            signer.credentials.session_token = signer.credentials.session_token.filter(|_| session_token);
            let authorizer = authorizer(&signer);
            for target in targets {
                for headers in headers {
                    for (method, body) in [("GET", &b""[..]), ("POST", BODY), ("PATCH", b"\xFF\0")] {
                        let head = signer.head(method, &format!("http://api.test{target}"), headers, body);
                        let verdict = verdict(&authorizer, &head, body, signer.at);
                        assert!(verdict.is_ok(), "{method} {target} {headers:?}: {verdict:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_botocore_signs_is_accepted() {
    let recorded: serde_json::Value = serde_json::from_str(include_str!("botocore.json")).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let signed_at = OffsetDateTime::parse(&text(&recorded["signed_at"]), &Rfc3339).unwrap().into();
    let vectors = recorded["vectors"].as_array().unwrap();
    assert!(vectors.len() > 12);
    for vector in vectors {
        let credentials = LocalCredentials {
            access_key_id: text(&recorded["access_key_id"]),
            secret_access_key: text(&recorded["secret_access_key"]).into(),
            session_token: vector["session_token"].as_str().map(Into::into),
        };
        let mut request = Request::builder().method(vector["method"].as_str().unwrap()).uri(vector["target"].as_str().unwrap());
        for (name, value) in vector["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        let head = request.body(()).unwrap().into_parts().0;
        let authorizer = IamAuthorizer::new("000000000000", text(&recorded["region"])).with(&credentials, "thaw-local", "operator");
        let body = text(&vector["body"]);
        let verdict = |body: &[u8]| verdict(&authorizer, &head, body, signed_at);
        assert!(verdict(body.as_bytes()).is_ok(), "{}: {:?}", vector["case"], verdict(body.as_bytes()));
        assert!(verdict(b"another body").is_err(), "{}", vector["case"]);
    }
}

#[test]
fn who_signed_is_told_as_aws_documents_it() {
    let signer = signer();
    let head = signer.head("GET", URL, &[], b"");
    let principal = verdict(&authorizer(&signer), &head, b"", signer.at).unwrap();
    let expected = serde_json::json!({
        "accessKey": signer.credentials.access_key_id,
        "accountId": "000000000000",
        "callerId": "AROATHAWLOCALOPERATOR:operator",
        "cognitoIdentity": null,
        "principalOrgId": null,
        "userArn": "arn:aws:sts::000000000000:assumed-role/thaw-local/operator",
        "userId": "AROATHAWLOCALOPERATOR:operator",
    });
    assert_eq!(serde_json::to_value(principal).unwrap(), expected);
}
