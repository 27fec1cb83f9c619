//! A limit is the same in the document, in the answers and in the schema of the database.

use serde_json::{Value, json};
use tests::{Answer, Api, Database};

use super::{Document, MODELS, PURCHASES};

/// The whole numbers in a text, in order.
fn numbers(text: &str) -> Vec<u64> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter_map(|word| word.parse().ok()).collect()
}

/// What a schema says of the smallest and the greatest value, or length.
fn bounds(schema: &Value) -> (u64, u64) {
    let bound = |names: [&str; 2]| names.into_iter().find_map(|name| schema[name].as_u64());
    (bound(["minimum", "minLength"]).unwrap_or(0), bound(["maximum", "maxLength"]).unwrap_or_else(|| panic!("{schema} has no maximum")))
}

/// A value of this size: a number, or a text of so many characters, each of which is more than one byte and more than one UTF-16 unit.
fn sized(schema: &Value, size: u64) -> Value {
    if schema["type"] == "string" { "𝄞".repeat(usize::try_from(size).unwrap()).into() } else { size.into() }
}

async fn publish(api: &Api, body: &Value) -> Answer {
    let request = api.request("POST", MODELS).bearer_auth(api.token("seller")).header("idempotency-key", uuid::Uuid::now_v7().to_string());
    api.send(request.header("content-type", "application/json").body(body.to_string())).await
}

async fn change(api: &Api, item: &str, body: &Value) -> Answer {
    let request = api.request("PATCH", item).bearer_auth(api.token("seller")).header("if-match", "*");
    api.send(request.header("content-type", "application/merge-patch+json").body(body.to_string())).await
}

fn assert_named(answer: &Answer, field: &str) {
    let problem = answer.json();
    assert_eq!((answer.status, &problem["type"]), (422, &"/problems/invalid".into()), "{field}: {answer:?}");
    let fields: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert!(!fields.is_empty() && fields.iter().all(|named| *named == field), "{field}: {answer:?}");
    assert!(problem["detail"].as_str().unwrap().starts_with(&format!("{field}: ")), "{answer:?}");
}

#[tokio::test]
async fn a_value_at_its_limit_passes_and_one_beyond_is_422_and_named() {
    let document = Document::read();
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let fox = json!({ "title": "Fox", "description": "A fox.", "price_cents": 499, "currency": "EUR", "file_bytes": 1024 });
    let item = publish(&api, &fox).await.header("location").to_owned();
    let mut tried = 0;
    for field in document.properties(document.schema("NewModel")) {
        let schema = document.resolved(&document.schema("NewModel")["properties"][&field]);
        if field == "currency" {
            continue;
        }
        let (least, greatest) = bounds(schema);
        let beyond = [least.checked_sub(1), Some(greatest + 1)].into_iter().flatten().map(|size| sized(schema, size));
        // Below zero there are numbers, and no lengths.
        let negative = (schema["type"] == "integer").then(|| json!(-1));
        for value in [least, greatest].map(|size| sized(schema, size)) {
            let mut model = fox.clone();
            model[&field] = value.clone();
            assert_eq!(publish(&api, &model).await.status, 201, "{field}");
            assert_eq!(change(&api, &item, &json!({ &field: value })).await.status, 200, "{field}");
            tried += 1;
        }
        for value in beyond.chain(negative) {
            let mut model = fox.clone();
            model[&field] = value.clone();
            assert_named(&publish(&api, &model).await, &field);
            assert_named(&change(&api, &item, &json!({ &field: value })).await, &field);
            tried += 1;
        }
    }
    assert!(tried >= 16, "{tried}");
    for currency in ["", "EU", "EURO", "eur", "E\u{dc}R", "EUR\n", " EUR"] {
        let mut model = fox.clone();
        model["currency"] = currency.into();
        assert_named(&publish(&api, &model).await, "currency");
        assert_named(&change(&api, &item, &json!({ "currency": currency })).await, "currency");
    }
    // Several at once are all named.
    let answer = publish(&api, &json!({ "title": "", "description": "", "price_cents": -1, "currency": "", "file_bytes": 0 })).await;
    let problem = answer.json();
    let fields: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["currency", "file_bytes", "price_cents", "title"], "{answer:?}");
    api.stop().await;
}

