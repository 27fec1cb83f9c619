//! The stand-in for RDS Proxy, where one message of a conversation fails, or a client leaves: what the others come to.

use local::wire::{Frame, Target};
use tests::raw_client::{RawClient, bind, errors, execute, kinds, parse, query, sync, values};
use tests::{Api, eventually};

use crate::proxy_wire::stand_in;

fn close(name: &str) -> Frame {
    Target::Statement(name.as_bytes()).frame(b'C')
}

fn terminate() -> Frame {
    Frame::new(b'X', b"")
}

fn data(rows: &str) -> Frame {
    Frame::new(b'd', rows.as_bytes())
}

fn data_ends() -> Frame {
    Frame::new(b'c', b"")
}

fn state(answers: &[Frame]) -> Option<String> {
    errors(answers).first().map(|error| error.sqlstate.clone())
}

/// Waits until nobody has a database connection.
async fn given_back(api: &Api) {
    eventually("the database connection is given back", async || {
        let report = api.proxy().report();
        (report.borrowed, report.idle) == (0, 1)
    })
    .await;
}

#[tokio::test]
async fn a_statement_that_others_prepared_is_not_the_clients_where_an_error_before_skips_its_parse() {
    let (_database, api) = stand_in(1).await;
    let mut other = RawClient::signed_in(api.proxy(), &[]).await;
    other.run(&[parse("o1", "select 1"), sync()]).await;
    let mut client = RawClient::signed_in(api.proxy(), &[]).await;
    // The database knows the text, and skips the message all the same.
    let answers = client.run(&[parse("bad", "selec"), parse("s1", "select 1"), sync()]).await;
    assert_eq!((kinds(&answers).as_str(), state(&answers).as_deref()), ("EZ", Some("42601")));
    assert_eq!(state(&client.run(&[bind("s1"), execute(), sync()]).await).as_deref(), Some("26000"));
    assert_eq!(kinds(&client.run(&[parse("s1", "select 2"), sync()]).await), "1Z", "the name is free");
    assert_eq!(values(&client.run(&[bind("s1"), execute(), sync()]).await), ["2"]);
    assert_eq!(values(&other.run(&[bind("o1"), execute(), sync()]).await), ["1"]);
    api.stop().await;
}

#[tokio::test]
async fn a_name_is_closed_once_the_server_says_so_and_not_where_an_error_before_skips_it() {
    let (_database, api) = stand_in(1).await;
    let mut client = RawClient::signed_in(api.proxy(), &[]).await;
    client.run(&[parse("s1", "select 1"), parse("", "select 3"), sync()]).await;
    let answers = client.run(&[parse("bad", "selec"), close("s1"), parse("s1", "select 2"), parse("", "select 4"), sync()]).await;
    assert_eq!(kinds(&answers), "EZ");
    assert_eq!(values(&client.run(&[bind("s1"), execute(), sync()]).await), ["1"], "neither closed nor prepared anew");
    assert_eq!(values(&client.run(&[bind(""), execute(), sync()]).await), ["3"]);
    let answers = client.run(&[close("s1"), parse("s1", "select 2"), bind("s1"), execute(), sync()]).await;
    assert_eq!((kinds(&answers).as_str(), values(&answers)), ("312DCZ", vec!["2".to_owned()]));
    // A statement that fails by itself takes the unnamed one with it.
    assert_eq!(kinds(&client.run(&[parse("", "selec"), sync()]).await), "EZ");
    assert_eq!(state(&client.run(&[bind(""), execute(), sync()]).await).as_deref(), Some("26000"));
    api.stop().await;
}

