//! The two lists: right data, whole, in order, one's own.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::{Api, Database};

const LISTS: [&str; 2] = ["/api/user/purchased-models", "/api/models/user-models"];

#[tokio::test]
async fn a_list_holds_what_the_database_holds_newest_first() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    let mut admin = database.connect_admin().await;
    let statements = [
        "select p.id::text from purchases p join users u on u.id = p.buyer_id where u.subject = 'user-1' order by p.id desc",
        "select m.id::text from models m join users u on u.id = m.owner_id where u.subject = 'user-1' and m.withdrawn_at is null order by m.id desc",
    ];
    for (path, statement) in LISTS.into_iter().zip(statements) {
        let expected: Vec<String> = sqlx::query_scalar(statement).fetch_all(&mut admin).await.unwrap();
        assert!(expected.len() > 20, "{path}: the seed gives user-1 more than a page, not {}", expected.len());
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = api.get_as("user-1", &format!("{path}?limit=7{cursor}")).await;
            assert_eq!(page.status, 200, "{page:?}");
            let page = page.json();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 7);
            found.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            match &page["next_cursor"] {
                Value::Null => break,
                next => cursor = format!("&cursor={}", next.as_str().unwrap()),
            }
        }
        assert_eq!(found, expected, "{path}");
    }
    api.stop().await;
}

#[tokio::test]
async fn items_have_the_documented_fields_and_kinds() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    let fields: [&[&str]; 2] = [
        &["id", "model_id", "title", "description", "file_bytes", "price_cents", "currency", "purchased_at"],
        &["id", "title", "description", "price_cents", "currency", "file_bytes", "download_count", "created_at", "updated_at"],
    ];
    for (path, fields) in LISTS.into_iter().zip(fields) {
        let answer = api.get_as("user-1", path).await;
        let page = answer.json();
        assert_eq!(page["items"].as_array().unwrap().len(), 20, "the default limit");
        let item = page["items"][0].as_object().unwrap();
        assert_eq!(item.keys().map(String::as_str).collect::<BTreeSet<_>>(), fields.iter().copied().collect(), "{path}");
        for (name, value) in item {
            let right = match name.as_str() {
                name if name.ends_with("id") => value.as_str().unwrap().parse::<uuid::Uuid>().unwrap().get_version_num() == 7,
                name if name.ends_with("_at") => {
                    let time = value.as_str().unwrap();
                    time.ends_with('Z') && time::OffsetDateTime::parse(time, &time::format_description::well_known::Rfc3339).is_ok()
                }
                name if name.ends_with("_cents") || name.ends_with("_bytes") || name.ends_with("_count") => value.is_u64(),
                "currency" => value.as_str().unwrap().len() == 3,
                _ => value.is_string(),
            };
            assert!(right, "{path}: {name} is {value}");
        }
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "private, no-cache");
        assert_eq!(answer.header("vary"), "Authorization, Accept-Encoding");
    }
    api.stop().await;
}

#[tokio::test]
async fn an_unknown_subject_has_an_empty_list() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    for path in LISTS {
        let answer = api.get_as("nobody", path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"items":[],"next_cursor":null}"#), "{path}");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_withdrawn_model_leaves_its_owners_list_and_stays_with_its_buyers() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    let mut admin = database.connect_admin().await;
    let (model, buyer, owner): (uuid::Uuid, String, String) = sqlx::query_as(
        "update models m set withdrawn_at = updated_at from purchases p, users b, users o
         where p.model_id = m.id and b.id = p.buyer_id and o.id = m.owner_id and b.subject = 'user-1' and m.withdrawn_at is null
           and p.id = (select max(q.id::text)::uuid from purchases q join models n on n.id = q.model_id where q.buyer_id = b.id and n.withdrawn_at is null)
         returning m.id, b.subject, o.subject",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    let holds = |page: Value, field: &str| page["items"].as_array().unwrap().iter().any(|item| item[field] == model.to_string());
    assert!(holds(api.get_as(&buyer, "/api/user/purchased-models?limit=100").await.json(), "model_id"));
    assert!(!holds(api.get_as(&owner, "/api/models/user-models?limit=100").await.json(), "id"));
    api.stop().await;
}

#[tokio::test]
async fn nobody_sees_anothers_rows_and_anothers_cursor_is_refused() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    for path in LISTS {
        let ids = |page: &Value| page["items"].as_array().unwrap().iter().map(|item| item["id"].to_string()).collect::<BTreeSet<_>>();
        let (mine, theirs) = (api.get_as("user-1", path).await.json(), api.get_as("user-2", path).await.json());
        assert!(ids(&mine).is_disjoint(&ids(&theirs)), "{path}");
        let cursor = theirs["next_cursor"].as_str().unwrap();
        let answer = api.get_as("user-1", &format!("{path}?cursor={cursor}")).await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert_eq!(answer.json()["detail"], "cursor: belongs to another list or another user; start again without one");
    }
    let cursor = api.get_as("user-1", LISTS[0]).await.json()["next_cursor"].as_str().unwrap().to_owned();
    let answer = api.get_as("user-1", &format!("{}?cursor={cursor}", LISTS[1])).await;
    assert_eq!(answer.status, 400, "a cursor of the other list: {answer:?}");
    api.stop().await;
}