#[tokio::test]
async fn the_limits_of_headers_queries_and_bodies_are_those_of_the_document() {
    let document = Document::read();
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let (least, greatest) = bounds(&document.at("/components/parameters/Limit")["schema"]);
    for (limit, status) in [(least, 200), (greatest, 200), (least - 1, 400), (greatest + 1, 400)] {
        assert_eq!(api.get_as("seller", &format!("{MODELS}?limit={limit}")).await.status, status, "{limit}");
    }
    // A key by its pattern, bare or in quotes.
    let pattern = document.schema("Key")["pattern"].as_str().unwrap();
    let longest = numbers(pattern.split_once('{').unwrap().1)[1];
    let (fits, too_long) = ("k".repeat(usize::try_from(longest).unwrap()), "k".repeat(usize::try_from(longest).unwrap() + 1));
    let unknown = json!({ "model_id": "01900000-0000-7000-8000-000000000000" }).to_string();
    for (key, status) in [(fits.clone(), 404), (format!("\"{fits}\""), 404), (too_long.clone(), 400), (format!("\"{too_long}\""), 400)] {
        let request = api.request("POST", PURCHASES).bearer_auth(api.token("buyer")).header("content-type", "application/json");
        let answer = api.send(request.header("idempotency-key", &key).body(unknown.clone())).await;
        assert_eq!(answer.status, status, "{key}: {answer:?}");
        assert!(status == 404 || answer.json()["detail"].as_str().unwrap().starts_with("Idempotency-Key: "), "{answer:?}");
    }
    // A body by the sentence about it.
    let greatest = shared::body::BODY_MAX_BYTES;
    let sentence = document.at("/components/responses/ContentTooLarge")["description"].as_str().unwrap().replace(',', "");
    assert!(sentence.contains(&greatest.to_string()), "{sentence}");
    for (size, status) in [(greatest, 404), (greatest + 1, 413)] {
        let request = api.request("POST", PURCHASES).bearer_auth(api.token("buyer")).header("content-type", "application/json");
        let body = format!("{unknown}{}", " ".repeat(size - unknown.len()));
        assert_eq!(api.send(request.header("idempotency-key", "k").body(body)).await.status, status, "{size} bytes");
    }
    api.stop().await;
}

#[tokio::test]
async fn the_database_checks_the_limits_of_the_document() {
    let document = Document::read();
    let database = Database::fresh().await;
    let mut admin = database.connect_admin().await;
    let constraints: Vec<(String, String)> =
        sqlx::query_as("select conname::text, pg_get_constraintdef(oid) from pg_constraint where contype = 'c'").fetch_all(&mut admin).await.unwrap();
    let definition = |name: &str| &constraints.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no constraint {name}")).1;
    for (schema, constraint) in [
        ("Title", "models_title_length"),
        ("PriceCents", "models_price_cents_range"),
        ("PriceCents", "purchases_price_cents_range"),
        ("FileBytes", "models_file_bytes_range"),
    ] {
        let (least, greatest) = bounds(document.schema(schema));
        assert_eq!(numbers(definition(constraint)), [least, greatest], "{constraint}: {}", definition(constraint));
    }
    assert_eq!(numbers(definition("models_description_length")), [bounds(document.schema("Description")).1]);
    let downloads = &document.schema("Model")["properties"]["download_count"];
    let (least, greatest) = bounds(downloads);
    assert_eq!(numbers(definition("models_download_count_range")), [least, greatest]);
    let currency = document.schema("Currency")["pattern"].as_str().unwrap();
    for constraint in ["models_currency_form", "purchases_currency_form"] {
        assert!(definition(constraint).contains(&format!("'{currency}'")), "{constraint}: {}", definition(constraint));
    }
    let reason = &document.schema("ResetOrder")["properties"]["reason"];
    assert_eq!(numbers(definition("resets_reason_length")), [bounds(reason).0, bounds(reason).1]);
    // The key's own pattern leaves out what has a meaning in the header.
    let longest = |pattern: &str| numbers(pattern.split_once('{').unwrap().1)[..2].to_vec();
    assert_eq!(longest(document.schema("Key")["pattern"].as_str().unwrap()), longest(definition("idempotency_keys_key_form")));
}
