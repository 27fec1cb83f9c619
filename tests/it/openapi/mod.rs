//! `infra/openapi.yaml` says what the template and the code say.

mod document;
mod limits;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use local::template::{Authorization, Route, Template};
use serde_json::json;
use tests::{Api, Database};

pub(crate) use document::Document;

use crate::problem_kinds::problem_kinds;

const MODELS: &str = "/api/models/user-models";
const MODEL: &str = "/api/models/user-models/{id}";
const PURCHASES: &str = "/api/user/purchased-models";
const HEALTH: &str = "/api/debug/db-health";
const MONITOR: &str = "/api/debug/monitor";
const RESET: &str = "/api/debug/reset-db";
const DEEP_HEALTH: &str = "/api/debug/db-health/deep";

fn routes() -> Vec<Route> {
    let parameters = ["JwtIssuer", "JwtAudience", "DbHost"].map(|name| (name.to_owned(), "http://127.0.0.1".to_owned()));
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    Template::read(&template, &BTreeMap::from(parameters)).unwrap().routes
}

#[test]
fn every_route_of_the_template_is_an_operation_and_the_other_way_round() {
    let document = Document::read();
    let in_document: BTreeSet<_> = document
        .operations()
        .iter()
        .map(|operation| {
            let security = operation.value.get("security").unwrap_or(document.at("/security"));
            (operation.method.clone(), operation.path.to_owned(), security.clone().to_string())
        })
        .collect();
    let in_template: BTreeSet<_> = routes()
        .into_iter()
        .map(|route| {
            let security = match route.authorization {
                Authorization::Open => json!([]),
                Authorization::Jwt(_) => json!([{ "jwt": [] }]),
                Authorization::Iam => json!([{ "sigv4": [] }]),
            };
            (route.method, route.path, security.to_string())
        })
        .collect();
    assert_eq!(in_document, in_template);
    let ids: BTreeSet<_> = document.operations().iter().map(|operation| operation.value["operationId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), in_template.len(), "an operationId stands twice");
}

#[test]
fn the_variables_of_a_path_are_parameters_and_the_other_way_round() {
    let document = Document::read();
    for operation in document.operations() {
        let variables: BTreeSet<_> = operation.path.split(['{', '}']).skip(1).step_by(2).collect();
        let parameters = document.parameters(&operation);
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
        let in_path: BTreeSet<_> = in_path.map(|parameter| parameter["name"].as_str().unwrap()).collect();
        assert_eq!(in_path, variables, "{}", operation.path);
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn follow(document: &Document, value: &serde_json::Value) -> usize {
        document.resolved(value);
        let own = usize::from(value.get("$ref").is_some());
        let parts: Vec<_> = match value {
            serde_json::Value::Object(entries) => entries.values().collect(),
            serde_json::Value::Array(items) => items.iter().collect(),
            _ => Vec::new(),
        };
        own + parts.into_iter().map(|part| follow(document, part)).sum::<usize>()
    }
    let document = Document::read();
    assert!(follow(&document, document.at("")) > 100);
}

#[test]
fn every_problem_of_the_code_is_in_the_document_at_its_status_and_the_other_way_round() {
    let document = Document::read();
    let mut found = BTreeSet::new();
    for operation in document.operations() {
        for (status, response) in operation.value["responses"].as_object().unwrap() {
            let content = &document.resolved(response)["content"]["application/problem+json"]["schema"];
            if content.is_null() {
                continue;
            }
            for (kind, at) in document.problems(content) {
                assert_eq!(status.parse(), Ok(at), "{} {}: {kind}", operation.method, operation.path);
                found.insert((kind, at));
            }
        }
    }
    let code: BTreeSet<_> = problem_kinds().into_iter().map(|(kind, status)| (format!("/problems/{kind}"), u64::from(status))).collect();
    assert_eq!(found, code);
}

#[test]
fn what_an_operation_takes_says_which_problems_it_has() {
    let document = Document::read();
    for operation in document.operations() {
        let parameters = document.parameters(&operation);
        let takes = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
        let (keyed, conditional, has_body) = (takes("Idempotency-Key"), takes("If-Match"), operation.value.get("requestBody").is_some());
        let personal = operation.value.get("security").is_none();
        let responses = operation.value["responses"].as_object().unwrap().values();
        let schemas = responses.map(|response| &document.resolved(response)["content"]["application/problem+json"]["schema"]);
        let found: BTreeSet<_> =
            schemas.filter(|schema| !schema.is_null()).flat_map(|schema| document.problems(schema)).map(|(kind, _)| kind).collect();
        for (kind, expected) in [
            ("malformed", true),
            ("method-not-allowed", true),
            ("internal", true),
            ("database-unavailable", true),
            ("unauthenticated", personal),
            ("statement-timeout", personal || has_body),
            ("forbidden", !personal),
            ("key-in-flight", keyed),
            ("key-reused", keyed),
            ("precondition-failed", conditional),
            ("precondition-required", conditional),
            ("content-too-large", has_body),
            ("unsupported-media-type", has_body),
        ] {
            assert_eq!(found.contains(&format!("/problems/{kind}")), expected, "{} {}: {kind}", operation.method, operation.path);
        }
    }
}

#[test]
fn every_operation_has_what_api_gateway_answers_itself() {
    let document = Document::read();
    for operation in document.operations() {
        let (by_token, by_signature) = (operation.value.get("security").is_none(), operation.value["security"] == json!([{ "sigv4": [] }]));
        let has_variable = operation.path.contains('{');
        let expected = [(400, true), (401, by_token), (403, by_signature), (404, has_variable), (413, true), (431, true), (500, true), (503, true)];
        for (status, _) in expected.into_iter().filter(|(_, expected)| *expected) {
            let response = document.resolved(&operation.value["responses"][status.to_string()]);
            let schema = &response["content"]["application/json"]["schema"];
            assert_eq!(schema["$ref"], "#/components/schemas/Message", "{} {}: {status}", operation.method, operation.path);
        }
    }
}

#[tokio::test]
async fn the_example_of_an_order_can_be_bought_on_the_seeded_rows() {
    let document = Document::read();
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    let order = json!({ "model_id": document.schema("Order")["properties"]["model_id"]["examples"][0] }).to_string();
    // As .ci/schemathesis does.
    let request = api.request("POST", PURCHASES).bearer_auth(api.token("user-9")).header("content-type", "application/json");
    let answer = api.send(request.header("idempotency-key", "k1").body(order)).await;
    let mut admin = database.connect_admin().await;
    let free: Vec<String> = sqlx::query_scalar(
        "select m.id::text from models m where m.withdrawn_at is null and m.owner_id <> (select id from users where subject = 'user-9')
         and not exists (select from purchases p join users u on u.id = p.buyer_id where u.subject = 'user-9' and p.model_id = m.id) order by 1 limit 3",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert_eq!(answer.status, 201, "{answer:?}; these can be bought: {free:?}");
    api.stop().await;
}

#[tokio::test]
async fn what_each_operation_answers_is_in_the_document() {
    let document = Document::read();
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    let fox = json!({ "title": "Fox", "description": "", "price_cents": 0, "currency": "EUR", "file_bytes": 1 });
    let as_seller = |method: &str, path: &str| api.request(method, path).bearer_auth(api.token("user-1"));
    let post = |path: &str, subject: &str, key: &str, body: &serde_json::Value| {
        let request = api.request("POST", path).bearer_auth(api.token(subject)).header("idempotency-key", key);
        request.header("content-type", "application/json").body(body.to_string())
    };
    let published = api.send(post(MODELS, "user-1", "k1", &fox)).await;
    let item = published.header("location").to_owned();
    let id = json!({ "model_id": published.json()["id"] });
    let change = |body: &str| as_seller("PATCH", &item).header("content-type", "application/merge-patch+json").body(body.to_owned());
    let list = api.get_as("user-1", MODELS).await;
    let cases = [
        (201, "POST", MODELS, post(MODELS, "user-1", "k1", &fox)),
        (
            422,
            "POST",
            MODELS,
            post(MODELS, "user-1", "k2", &json!({ "title": "", "description": "", "price_cents": 0, "currency": "EUR", "file_bytes": 1 })),
        ),
        (400, "POST", MODELS, post(MODELS, "user-1", "k,2", &fox)),
        (401, "POST", MODELS, api.request("POST", MODELS)),
        (415, "POST", MODELS, as_seller("POST", MODELS).body("x")),
        (413, "POST", MODELS, as_seller("POST", MODELS).header("content-type", "application/json").body(" ".repeat(70_000))),
        (413, "POST", MODELS, as_seller("POST", MODELS).header("content-type", "application/json").body(" ".repeat(11_000_000))),
        (431, "GET", MODELS, as_seller("GET", MODELS).header("x-long", "x".repeat(10_240))),
        (200, "GET", MODELS, as_seller("GET", MODELS).header("accept-encoding", "identity")),
        (304, "GET", MODELS, as_seller("GET", MODELS).header("if-none-match", list.header("etag"))),
        (400, "GET", MODELS, as_seller("GET", &format!("{MODELS}?limit=0"))),
        (201, "POST", PURCHASES, post(PURCHASES, "user-2", "k1", &id)),
        (201, "POST", PURCHASES, post(PURCHASES, "user-2", "k1", &id)),
        (409, "POST", PURCHASES, post(PURCHASES, "user-2", "k2", &id)),
        (422, "POST", PURCHASES, post(PURCHASES, "user-1", "k2", &id)),
        (404, "POST", PURCHASES, post(PURCHASES, "user-2", "k3", &json!({ "model_id": uuid::Uuid::now_v7() }))),
        (200, "GET", PURCHASES, api.request("GET", PURCHASES).bearer_auth(api.token("user-2"))),
        (200, "GET", MODEL, as_seller("GET", &item)),
        (304, "GET", MODEL, as_seller("GET", &item).header("if-none-match", "\"1\"")),
        (400, "GET", MODEL, as_seller("GET", &format!("{MODELS}/%zz"))),
        (404, "GET", MODEL, as_seller("GET", &format!("{MODELS}/%2F"))),
        (404, "GET", MODEL, as_seller("GET", &format!("{MODELS}/x"))),
        (428, "PATCH", MODEL, change("{}")),
        (422, "PATCH", MODEL, change("{}").header("if-match", "*")),
        (412, "PATCH", MODEL, change(r#"{"title": "Owl"}"#).header("if-match", "\"7\"")),
        (200, "PATCH", MODEL, change(r#"{"title": "Owl"}"#).header("if-match", "\"1\"")),
        (412, "DELETE", MODEL, as_seller("DELETE", &item).header("if-match", "\"1\"")),
        (204, "DELETE", MODEL, as_seller("DELETE", &item).header("if-match", "*").header("idempotency-key", "k9")),
        (204, "DELETE", MODEL, as_seller("DELETE", &item).header("if-match", "*").header("idempotency-key", "k9")),
        (404, "DELETE", MODEL, as_seller("DELETE", &item).header("if-match", "*")),
        (200, "GET", HEALTH, api.request("GET", HEALTH)),
        (400, "GET", HEALTH, api.request("GET", &format!("{HEALTH}?deep=yes"))),
        (403, "GET", HEALTH, api.request("GET", &format!("{HEALTH}?deep=true"))),
        (403, "GET", DEEP_HEALTH, api.request("GET", DEEP_HEALTH)),
        (403, "GET", MONITOR, api.request("GET", MONITOR)),
        (403, "POST", RESET, api.request("POST", RESET).header("content-type", "application/json").body("{}")),
    ];
    for (status, method, path, request) in cases {
        let answer = api.send(request).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        document.assert_has(&document.operation(method, path), &answer);
    }
    // The fields are all there, too: of a model, a purchase and a health check.
    for (schema, body) in [
        ("Model", published.json()),
        ("Model", list.json()["items"][0].clone()),
        ("ModelPage", list.json()),
        ("PurchasedModel", api.get_as("user-2", PURCHASES).await.json()["items"][0].clone()),
        ("Health", api.get(HEALTH).await.json()),
    ] {
        let fields: BTreeSet<String> = body.as_object().unwrap().keys().cloned().collect();
        assert_eq!(document.properties(document.schema(schema)), fields, "{schema}");
    }
    api.stop().await;
}
