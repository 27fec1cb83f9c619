//! Buying, publishing, changing, withdrawing: each happens once, whatever becomes of its request.

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tests::{Answer, Api, Database};

const MODELS: &str = "/api/models/user-models";
const PURCHASES: &str = "/api/user/purchased-models";

/// A request of a subject with a JSON body.
fn send(api: &Api, method: &str, path: &str, subject: &str, body: &Value) -> RequestBuilder {
    api.request(method, path).bearer_auth(api.token(subject)).header("content-type", "application/json").body(body.to_string())
}

/// As [`send`], under a key.
async fn keyed(api: &Api, method: &str, path: &str, subject: &str, key: &str, body: &Value) -> Answer {
    api.send(send(api, method, path, subject, body).header("idempotency-key", key)).await
}

fn fox() -> Value {
    json!({ "title": "Fox", "description": "A fox.", "price_cents": 499, "currency": "EUR", "file_bytes": 1024 })
}

/// Publishes a model as this subject; its id.
async fn published(api: &Api, subject: &str, key: &str) -> String {
    let answer = keyed(api, "POST", MODELS, subject, key, &fox()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_model_is_published_bought_changed_and_withdrawn() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let answer = keyed(&api, "POST", MODELS, "seller", "k1", &fox()).await;
    assert_eq!((answer.status, answer.header("etag")), (201, "\"1\""), "{answer:?}");
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let item = format!("{MODELS}/{id}");
    assert_eq!(answer.header("location"), item);
    let read = api.get_as("seller", &item).await;
    assert_eq!((read.status, read.header("etag"), &read.body), (200, "\"1\"", &answer.body));
    // Bought, by somebody who was not seen before.
    let bought = keyed(&api, "POST", PURCHASES, "buyer", "k1", &json!({ "model_id": id })).await;
    assert_eq!(bought.status, 201, "{bought:?}");
    assert_eq!(
        (&bought.json()["price_cents"], &bought.json()["model_id"], &bought.json()["title"]),
        (&499.into(), &id.as_str().into(), &"Fox".into())
    );
    let again = keyed(&api, "POST", PURCHASES, "buyer", "k1", &json!({ "model_id": id })).await;
    assert_eq!((again.status, &again.body, again.header("idempotency-replayed")), (201, &bought.body, "true"));
    let other = keyed(&api, "POST", PURCHASES, "buyer", "k2", &json!({ "model_id": id })).await;
    assert_eq!((other.status, &other.json()["type"]), (409, &"/problems/already-owned".into()), "{other:?}");
    // Changed, under the version that was read.
    let change = send(&api, "PATCH", &item, "seller", &json!({ "price_cents": 599 })).header("if-match", "\"1\"");
    let changed = api.send(change).await;
    assert_eq!((changed.status, changed.header("etag"), &changed.json()["price_cents"]), (200, "\"2\"", &599.into()), "{changed:?}");
    assert_eq!(api.get_as("seller", &item).await.body, changed.body);
    let stale = api.send(send(&api, "PATCH", &item, "seller", &json!({ "price_cents": 699 })).header("if-match", "\"1\"")).await;
    assert_eq!((stale.status, &stale.json()["type"]), (412, &"/problems/precondition-failed".into()), "{stale:?}");
    // Withdrawn, and still with its buyer.
    let withdrawn = api.send(api.request("DELETE", &item).bearer_auth(api.token("seller")).header("if-match", "\"2\"")).await;
    assert_eq!((withdrawn.status, &*withdrawn.body), (204, ""), "{withdrawn:?}");
    assert_eq!(api.get_as("seller", &item).await.status, 404);
    let late = keyed(&api, "POST", PURCHASES, "late", "k1", &json!({ "model_id": id })).await;
    assert_eq!((late.status, &late.json()["type"]), (422, &"/problems/withdrawn-model".into()), "{late:?}");
    let list = api.get_as("buyer", PURCHASES).await;
    assert_eq!(list.json()["items"][0]["price_cents"], 499, "{list:?}");
    api.stop().await;
}

#[tokio::test]
async fn what_is_refused_leaves_no_key_and_no_user() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let id = published(&api, "seller", "k1").await;
    let unknown = "01900000-0000-7000-8000-000000000000";
    for (subject, model, status, kind) in [("seller", &*id, 422, "own-model"), ("buyer", unknown, 404, "not-found")] {
        let answer = keyed(&api, "POST", PURCHASES, subject, "refused", &json!({ "model_id": model })).await;
        assert_eq!((answer.status, &answer.json()["type"]), (status, &format!("/problems/{kind}").into()), "{answer:?}");
    }
    let mut admin = database.connect_admin().await;
    let keys: i64 = sqlx::query_scalar("select count(*) from idempotency_keys where key = 'refused'").fetch_one(&mut admin).await.unwrap();
    let users: i64 = sqlx::query_scalar("select count(*) from users where subject = 'buyer'").fetch_one(&mut admin).await.unwrap();
    assert_eq!((keys, users), (0, 0));
    // The key is free for what is possible.
    let answer = keyed(&api, "POST", PURCHASES, "buyer", "refused", &json!({ "model_id": id })).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    api.stop().await;
}
