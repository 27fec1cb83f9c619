//! Bad requests from a seed. What each has to be answered with is known from how it was made.

use fastrand::Rng;
use reqwest::header::{HeaderName, HeaderValue};

use super::{FOX, MODELS, PURCHASES};

/// One request.
#[derive(Debug)]
pub(crate) struct Attack {
    pub(crate) method: &'static str,
    /// The path of its route in the OpenAPI document.
    pub(crate) route: &'static str,
    /// The path and query that are sent.
    pub(crate) target: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Vec<u8>,
    pub(crate) expected: Expected,
}

/// What the answer has to be.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) statuses: &'static [u16],
    /// What `detail` has to name, whatever its case.
    pub(crate) names: String,
}

impl Expected {
    fn new(statuses: &'static [u16], names: impl Into<String>) -> Self {
        Self { statuses, names: names.into() }
    }
}

/// No body of these is longer; the single cases have some that are.
pub(crate) const LONGEST_BYTES: usize = 1_000_000;

const ITEM: &str = "/api/models/user-models/{id}";

const WRONG_VALUES: [&str; 34] = [
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "[null]",
    r#"{"a":1}"#,
    "-1",
    "-0",
    "1.5",
    "0.1e1",
    "1e400",
    "-1e400",
    "1e-400",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "-9223372036854775809",
    "100000000000000000000000000000000000000",
    r#""""#,
    r#""\u0000""#,
    r#""\ud800""#,
    r#""\udfff\ud800""#,
    r#""a\u0007b""#,
    r#""\u009f""#,
    r#""EUR ""#,
    r#""1""#,
    r#""\q""#,
    "01",
    "+1",
    "1.",
    ".5",
    "NaN",
];

const UNKNOWN_FIELDS: [&str; 9] = ["id", "owner_id", "version", "Title", "title ", "__proto__", "ti\\u0074lE", "download_count", "\u{1f98a}"];

/// A publication, a purchase or a change.
pub(crate) fn attack(rng: &mut Rng, item: &str) -> Attack {
    match rng.u8(..100) {
        0..50 => with_bad_body(rng, item),
        50..60 => with_bad_content_type(rng, item),
        60..72 => with_bad_key(rng, item),
        72..82 => with_bad_condition(rng, item),
        82..90 => with_bad_id(rng),
        90..98 => with_bad_query(rng),
        _ => with_long_head(rng),
    }
}

fn header(name: &'static str, value: &[u8]) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
}

