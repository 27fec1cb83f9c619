//! Many clients on few database connections, at a rate that does not wait for answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use local::proxy::Proxy;
use sqlx::{ConnectOptions as _, PgConnection};
use tests::{Database, Figures};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::read::{read, through};

/// How many clients stay connected, each a user of the seed.
const CLIENTS: usize = 1_000;
/// How many of them sign in at once.
const SIGNING_IN: usize = 16;
/// How many requests there are of each kind.
const REQUESTS: u32 = 10_000;

/// When requests are sent, whether or not those before have been answered.
struct Schedule {
    name: &'static str,
    due: fn(u32) -> Duration,
}

const SCHEDULES: [Schedule; 2] = [
    Schedule { name: "500 a second", due: |number| Duration::from_millis(2) * number },
    Schedule { name: "1,000 at once, every 2 s", due: |number| Duration::from_secs(2) * (number / 1_000) },
];

type Client = Arc<tokio::sync::Mutex<PgConnection>>;

/// What came of the requests.
#[derive(Default)]
struct Outcome {
    from_sending: Figures,
    /// The timer that sends is 1 to 2 ms late; waiting behind the client's request before shows only here.
    from_due: Figures,
    errors: BTreeMap<String, usize>,
    wrong: usize,
}

/// Prints the table.
pub(crate) async fn measure(database: &Database, proxy: &Proxy, sql: &Arc<str>) -> Result<()> {
    let expected = expected(database, sql).await?;
    let began = Instant::now();
    let options = through(proxy, proxy.address().port());
    let clients: Vec<_> = stream::iter(0..CLIENTS).map(|_| options.connect()).buffered(SIGNING_IN).try_collect().await?;
    let clients: Vec<_> = clients.into_iter().map(|client| Arc::new(tokio::sync::Mutex::new(client))).collect();
    println!("\n{CLIENTS} clients, signed in within {:.1} s; p50 / p90 / p99 / p100 in ms\n", began.elapsed().as_secs_f64());
    println!("| requests | errors | wrong answers | from sending to answer | from due to answer | sessions on the database |");
    println!("|---|---|---|---|---|---|");
    for schedule in SCHEDULES {
        let outcome = run(&schedule, &clients, sql, &expected).await;
        let errors: usize = outcome.errors.values().sum();
        let [sent, due] = [&outcome.from_sending, &outcome.from_due].map(row);
        let sessions = database.app_sessions().await.len();
        println!("| {REQUESTS}, {} | {errors} | {} | {sent} | {due} | {sessions} |", schedule.name, outcome.wrong);
        for (error, count) in &outcome.errors {
            println!("{count} times: {error}");
        }
    }
    Ok(())
}

fn row(figures: &Figures) -> String {
    [50.0, 90.0, 99.0, 100.0].map(|percent| format!("{:.2}", figures.percentile_ms(percent))).join(" / ")
}

async fn run(schedule: &Schedule, clients: &[Client], sql: &Arc<str>, expected: &Arc<Vec<Vec<Uuid>>>) -> Outcome {
    let outcome = Arc::new(Mutex::new(Outcome::default()));
    let mut requests = JoinSet::new();
    let began = Instant::now();
    for number in 0..REQUESTS {
        let due = began + (schedule.due)(number);
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        }
        let user = number as usize % CLIENTS;
        let (client, sql, expected, outcome) = (Arc::clone(&clients[user]), Arc::clone(sql), Arc::clone(expected), Arc::clone(&outcome));
        requests.spawn(async move { request(&client, &sql, user, &expected[user], due, &outcome).await });
        while requests.try_join_next().is_some() {}
    }
    requests.join_all().await;
    std::mem::take(&mut *outcome.lock().unwrap())
}

/// One request.
async fn request(client: &tokio::sync::Mutex<PgConnection>, sql: &str, user: usize, expected: &[Uuid], due: Instant, outcome: &Mutex<Outcome>) {
    let mut client = client.lock().await;
    let sent = Instant::now();
    let result = read(&mut client, sql, &subject(user)).await;
    let mut outcome = outcome.lock().unwrap();
    match result {
        Ok(rows) => {
            outcome.from_sending.add(sent.elapsed());
            outcome.from_due.add(due.elapsed());
            outcome.wrong += usize::from(rows != expected);
        }
        Err(error) => *outcome.errors.entry(error.to_string()).or_default() += 1,
    }
}

/// What each user has to be answered, asked of the database itself.
async fn expected(database: &Database, sql: &str) -> Result<Arc<Vec<Vec<Uuid>>>> {
    let mut connection = database.connect_app().await;
    let mut expected = Vec::new();
    for user in 0..CLIENTS {
        expected.push(read(&mut connection, sql, &subject(user)).await?);
    }
    Ok(Arc::new(expected))
}

fn subject(user: usize) -> String {
    format!("user-{}", user + 1)
}