#[tokio::test]
async fn batches_that_are_sent_at_once_are_each_understood_after_the_one_before() {
    let (_database, api) = stand_in(1).await;
    let mut client = RawClient::signed_in(api.proxy(), &[]).await;
    client.run(&[parse("s1", "select 1"), sync()]).await;
    let batches = [
        // Fails, and with it everything up to the Sync, also a simple query.
        &[parse("bad", "selec"), close("s1"), parse("s2", "select 2"), query("select 0"), sync()][..],
        &[bind("s1"), execute(), sync()],
        &[bind("s2"), execute(), sync()],
        &[parse("s3", "select 2"), bind("s3"), execute(), sync()],
        &[close("s1"), sync()],
        &[bind("s1"), execute(), sync()],
        &[parse("s1", "select 4"), sync()],
        &[bind("s1"), execute(), sync()],
    ];
    client.send(&batches.concat()).await;
    let mut seen = Vec::new();
    for _ in batches {
        let answers = client.until_ready().await;
        seen.push((kinds(&answers), values(&answers).concat() + &state(&answers).unwrap_or_default()));
    }
    let expected = [("EZ", "42601"), ("2DCZ", "1"), ("EZ", "26000"), ("12DCZ", "2"), ("3Z", ""), ("EZ", "26000"), ("1Z", ""), ("2DCZ", "4")];
    assert_eq!(seen, expected.map(|(kinds, said)| (kinds.to_owned(), said.to_owned())));
    given_back(&api).await;
    api.stop().await;
}

#[tokio::test]
async fn what_was_asked_before_terminate_is_done_also_where_both_come_at_once() {
    let (database, api) = stand_in(1).await;
    let mut admin = database.connect_admin().await;
    sqlx::raw_sql("create table notes (note text); grant all on notes to thaw_app").execute(&mut admin).await.unwrap();
    let asked = [
        vec![query("insert into notes select 'simple' from pg_sleep(0.2)")],
        vec![parse("", "insert into notes select 'extended' from pg_sleep(0.2)"), bind(""), execute(), sync()],
        vec![query("insert into notes values ('one')"), query("insert into notes values ('two')")],
        // Never committed.
        vec![parse("", "insert into notes values ('without Sync')"), bind(""), execute()],
        vec![query("begin"), query("insert into notes values ('in a transaction')")],
        vec![query("copy notes from stdin"), data("without an end\n")],
        vec![query("copy notes from stdin"), data("copied\n"), data_ends()],
        // More rows than fit into any buffer, and nobody reads them.
        vec![query("insert into notes values ('much'); select repeat('x', 1000000) from generate_series(1, 20)")],
    ];
    for mut frames in asked {
        let mut client = RawClient::signed_in(api.proxy(), &[]).await;
        frames.push(terminate());
        client.send(&frames).await;
        drop(client);
    }
    eventually("every client is gone", async || api.proxy().report().clients == 0).await;
    let notes: Vec<String> = sqlx::query_scalar("select note from notes order by note").fetch_all(&mut admin).await.unwrap();
    assert_eq!(notes, ["copied", "extended", "much", "one", "simple", "two"]);
    api.stop().await;
}