/// What is right for a write on one of the three routes that take a body.
fn write(rng: &mut Rng, item: &str) -> (Attack, Vec<(&'static str, &'static str)>) {
    let key = format!("k{}", rng.u64(..));
    let (method, route, target, fields) = match rng.u8(..3) {
        0 => ("POST", MODELS, MODELS.to_owned(), FOX.to_vec()),
        1 => ("POST", PURCHASES, PURCHASES.to_owned(), vec![("model_id", r#""01900000-0000-7000-8000-000000000000""#)]),
        _ => ("PATCH", ITEM, item.to_owned(), FOX[rng.usize(..FOX.len())..].to_vec()),
    };
    let headers = vec![header("content-type", b"application/json"), header("idempotency-key", key.as_bytes()), header("if-match", b"*")];
    let attack = Attack { method, route, target, headers, body: object(&fields), expected: Expected::new(&[], "") };
    (attack, fields)
}

fn object(fields: &[(&str, &str)]) -> Vec<u8> {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
    format!("{{{}}}", fields.join(",")).into_bytes()
}

fn replace(attack: &mut Attack, name: &'static str, value: &[u8]) {
    attack.headers.retain(|(known, _)| known != name);
    attack.headers.push(header(name, value));
}

/// A place between the bytes of a text at which it can be cut.
fn cut(rng: &mut Rng, bytes: &[u8]) -> usize {
    rng.usize(1..bytes.len())
}

fn with_bad_body(rng: &mut Rng, item: &str) -> Attack {
    let (mut attack, mut fields) = write(rng, item);
    let place = rng.usize(..fields.len());
    let name = fields[place].0;
    (attack.body, attack.expected) = match rng.u8(..14) {
        0..5 => {
            fields[place].1 = wrong_value(rng, name);
            // Where its syntax is wrong the place may be the body.
            (object(&fields), Expected::new(&[400, 422], name))
        }
        5 => {
            let unknown = UNKNOWN_FIELDS[rng.usize(..UNKNOWN_FIELDS.len())];
            fields.insert(rng.usize(..=fields.len()), (unknown, "1"));
            (object(&fields), Expected::new(&[400], "unknown field"))
        }
        6 => {
            fields.insert(rng.usize(place + 1..=fields.len()), fields[place]);
            (object(&fields), Expected::new(&[400], name))
        }
        7 if attack.method == "POST" => {
            fields.remove(place);
            (object(&fields), Expected::new(&[400], name))
        }
        8 => {
            // No object is whole before its last byte.
            let body = object(&fields);
            (body[..cut(rng, &body)].to_vec(), Expected::new(&[400], ""))
        }
        9 => {
            let mut body = object(&fields);
            let at = cut(rng, &body);
            body[at] = rng.u8(0x80..);
            (body, Expected::new(&[400], "body: is not UTF-8 at byte"))
        }
        10 => {
            let depth = rng.usize(200..8_000);
            let bomb = [format!(r#"{{"{name}":{}"#, "[".repeat(depth)), "[".repeat(depth), r#"{"a":"#.repeat(depth)][rng.usize(..3)].clone();
            (bomb.into_bytes(), Expected::new(&[400], ""))
        }
        11 => {
            // Past the limit, mostly by little.
            let bytes = if rng.u8(..20) == 0 { rng.usize(70_000..LONGEST_BYTES) } else { 65_537 + rng.usize(..2_000) };
            let mut body = object(&fields);
            body.resize(bytes, b' ');
            (body, Expected::new(&[413], "65536"))
        }
        _ => {
            let noise: Vec<u8> = (0..rng.usize(1..200)).map(|_| rng.u8(..0x80)).filter(|byte| *byte != b'{').collect();
            (noise, Expected::new(&[400], "body: "))
        }
    };
    attack
}

/// A value that this field cannot have.
fn wrong_value(rng: &mut Rng, field: &str) -> &'static str {
    loop {
        let value = WRONG_VALUES[rng.usize(..WRONG_VALUES.len())];
        let allowed = match field {
            "title" => matches!(value, r#""EUR ""# | r#""1""#),
            "description" => matches!(value, r#""""# | r#""EUR ""# | r#""1""# | r#""a\u0007b""# | r#""\u009f""#),
            _ => false,
        };
        if !allowed {
            return value;
        }
    }
}

fn with_bad_content_type(rng: &mut Rng, item: &str) -> Attack {
    let (mut attack, _) = write(rng, item);
    let types = [
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "*/*",
        "",
        "json",
        "application/jsonx",
    ];
    match rng.usize(..=types.len()) {
        place if place < types.len() => replace(&mut attack, "content-type", types[place].as_bytes()),
        _ => attack.headers.retain(|(name, _)| name != "content-type"),
    }
    attack.expected = Expected::new(&[415], "Content-Type");
    attack
}

fn with_bad_key(rng: &mut Rng, item: &str) -> Attack {
    let (mut attack, _) = write(rng, item);
    let mut key: Vec<u8> = (0..rng.usize(1..40)).map(|_| rng.u8(b'!'..=b'~')).collect();
    match rng.u8(..5) {
        0 => key.clear(),
        1 => key.resize(256 + rng.usize(..500), b'k'),
        2 => key.insert(key.len() / 2, b','),
        3 => key.push(b'\\'),
        _ => key.insert(0, rng.u8(0x80..)),
    }
    replace(&mut attack, "idempotency-key", &key);
    attack.expected = Expected::new(&[400], "Idempotency-Key");
    attack
}

fn with_bad_condition(rng: &mut Rng, item: &str) -> Attack {
    let (mut attack, _) = write(rng, item);
    let conditions = ["", "1", "\"1", "1\"", "W/1", "w/\"1\"", "\"1\" \"2\"", "*,*", "\"a b\"", "\u{e9}", "\"1\";\"2\""];
    let condition = conditions[rng.usize(..conditions.len())].as_bytes();
    let (method, name) = [("PATCH", "if-match"), ("DELETE", "if-match"), ("GET", "if-none-match")][rng.usize(..3)];
    (attack.method, attack.route, attack.target) = (method, ITEM, item.to_owned());
    if name == "if-match" && rng.u8(..5) == 0 {
        attack.headers.retain(|(known, _)| known != name);
        attack.expected = Expected::new(&[428], "If-Match");
    } else {
        replace(&mut attack, name, condition);
        attack.expected = Expected::new(&[400], name);
    }
    attack
}

fn with_bad_id(rng: &mut Rng) -> Attack {
    let ids = ["x", "%00", "%0A", "%20", "null", "undefined", "-1", "%27%20or%201=1--", "%F0%9F%A6%8A", "*", "..", "%2F", "%zz", "%FF", "{id}"];
    let id = match rng.usize(..=ids.len()) {
        place if place < ids.len() => ids[place].to_owned(),
        // Well-formed, and nobody's.
        _ => uuid::Uuid::from_u128(rng.u128(..)).to_string(),
    };
    let method = ["GET", "PATCH", "DELETE"][rng.usize(..3)];
    let headers = vec![header("content-type", b"application/json"), header("if-match", b"*")];
    let expected = Expected::new(&[400, 404], "");
    Attack { method, route: ITEM, target: format!("{MODELS}/{id}"), headers, body: br#"{"title":"x"}"#.to_vec(), expected }
}

fn with_bad_query(rng: &mut Rng) -> Attack {
    let route = [MODELS, PURCHASES][rng.usize(..2)];
    let limits = ["0", "101", "-1", "1.0", "1e1", "", "%00", "99999999999999999999", "%D9%A1", "1&limit=2", "+1", "0x1"];
    let (query, name) = if rng.bool() {
        (format!("limit={}", limits[rng.usize(..limits.len())]), "limit: ")
    } else {
        // Of the right length, too.
        let length = if rng.bool() { 44 } else { rng.usize(..300) };
        (format!("cursor={}", (0..length).map(|_| rng.alphanumeric()).collect::<String>()), "cursor: ")
    };
    Attack { method: "GET", route, target: format!("{route}?{query}"), headers: Vec::new(), body: Vec::new(), expected: Expected::new(&[400], name) }
}

fn with_long_head(rng: &mut Rng) -> Attack {
    let route = [MODELS, PURCHASES][rng.usize(..2)];
    let headers = vec![header("x-long", &vec![b'x'; 10_240 + rng.usize(..5_000)])];
    Attack { method: "GET", route, target: route.to_owned(), headers, body: Vec::new(), expected: Expected::new(&[431], "") }
}
