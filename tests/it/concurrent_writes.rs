//! Writes that meet each other: under one key, under many, and one that is still held when it is sent again.

use futures_util::future::join_all;
use sqlx::Connection as _;
use tests::{Answer, Api, BUYER, Counter, Database, Fault, Kind, Shop, Wish, eventually};

const AT_ONCE: usize = 50;
const FUNCTION: &str = "purchased-models";

/// What each of these wishes is answered in the end, all sent at the same time.
async fn at_once(api: &Api, wishes: impl IntoIterator<Item = Wish>) -> Vec<Answer> {
    let wishes: Vec<_> = wishes.into_iter().collect();
    let mut answers = join_all(wishes.iter().map(|wish| wish.until_decided(api))).await;
    for early in answers.iter().flat_map(|answers| &answers[..answers.len() - 1]) {
        assert_eq!(early.header("retry-after"), "1", "{early:?}");
    }
    let sent_again = answers.iter().filter(|answers| answers.len() > 1).count();
    println!("{} wishes in {} sandboxes; after {sent_again} the client knew nothing yet", answers.len(), api.sandboxes(FUNCTION).await.len());
    answers.iter_mut().map(|answers| answers.pop().unwrap()).collect()
}

async fn count(database: &Database, what: &str) -> i64 {
    sqlx::query_scalar(&format!("select count(*) from {what}")).fetch_one(&mut database.connect_admin().await).await.unwrap()
}

#[tokio::test]
async fn fifty_writes_at_once_have_one_effect_for_each_wish() {
    let shop = Shop::of(70).await;
    let api = Api::over(&shop.database).await;
    one_key(&shop, &api).await;
    one_purchase(&shop, &api).await;
    one_subject(&shop, &api).await;
    assert!(api.sandboxes(FUNCTION).await.len() > 1);
    assert!(api.pins().is_empty(), "{:?}", api.pins());
    api.stop().await;
}

/// One wish, fifty times: of somebody who is a user, and of somebody who is not.
async fn one_key(shop: &Shop, api: &Api) {
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let wish = shop.wish(Kind::Purchase);
        let answers = at_once(api, vec![wish.clone(); AT_ONCE]).await;
        assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
        let replayed = answers.iter().filter(|answer| answer.header("idempotency-replayed") == "true").count();
        assert!(replayed >= AT_ONCE - 1, "{replayed}");
        outcomes.push((wish, answers));
    }
    shop.account(&outcomes).await;
}

/// One purchase under fifty keys: one of them buys, and no other is kept.
async fn one_purchase(shop: &Shop, api: &Api) {
    for subject in [BUYER, "never-seen"] {
        let model = shop.wish(Kind::Change).model();
        let keys = || (0..AT_ONCE).map(|number| format!("{subject}-{number}"));
        let answers = at_once(api, keys().map(|key| Wish::purchase(subject, &key, model))).await;
        let (bought, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
        assert_eq!(bought.len(), 1, "{bought:?}");
        assert!(refused.iter().all(|answer| (answer.status, &*answer.problem()) == (409, "/problems/already-owned")), "{refused:?}");
        assert_eq!(count(&shop.database, &format!("idempotency_keys where starts_with(key, '{subject}')")).await, 1);
        assert_eq!(count(&shop.database, &format!("purchases where model_id = '{model}'")).await, 1);
    }
}

/// Fifty first purchases of one subject: all go through, and make one user.
async fn one_subject(shop: &Shop, api: &Api) {
    let models: Vec<_> = (0..AT_ONCE).map(|_| shop.wish(Kind::Change).model()).collect();
    let answers = at_once(api, models.iter().map(|model| Wish::purchase("first-seen", &model.to_string(), *model))).await;
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    assert_eq!(count(&shop.database, "users where subject = 'first-seen'").await, 1);
    assert_eq!(count(&shop.database, "purchases join users on users.id = buyer_id where subject = 'first-seen'").await, 50);
}

#[tokio::test]
async fn a_write_that_was_held_by_a_lock_and_commits_after_it_was_sent_again_happens_once() {
    // The function sends it again, or the client does.
    for variables in [&[("DB_ATTEMPT_TIMEOUT_MS", "9000")][..], &[("DB_ATTEMPT_TIMEOUT_MS", "9000"), ("RETRY_MAX_ATTEMPTS", "0")]] {
        let shop = Shop::of(20).await;
        // So patient that it is the test that decides who goes first, and blind for a client that is gone.
        for (name, value) in [("lock_timeout", "20s"), ("statement_timeout", "20s"), ("client_connection_check_interval", "0")] {
            shop.set(name, value).await;
        }
        let counter = Counter::of(&shop.database, variables).await;
        let mut outcomes = Vec::new();
        let mut locker = shop.database.connect_admin().await;
        // A purchase and a publication have their key by then, and wait to refer to their user; a change and a withdrawal wait before.
        for kind in Kind::ALL {
            let warming = shop.wish(kind);
            outcomes.push((warming.clone(), warming.until_acknowledged(&counter.api).await));
            let wish = shop.wish(kind);
            let mut lock = locker.begin().await.unwrap();
            sqlx::raw_sql("select from users for update; select from models for update").execute(&mut *lock).await.unwrap();
            let release = async {
                eventually("the first waits for the lock", async || shop.waiting().await == 1).await;
                counter.proxy.begin(Fault::Reset);
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                counter.proxy.begin(Fault::None);
                eventually("the second waits too", async || shop.waiting().await == 2).await;
                lock.rollback().await.unwrap();
            };
            let (answers, ()) = tokio::join!(wish.until_acknowledged(&counter.api), release);
            assert_eq!(answers[answers.len() - 1].header("idempotency-replayed"), "true", "{kind:?}: the first one had the effect: {answers:?}");
            outcomes.push((wish, answers));
        }
        shop.account(&outcomes).await;
        counter.api.stop().await;
    }
}
