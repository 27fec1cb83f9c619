//! What a key stands for, how long, and what `If-Match` adds to it.

use std::time::Duration;

use serde_json::json;
use sqlx::PgConnection;
use tests::{Answer, Api, BUYER, Database, Kind, Options, SELLER, Shop, Wish};

fn problem(answer: &Answer) -> (u16, String) {
    (answer.status, answer.problem())
}

fn refused(status: u16, kind: &str) -> (u16, String) {
    (status, format!("/problems/{kind}"))
}

#[tokio::test]
async fn a_key_of_another_request_is_422_and_what_it_stands_for_stays() {
    let shop = Shop::of(10).await;
    let api = Api::over(&shop.database).await;
    let [one, other] = [shop.wish(Kind::Change).model(), shop.wish(Kind::Change).model()];
    let first = Wish::publication(SELLER, "same").send(&api).await;
    assert_eq!(first.status, 201, "{first:?}");
    for wish in [
        Wish::publication(SELLER, "same").body(json!({ "title": "F", "description": "", "price_cents": 0, "currency": "EUR", "file_bytes": 1 })),
        Wish::purchase(SELLER, "same", one),
        Wish::change(SELLER, "same", one),
        Wish::withdrawal(SELLER, "same", one),
        // That it is of no such version is not what the client has to hear.
        Wish::change(SELLER, "same", one).if_match("\"7\""),
    ] {
        assert_eq!(problem(&wish.send(&api).await), refused(422, "key-reused"), "{wish:?}");
    }
    let replay = Wish::publication(SELLER, "same").send(&api).await;
    assert_eq!((replay.acknowledgement(), replay.header("idempotency-replayed")), (first.acknowledgement(), "true"));
    let change = Wish::change(SELLER, "change", one);
    assert_eq!(change.send(&api).await.status, 200);
    assert_eq!(problem(&Wish::change(SELLER, "change", other).send(&api).await), refused(422, "key-reused"), "another path");
    assert_eq!(problem(&Wish::withdrawal(SELLER, "change", one).send(&api).await), refused(422, "key-reused"), "another method");
    // A principal has keys of its own.
    let bought = Wish::purchase(BUYER, "same", other).send(&api).await;
    assert_eq!((bought.status, bought.header("idempotency-replayed")), (201, ""), "{bought:?}");
    api.stop().await;
}

/// How many keys there are, and how many of them have expired.
async fn keys(admin: &mut PgConnection) -> (i64, i64) {
    let count = "select count(*), count(*) filter (where expires_at <= now()) from idempotency_keys";
    sqlx::query_as(count).fetch_one(admin).await.unwrap()
}

async fn with_lifetime(database: &Database, seconds: &str) -> Api {
    // A lifetime is longer than a budget.
    let options = Options::default().with_variable("IDEMPOTENCY_KEY_LIFETIME_S", seconds).with_variable("RETRY_BUDGET_MS", "900");
    Api::with(database, options).await
}

#[tokio::test]
async fn an_expired_key_counts_as_absent() {
    let shop = Shop::of(10).await;
    let api = with_lifetime(&shop.database, "1").await;
    let [one, other] = [shop.wish(Kind::Change).model(), shop.wish(Kind::Change).model()];
    let first = Wish::purchase(BUYER, "same", one).send(&api).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let second = Wish::purchase(BUYER, "same", other).send(&api).await;
    assert_eq!((first.status, second.status, second.header("idempotency-replayed")), (201, 201, ""), "{second:?}");
    assert_ne!(first.body, second.body);
    let mut admin = shop.database.connect_admin().await;
    assert_eq!(keys(&mut admin).await.0, 1, "the expired row is the new one's");
    // Nobody remembers the first request any more, but its purchase is there.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(problem(&Wish::purchase(BUYER, "same", one).send(&api).await), refused(409, "already-owned"));
    api.stop().await;
}

#[tokio::test]
async fn expired_keys_are_pruned_by_later_writes_a_few_at_a_time() {
    let shop = Shop::of(10).await;
    let api = with_lifetime(&shop.database, "3600").await;
    let mut admin = shop.database.connect_admin().await;
    sqlx::raw_sql(
        "insert into idempotency_keys (principal, key, request_hash, status, body, created_at, expires_at)
         select 'somebody', 'old-' || n, sha256('x'), 201, '', now() - interval '2 days', now() - n * interval '1 minute'
         from generate_series(1, 10) n",
    )
    .execute(&mut admin)
    .await
    .unwrap();
    assert_eq!(keys(&mut admin).await, (10, 10));
    let wish = shop.wish(Kind::Purchase);
    // Each write adds its own, and takes up to four of the oldest away.
    for (writes, expired) in [(1, 6), (2, 2), (3, 0), (4, 0)] {
        let answer = Wish::publication(SELLER, &format!("write-{writes}")).send(&api).await;
        assert_eq!((answer.status, keys(&mut admin).await), (201, (writes + expired, expired)), "{answer:?}");
    }
    // A replay and a refusal are no writes.
    assert_eq!(Wish::publication(SELLER, "write-1").send(&api).await.header("idempotency-replayed"), "true");
    let unknown = Wish::purchase(BUYER, "refused", uuid::Uuid::max()).send(&api).await;
    assert_eq!((problem(&unknown), keys(&mut admin).await), (refused(404, "not-found"), (4, 0)));
    assert_eq!(wish.send(&api).await.status, 201);
    api.stop().await;
}

#[tokio::test]
async fn if_match_decides_and_a_replay_comes_before_it() {
    let shop = Shop::of(10).await;
    let api = Api::over(&shop.database).await;
    for kind in [Kind::Change, Kind::Withdrawal] {
        let success = if kind == Kind::Change { 200 } else { 204 };
        let wish = shop.wish(kind);
        for (tags, expected) in [
            ("", refused(428, "precondition-required")),
            ("W/\"1\"", refused(412, "precondition-failed")),
            ("\"2\"", refused(412, "precondition-failed")),
            ("1", refused(400, "malformed")),
            ("\"1", refused(400, "malformed")),
        ] {
            assert_eq!(problem(&wish.clone().if_match(tags).send(&api).await), expected, "{kind:?} if {tags}");
        }
        // The key is free for what may be done: it was nothing so far.
        let done = wish.clone().if_match("\"7\", \"1\"").send(&api).await;
        assert_eq!((done.status, done.header("idempotency-replayed")), (success, ""), "{done:?}");
        // By now the tag is stale, and the answer is the first one all the same.
        let replay = wish.send(&api).await;
        assert_eq!((replay.acknowledgement(), replay.header("idempotency-replayed")), (done.acknowledgement(), "true"), "{kind:?}");
        let any = shop.wish(kind).if_match("*");
        assert_eq!(any.send(&api).await.status, success);
        assert_eq!(any.send(&api).await.header("idempotency-replayed"), "true", "{kind:?} of any version is done once, too");
    }
    api.stop().await;
}