#[tokio::test]
async fn a_copy_by_the_extended_protocol_ignores_sync_until_its_data_ends() {
    let (database, api) = stand_in(1).await;
    let mut admin = database.connect_admin().await;
    sqlx::raw_sql("create table numbers (number int); grant all on numbers to thaw_app").execute(&mut admin).await.unwrap();
    let copy = "copy numbers from stdin";
    let mut client = RawClient::signed_in(api.proxy(), &[]).await;
    let mut other = RawClient::signed_in(api.proxy(), &[]).await;

    // As drivers do who do not look at the statement: Sync comes with Execute, and does nothing.
    client.send(&[parse("", copy), bind(""), execute(), sync()]).await;
    for expected in [b'1', b'2', b'G'] {
        assert_eq!(client.next().await.kind(), expected);
    }
    client.send(&[data("1\n"), sync(), data("2\n"), Frame::new(b'H', b""), data_ends(), sync()]).await;
    assert_eq!(kinds(&client.until_ready().await), "CZ");
    given_back(&api).await;
    assert_eq!(values(&other.query("select count(*) from numbers").await), ["2"]);

    // All at once.
    let frames = [parse("", copy), bind(""), execute(), data("3\n"), data_ends(), sync(), bind(""), execute(), data("4\n"), data_ends(), sync()];
    client.send(&frames).await;
    assert_eq!((kinds(&client.until_ready().await), kinds(&client.until_ready().await)), ("12GCZ".to_owned(), "2GCZ".to_owned()));
    given_back(&api).await;

    // Data that is wrong: everything is skipped to the Sync behind it.
    let answers = client.run(&[parse("", copy), bind(""), execute(), data("x\n"), data_ends(), sync()]).await;
    assert_eq!((kinds(&answers).as_str(), state(&answers).as_deref()), ("12GEZ", Some("22P02")));
    // The same, and the client ends it itself.
    let answers = client.run(&[parse("", copy), bind(""), execute(), Frame::new(b'f', b"no more\0"), sync()]).await;
    assert_eq!((kinds(&answers).as_str(), state(&answers).as_deref()), ("12GEZ", Some("57014")));
    given_back(&api).await;

    // By simple queries, two in one.
    let answers = client.run(&[query(&format!("{copy}; {copy}")), data("5\n"), data_ends(), data("6\n"), data_ends()]).await;
    assert_eq!(kinds(&answers), "GCGCZ");
    let answers = client.run(&[query(copy), sync(), data("x\n"), data_ends()]).await;
    assert_eq!(kinds(&answers), "GEZ");
    given_back(&api).await;
    assert_eq!(values(&other.query("select string_agg(number::text, ',' order by number) from numbers").await), ["1,2,3,4,5,6"]);
    api.stop().await;
}

#[tokio::test]
async fn a_client_with_many_statements_in_separate_exchanges_keeps_them_and_the_database_a_bounded_number() {
    const STATEMENTS: usize = 1_200;
    let (_database, api) = stand_in(1).await;
    let mut client = RawClient::signed_in(api.proxy(), &[]).await;
    for number in 0..STATEMENTS {
        assert_eq!(kinds(&client.run(&[parse(&format!("s{number}"), &format!("select {number}")), sync()]).await), "1Z");
    }
    for number in (0..STATEMENTS).chain((0..STATEMENTS).rev().step_by(7)) {
        let answers = client.run(&[bind(&format!("s{number}")), execute(), sync()]).await;
        assert_eq!((kinds(&answers).as_str(), values(&answers)), ("2DCZ", vec![number.to_string()]));
    }
    let kept = values(&client.query("select count(*) from pg_prepared_statements").await)[0].parse::<usize>().unwrap();
    assert!((1..=500).contains(&kept), "{kept}");
    // In one exchange more are needed at once; the next makes room again.
    let many: Vec<Frame> = (0..700).flat_map(|number| [bind(&format!("s{number}")), execute()]).chain([sync()]).collect();
    assert_eq!(values(&client.run(&many).await).len(), 700);
    client.run(&[parse("last", "select 'last'"), sync()]).await;
    let kept = values(&client.query("select count(*) from pg_prepared_statements").await)[0].parse::<usize>().unwrap();
    assert!((1..=500).contains(&kept), "{kept}");
    api.stop().await;
}

#[tokio::test]
async fn more_statements_than_a_client_may_keep_are_a_clear_error_to_it_alone() {
    let (_database, api) = stand_in(1).await;
    let mut other = RawClient::signed_in(api.proxy(), &[]).await;
    let mut client = RawClient::signed_in(api.proxy(), &[]).await;
    let long = "x".repeat(9_000_000);
    for number in 0..3 {
        client.run(&[parse(&format!("s{number}"), &format!("select length('{number}{long}')")), sync()]).await;
    }
    let answers = client.run(&[parse("s3", &format!("select length('3{long}')")), sync()]).await;
    assert_eq!(errors(&answers)[0].message, "this client keeps too many prepared statements");
    assert!(client.is_closed().await);
    assert_eq!(values(&other.query("select 7").await), ["7"]);
    api.stop().await;
}
