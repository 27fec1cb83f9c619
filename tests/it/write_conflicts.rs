//! A write that cannot wait longer for what another transaction holds: a key, a row, or a whole table.

use sqlx::Connection as _;
use tests::{Counter, Kind, Shop, eventually};

const LOCK_ROWS: &str = "select from users for update; select from models for update";

#[tokio::test]
async fn a_key_whose_first_request_has_not_ended_is_409_with_retry_after_and_replayed_once_it_has() {
    let shop = Shop::of(20).await;
    let mut outcomes = Vec::new();
    // The first waits for as long as it has to, and whoever comes after it for as long as the role says.
    let patient = [("lock_timeout", "20s"), ("statement_timeout", "20s")];
    for (name, value) in patient {
        shop.set(name, value).await;
    }
    let first = Counter::of(&shop.database, &[("DB_ATTEMPT_TIMEOUT_MS", "9000")]).await;
    for kind in [Kind::Purchase, Kind::Change] {
        let warming = shop.wish(kind);
        outcomes.push((warming.clone(), warming.until_acknowledged(&first.api).await));
    }
    for (name, value) in [("lock_timeout", "1s"), ("statement_timeout", "2s")] {
        shop.set(name, value).await;
    }
    let second = Counter::of(&shop.database, &[]).await;
    let mut locker = shop.database.connect_admin().await;
    // A purchase and a publication have their key by then, and wait to refer to their user; a change and a withdrawal wait before.
    for kind in Kind::ALL {
        let wish = shop.wish(kind);
        let mut lock = locker.begin().await.unwrap();
        sqlx::raw_sql(LOCK_ROWS).execute(&mut *lock).await.unwrap();
        let early = async {
            eventually("the first waits", async || shop.waiting().await == 1).await;
            let early = wish.send(&second.api).await;
            assert_eq!((early.status, &*early.problem(), early.header("retry-after")), (409, "/problems/key-in-flight", "1"), "{kind:?}: {early:?}");
            lock.rollback().await.unwrap();
        };
        let (done, ()) = tokio::join!(wish.send(&first.api), early);
        assert!(done.status < 300 && done.header("idempotency-replayed").is_empty(), "{kind:?}: {done:?}");
        let replay = wish.send(&second.api).await;
        assert_eq!(replay.header("idempotency-replayed"), "true", "{kind:?}: {replay:?}");
        outcomes.push((wish, vec![done, replay]));
    }
    shop.account(&outcomes).await;
    first.api.stop().await;
    second.api.stop().await;
}

#[tokio::test]
async fn a_write_to_a_table_that_a_migration_holds_is_503_and_leaves_nothing() {
    let shop = Shop::of(20).await;
    // The policy is spent sooner than with the second that the role's setting gives to each attempt.
    let mut migration = shop.database.connect_admin().await;
    sqlx::raw_sql(&format!("alter role thaw_app in database \"{}\" set lock_timeout = '200ms'", shop.database.name()))
        .execute(&mut migration)
        .await
        .unwrap();
    let counter = Counter::of(&shop.database, &[]).await;
    let mut outcomes = Vec::new();
    for kind in [Kind::Purchase, Kind::Change] {
        let warming = shop.wish(kind);
        outcomes.push((warming.clone(), warming.until_acknowledged(&counter.api).await));
    }
    // What changes a table's form, and what builds an index or adds a reference to it: reading goes on beside that.
    for (kind, tables, mode) in [
        (Kind::Purchase, "purchases", "access exclusive"),
        (Kind::Purchase, "purchases", "share"),
        (Kind::Publication, "models", "access exclusive"),
        (Kind::Publication, "models", "share row exclusive"),
        (Kind::Change, "models", "share row exclusive"),
        (Kind::Withdrawal, "idempotency_keys", "access exclusive"),
        (Kind::Change, "idempotency_keys", "share"),
    ] {
        let wish = shop.wish(kind);
        let mut lock = migration.begin().await.unwrap();
        sqlx::raw_sql(&format!("lock table {tables} in {mode} mode")).execute(&mut *lock).await.unwrap();
        let answer = wish.send(&counter.api).await;
        let got = (answer.status, &*answer.problem(), answer.header("retry-after"));
        assert_eq!(got, (503, "/problems/database-unavailable", "1"), "{kind:?}, {tables} in {mode}: {answer:?}");
        lock.rollback().await.unwrap();
        // Nothing is in the books but what was acknowledged.
        shop.account(&outcomes).await;
        outcomes.push((wish.clone(), wish.until_acknowledged(&counter.api).await));
    }
    shop.account(&outcomes).await;
    counter.api.stop().await;
}
