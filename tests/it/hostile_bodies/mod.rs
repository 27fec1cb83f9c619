//! Bad requests of every kind: each is refused with a 4xx that says what was wrong, and leaves nothing behind.

mod cases;
mod generator;

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::Value;
use tests::{Api, Database, resident_kib};

use crate::openapi::Document;
use generator::{Attack, LONGEST_BYTES, attack};

const MODELS: &str = "/api/models/user-models";
const PURCHASES: &str = "/api/user/purchased-models";

/// A body that is published, field by field, as JSON.
const FOX: [(&str, &str); 5] =
    [("title", r#""Fox""#), ("description", r#""A fox.""#), ("price_cents", "499"), ("currency", r#""EUR""#), ("file_bytes", "1024")];

/// After so many the allocator has seen everything.
const SETTLED: usize = 1_000;
/// How far resident memory of a function may grow afterwards: by what the allocator keeps of a few of the longest bodies or does not. Over
/// 20,000 requests, that is 220 bytes each.
const GROWTH_LIMIT_KIB: u64 = 4_096;
/// Every status that bad requests are there for.
const STATUSES: [u16; 7] = [400, 404, 413, 415, 422, 428, 431];

async fn send(api: &Api, attack: &Attack) -> tests::Answer {
    let mut request = api.request(attack.method, &attack.target).bearer_auth(api.token("seller")).body(attack.body.clone());
    for (name, value) in &attack.headers {
        request = request.header(name, value);
    }
    api.send(request).await
}

/// Publishes what nobody could object to, and gives its path.
async fn publish(api: &Api) -> String {
    let fox: BTreeMap<&str, Value> = FOX.iter().map(|(name, value)| (*name, serde_json::from_str(value).unwrap())).collect();
    let request = api.request("POST", MODELS).bearer_auth(api.token("seller")).header("idempotency-key", uuid::Uuid::now_v7().to_string());
    let answer = api.send(request.header("content-type", "application/json").body(serde_json::to_string(&fox).unwrap())).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.header("location").to_owned()
}

/// Sends so many generated requests, and checks each answer and what is left after them.
async fn survive(requests: usize) {
    let seed = std::env::var("THAW_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("THAW_SEED is a number"));
    println!("THAW_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let document = Document::read();
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let item = publish(&api).await;
    // The other function's sandbox, too.
    assert_eq!(api.get_as("seller", PURCHASES).await.status, 200);
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    let mut settled = BTreeMap::new();
    for number in 1..=requests {
        let attack = attack(&mut rng, &item);
        let answer = send(&api, &attack).await;
        let what = || format!("request {number} of THAW_SEED={seed}: {attack:?}\n{answer:?}\nbody: {}", String::from_utf8_lossy(&attack.body));
        assert!(attack.expected.statuses.contains(&answer.status), "{}", what());
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_ascii_lowercase();
        let named =
            detail.contains(&attack.expected.names.to_ascii_lowercase()) || detail.starts_with("body: ") && !attack.expected.names.contains(' ');
        assert!(named || detail.is_empty() && answer.json()["message"].is_string(), "{}", what());
        document.assert_has(&document.operation(attack.method, attack.route), &answer);
        *statuses.entry(answer.status).or_default() += 1;
        if number == SETTLED {
            settled = resident(&api).await;
        }
    }
    println!("{statuses:?}");
    assert!(STATUSES.iter().all(|status| statuses.contains_key(status)), "{statuses:?}");
    for (sandbox, after_kib) in resident(&api).await {
        let before_kib = settled.get(&sandbox).unwrap_or_else(|| panic!("{sandbox:?} is another sandbox than before: {settled:?}"));
        println!("{sandbox:?}: resident {before_kib} KiB after {SETTLED} requests, {after_kib} KiB after {requests}");
        assert!(after_kib <= before_kib + GROWTH_LIMIT_KIB, "{sandbox:?} grew from {before_kib} to {after_kib} KiB");
    }
    for line in api.logs() {
        assert!(!line.text.contains("panicked") && !line.text.contains(r#""level":"ERROR""#), "{line:?}");
    }
    // Nothing of it was done, and what is right goes on.
    let mut admin = database.connect_admin().await;
    let models: Vec<String> = sqlx::query_scalar("select title from models where withdrawn_at is null").fetch_all(&mut admin).await.unwrap();
    assert_eq!(models, ["Fox"]);
    let keys: i64 = sqlx::query_scalar("select count(*) from idempotency_keys").fetch_one(&mut admin).await.unwrap();
    assert_eq!(keys, 1, "what was refused left a key");
    publish(&api).await;
    api.stop().await;
}

/// Resident memory of both functions, by function and process, each time after the longest bodies: what the allocator keeps of those is
/// the same then.
async fn resident(api: &Api) -> BTreeMap<(&'static str, i32), u64> {
    for path in [MODELS, PURCHASES].into_iter().cycle().take(8) {
        let request = api.request("POST", path).bearer_auth(api.token("seller")).header("content-type", "application/json");
        assert_eq!(api.send(request.body(vec![b' '; LONGEST_BYTES])).await.status, 413);
    }
    let mut resident = BTreeMap::new();
    for function in ["user-models", "purchased-models"] {
        let pid = api.frozen(function).await.pid;
        resident.insert((function, pid), resident_kib(pid));
    }
    resident
}

#[tokio::test]
async fn two_thousand_bad_requests_are_refused_and_leave_nothing() {
    survive(2_000).await;
}

#[tokio::test]
#[ignore = "takes minutes: cargo test-hostile"]
async fn twenty_thousand_bad_requests_are_refused_and_leave_nothing() {
    survive(20_000).await;
}
