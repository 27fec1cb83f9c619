//! Keyed writes of several statements: the whole transaction runs again, or nothing is left of it.

use sqlx::{Connection as _, PgConnection};
use tests::ledger::served;
use tests::{Database, Ledger, eventually};

fn transfer_in(isolation: &str, key: &str, from: &str, to: &str) -> String {
    format!("do=transfer&isolation={isolation}&from={from}&to={to}&key={key}")
}

/// Closes the gate between the two updates of each transfer.
async fn close_gate(admin: &mut PgConnection) {
    sqlx::raw_sql("select pg_advisory_lock(1)").execute(admin).await.unwrap();
}

async fn open_gate(admin: &mut PgConnection) {
    sqlx::raw_sql("select pg_advisory_unlock(1)").execute(admin).await.unwrap();
}

#[tokio::test]
async fn two_writes_in_a_deadlock_are_both_served_and_done_once() {
    let ledger = Ledger::on(Database::fresh().await, &[("deadlock_timeout", "50ms")]).await;
    let mut admin = ledger.database.connect_admin().await;
    close_gate(&mut admin).await;
    let open = async {
        // Each holds the account that the other one needs next.
        eventually("both stand before the gate", async || ledger.waiting().await == 2).await;
        open_gate(&mut admin).await;
    };
    let (there, back) = (transfer_in("read%20committed", "there", "a", "b"), transfer_in("read%20committed", "back", "b", "a"));
    let (one, other, ()) = tokio::join!(ledger.ask(&there), ledger.ask(&back), open);
    let (one, other) = (served(&one), served(&other));
    assert_eq!(one.1 + other.1, 3, "one of them was the deadlock's victim, and ran twice");
    assert_eq!((Some(one.0), Some(other.0)), (ledger.recorded("there").await, ledger.recorded("back").await));
    assert_eq!((ledger.moved().await, ledger.proxy.flows()), (0, 2), "there and back, on the same connections");
    ledger.api.stop().await;
}

#[tokio::test]
async fn a_serialization_failure_runs_the_whole_transaction_again() {
    let ledger = Ledger::fresh().await;
    ledger.transfer("warm").await;
    let mut admin = ledger.database.connect_admin().await;
    for (moved, isolation) in [(2, "repeatable%20read"), (3, "serializable")] {
        close_gate(&mut admin).await;
        let overtake = async {
            eventually("the transaction has its snapshot", async || ledger.waiting().await == 1).await;
            sqlx::raw_sql("update accounts set cents = cents where name = 'b'").execute(&mut admin).await.unwrap();
            open_gate(&mut admin).await;
        };
        let query = transfer_in(isolation, &format!("k{moved}"), "a", "b");
        let (answer, ()) = tokio::join!(ledger.ask(&query), overtake);
        assert_eq!(served(&answer).1, 2, "{isolation}");
        assert_eq!((ledger.moved().await, ledger.proxy.flows()), (moved, 1), "{isolation}, on the same connection");
    }
    ledger.api.stop().await;
}

#[tokio::test]
async fn a_transaction_that_fails_past_the_policy_is_503_and_leaves_nothing_and_its_key_serves_later() {
    let ledger = Ledger::on(Database::fresh().await, &[("lock_timeout", "100ms")]).await;
    ledger.transfer("warm").await;
    let mut admin = ledger.database.connect_admin().await;
    let mut lock = admin.begin().await.unwrap();
    sqlx::raw_sql("select from accounts where name = 'b' for update").execute(&mut *lock).await.unwrap();
    let query = transfer_in("read%20committed", "again", "a", "b");
    let answer = ledger.ask(&query).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{answer:?}");
    let line = ledger.api.logs().into_iter().find(|line| line.text.contains("not served")).expect("the failure is logged");
    assert!(line.text.contains(r#""sqlstate":"55P03""#) && line.text.contains(r#""resends":3"#), "{}", line.text);
    assert_eq!((ledger.recorded("again").await, ledger.moved().await), (None, 1), "nothing is left of it");
    let states: Vec<String> = sqlx::query_scalar("select state from pg_stat_activity where datname = current_database() and usename = 'thaw_app'")
        .fetch_all(&mut *lock)
        .await
        .unwrap();
    assert_eq!(states, ["idle"], "no transaction is left open on the connection, which is kept");
    lock.rollback().await.unwrap();
    let (answer, runs) = served(&ledger.ask(&query).await);
    assert_eq!((Some(answer), runs), (ledger.recorded("again").await, 1));
    assert_eq!((ledger.moved().await, ledger.proxy.flows()), (2, 1));
    ledger.api.stop().await;
}

#[tokio::test]
async fn a_transaction_that_was_left_without_commit_is_never_acknowledged() {
    let ledger = Ledger::fresh().await;
    let answer = ledger.ask(transfer_in("forgotten", "lost", "a", "b")).await;
    assert_eq!((answer.status, &answer.json()["type"]), (500, &"/problems/internal".into()), "{answer:?}");
    assert!(ledger.api.logs().iter().any(|line| line.text.contains("left a transaction without COMMIT")), "{:?}", ledger.api.logs());
    assert_eq!((ledger.recorded("lost").await, ledger.moved().await), (None, 0));
    ledger.api.stop().await;
}
