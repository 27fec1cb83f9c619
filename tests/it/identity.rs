//! Whose rows: nobody sees or changes another's, whatever ids, cursors, versions and keys of theirs they know.

use std::collections::BTreeSet;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tests::{Answer, Api, Database};

use crate::openapi::Document;

const MODELS: &str = "/api/models/user-models";
const PURCHASES: &str = "/api/user/purchased-models";
const MODEL: &str = "/api/models/user-models/{id}";

fn send(api: &Api, subject: &str, method: &str, path: &str, key: &str, body: &Value) -> RequestBuilder {
    let request = api.request(method, path).bearer_auth(api.token(subject)).header("content-type", "application/json");
    request.header("idempotency-key", key).body(body.to_string())
}

fn fox(title: &str) -> Value {
    json!({ "title": title, "description": "", "price_cents": 499, "currency": "EUR", "file_bytes": 1024 })
}

fn ids(list: &Answer) -> BTreeSet<String> {
    list.json()["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// Everything that a user sees.
async fn view(api: &Api, subject: &str, item: &str) -> [String; 3] {
    [api.get_as(subject, MODELS).await.body, api.get_as(subject, PURCHASES).await.body, api.get_as(subject, item).await.body]
}

#[tokio::test]
async fn every_route_keeps_to_the_callers_own_rows() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    // Somebody with two models, two purchases, and a key for each.
    let mut models = Vec::new();
    for number in 0..4 {
        let (subject, key) = if number < 2 { ("owner", format!("publish-{number}")) } else { ("seller", format!("sell-{number}")) };
        let answer = api.send(send(&api, subject, "POST", MODELS, &key, &fox("Fox"))).await;
        models.push(answer.json()["id"].as_str().unwrap().to_owned());
        if number >= 2 {
            let bought = api.send(send(&api, "owner", "POST", PURCHASES, &format!("buy-{number}"), &json!({ "model_id": models[number] }))).await;
            assert_eq!(bought.status, 201, "{bought:?}");
        }
    }
    let item = format!("{MODELS}/{}", models[0]);
    let before = view(&api, "owner", &item).await;
    let cursor = |page: Answer| page.json()["next_cursor"].as_str().unwrap().to_owned();
    let cursors =
        [cursor(api.get_as("owner", &format!("{MODELS}?limit=1")).await), cursor(api.get_as("owner", &format!("{PURCHASES}?limit=1")).await)];

    for operation in Document::read().operations() {
        match (&*operation.method, operation.path) {
            ("GET", list @ (MODELS | PURCHASES)) => {
                assert_eq!(ids(&api.get_as("other", list).await), BTreeSet::new(), "{list}");
                for cursor in &cursors {
                    let answer = api.get_as("other", &format!("{list}?cursor={cursor}")).await;
                    assert_eq!((answer.status, &answer.json()["type"]), (400, &"/problems/malformed".into()), "{answer:?}");
                }
                // Nor does the tag of another's page say that it is the same.
                let tag = api.get_as("owner", list).await.header("etag").to_owned();
                let request = api.request("GET", list).bearer_auth(api.token("other")).header("if-none-match", tag);
                assert_eq!(api.send(request).await.status, 200, "{list}");
            }
            ("GET" | "PATCH" | "DELETE", MODEL) => {
                // A buyer is no owner either: the seller's model is not among the owner's.
                for (subject, id) in [("other", &models[0]), ("owner", &models[2])] {
                    for condition in ["\"1\"", "*"] {
                        let path = format!("{MODELS}/{id}");
                        let request = send(&api, subject, &operation.method, &path, "mine", &json!({ "title": "Taken" }));
                        let answer = api.send(request.header("if-match", condition).header("if-none-match", condition)).await;
                        assert_eq!(answer.status, 404, "{} {subject} {condition}: {answer:?}", operation.method);
                        // As if there were none.
                        let unknown = format!("{MODELS}/{}", uuid::Uuid::now_v7());
                        let request = send(&api, subject, &operation.method, &unknown, "mine", &json!({ "title": "Taken" }));
                        let nothing = api.send(request.header("if-match", condition).header("if-none-match", condition)).await;
                        let without_id = |answer: &Answer| (answer.status, answer.json()["type"].clone(), answer.json()["detail"].clone());
                        assert_eq!(without_id(&answer), without_id(&nothing));
                    }
                }
            }
            ("POST", MODELS) => {
                // The same key with the same and with another payload: both are wishes of their own.
                for (key, title) in [("publish-0", "Fox"), ("publish-1", "Owl")] {
                    let answer = api.send(send(&api, "publisher", "POST", MODELS, key, &fox(title))).await;
                    assert_eq!((answer.status, answer.header("idempotency-replayed")), (201, ""), "{answer:?}");
                    assert!(!models.contains(&answer.json()["id"].as_str().unwrap().to_owned()), "{answer:?}");
                }
                assert_eq!(ids(&api.get_as("publisher", MODELS).await).len(), 2);
            }
            ("POST", PURCHASES) => {
                for (key, model) in [("buy-2", &models[2]), ("buy-3", &models[0])] {
                    let answer = api.send(send(&api, "buyer", "POST", PURCHASES, key, &json!({ "model_id": model }))).await;
                    assert_eq!((answer.status, answer.header("idempotency-replayed")), (201, ""), "{answer:?}");
                }
                let owners = ids(&api.get_as("owner", PURCHASES).await);
                assert!(owners.is_disjoint(&ids(&api.get_as("buyer", PURCHASES).await)));
            }
            // These know no users.
            ("GET", "/api/debug/db-health" | "/api/debug/db-health/deep" | "/api/debug/monitor") | ("POST", "/api/debug/reset-db") => {}
            (method, path) => panic!("{method} {path} is not tried here"),
        }
    }
    assert_eq!(view(&api, "owner", &item).await, before, "the owner sees what they saw");
    let again = api.send(send(&api, "owner", "POST", MODELS, "publish-0", &fox("Fox"))).await;
    assert_eq!((&again.json()["id"], again.header("idempotency-replayed")), (&models[0].as_str().into(), "true"));
    // Who only asked was not made a user.
    let mut admin = database.connect_admin().await;
    let subjects: Vec<String> = sqlx::query_scalar("select subject from users order by 1").fetch_all(&mut admin).await.unwrap();
    assert_eq!(subjects, ["buyer", "owner", "publisher", "seller"]);
    let principals: Vec<String> =
        sqlx::query_scalar("select distinct principal from idempotency_keys order by 1").fetch_all(&mut admin).await.unwrap();
    assert_eq!(principals, ["buyer", "owner", "publisher", "seller"]);
    api.stop().await;
}
