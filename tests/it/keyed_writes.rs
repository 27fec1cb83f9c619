//! A write takes effect once under its key, whatever becomes of its connection: proved with a function that moves cents.

use std::time::Duration;

use sqlx::Connection as _;
use tests::ledger::{served, transfer};
use tests::{Fault, Ledger, eventually};

#[tokio::test]
async fn a_warm_keyed_write_costs_one_round_trip_and_its_repetition_one_more() {
    let ledger = Ledger::fresh().await;
    let (first, _) = ledger.transfer("k0").await;
    // The statement that reads an answer again is new to the connection once.
    assert_eq!(ledger.transfer("k0").await.0, first);
    for key in ["k1", "k2", "k3"] {
        let before = ledger.proxy.round_trips();
        let (answer, runs) = ledger.transfer(key).await;
        assert_eq!((ledger.proxy.round_trips() - before, runs), (1, 1), "{key}");
        assert_eq!(ledger.transfer(key).await, (answer, 1), "the first answer");
        assert_eq!(ledger.proxy.round_trips() - before, 3, "{key} again");
    }
    assert_eq!((ledger.moved().await, ledger.proxy.flows()), (4, 1));
    ledger.api.stop().await;
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_after_the_commit_is_done_once() {
    let ledger = Ledger::fresh().await;
    ledger.transfer("warm").await;
    let faults = [Fault::CutAfter(1), Fault::Says("08006"), Fault::Says("57P01"), Fault::Says("40003"), Fault::Says("08007"), Fault::ServerSilence];
    for (moved, fault) in (2..).zip(faults) {
        let key = format!("k{moved}");
        ledger.proxy.begin(fault);
        let mend = async {
            eventually("the write is in", async || ledger.recorded(&key).await.is_some()).await;
            // The answer has to meet the fault too.
            tokio::time::sleep(Duration::from_millis(30)).await;
            ledger.proxy.begin(Fault::None);
        };
        let (answer, ()) = tokio::join!(ledger.ask(transfer(&key)), mend);
        let (answer, runs) = served(&answer);
        assert_eq!((Some(answer), ledger.moved().await), (ledger.recorded(&key).await, moved), "{fault:?}");
        assert_eq!(runs, 2, "{fault:?}");
        // The small budget of repetitions fills again with successes.
        for _ in 0..2 {
            ledger.ask("do=where").await;
        }
    }
    ledger.api.stop().await;
}

#[tokio::test]
async fn a_write_that_commits_after_it_was_sent_again_is_done_once() {
    let ledger = Ledger::fresh().await;
    ledger.transfer("warm").await;
    let mut locker = ledger.database.connect_admin().await;
    let mut lock = locker.begin().await.unwrap();
    sqlx::raw_sql("select from accounts where name = 'a' for update").execute(&mut *lock).await.unwrap();
    let late = async {
        eventually("the first has its key and waits for the account", async || ledger.waiting().await == 1).await;
        ledger.proxy.begin(Fault::Reset);
        tokio::time::sleep(Duration::from_millis(50)).await;
        ledger.proxy.begin(Fault::None);
        eventually("the second waits for the first", async || ledger.waiting().await == 2).await;
        assert_eq!(ledger.recorded("late").await, None, "an absent row says nothing");
        lock.rollback().await.unwrap();
    };
    let (answer, ()) = tokio::join!(ledger.ask(transfer("late")), late);
    let (answer, runs) = served(&answer);
    assert_eq!((Some(answer), runs), (ledger.recorded("late").await, 2));
    assert_eq!(ledger.moved().await, 2);
    ledger.api.stop().await;
}

#[tokio::test]
async fn one_wish_from_two_sandboxes_at_once_is_done_once_and_both_are_told() {
    let ledger = Ledger::fresh().await;
    ledger.transfer("warm").await;
    let mut locker = ledger.database.connect_admin().await;
    let mut lock = locker.begin().await.unwrap();
    sqlx::raw_sql("select from accounts where name = 'a' for update").execute(&mut *lock).await.unwrap();
    let release = async {
        eventually("both are under way", async || ledger.waiting().await == 2).await;
        lock.rollback().await.unwrap();
    };
    let (one, other, ()) = tokio::join!(ledger.ask(transfer("both")), ledger.ask(transfer("both")), release);
    assert_eq!(served(&one).0, served(&other).0);
    assert_eq!(ledger.moved().await, 2);
    ledger.api.stop().await;
}

#[tokio::test]
async fn the_key_of_another_principal_is_another_key() {
    let ledger = Ledger::fresh().await;
    let path = format!("/api/user/purchased-models?{}", transfer("same"));
    let (one, other) = (ledger.api.get_as("user-1", &path).await, ledger.api.get_as("user-2", &path).await);
    assert_ne!(served(&one).0, served(&other).0);
    assert_eq!(ledger.moved().await, 2);
    let refused = ledger.ask(transfer("two%20words")).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.body.contains("must be 1 to 255 visible ASCII characters"), "{}", refused.body);
    ledger.api.stop().await;
}

#[tokio::test]
async fn a_session_whose_statements_were_thrown_away_or_taken_is_left_and_the_request_served() {
    let ledger = Ledger::fresh().await;
    let spoil = async |sql: &str| {
        let flows = ledger.proxy.flows();
        let answer = ledger.ask(format!("do=script&sql={sql}")).await;
        assert_eq!((answer.status, ledger.proxy.flows()), (200, flows), "{answer:?}");
    };
    ledger.transfer("k1").await;
    spoil("deallocate all").await;
    assert_eq!((ledger.transfer("k2").await.1, ledger.proxy.flows()), (2, 2), "26000: the statement is gone");
    // The name that the driver gives to the second statement of a session.
    spoil("prepare sqlx_s_2 as select 1").await;
    assert_eq!((ledger.is_standby().await, ledger.proxy.flows()), ((false, 2), 3), "42P05: the name is taken");
    assert_eq!(ledger.moved().await, 2);
    ledger.api.stop().await;
}
