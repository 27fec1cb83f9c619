//! The stand-in for RDS Proxy answers whatever is asked as Postgres itself does.

use fastrand::Rng;
use local::wire::{Frame, Target};
use tests::eventually;
use tests::raw_client::{RawClient, bind, errors, execute, kinds, parse, query, sync, values};

use crate::proxy_wire::stand_in;

const NAMES: [&str; 4] = ["", "a", "b", "c"];
const TEXTS: [&str; 9] = [
    "select 1",
    "select 1",
    "select 'two'",
    "select 1 / (select 0)",
    "selec",
    "insert into numbers values (7) returning number",
    "begin",
    "commit",
    "rollback",
];
const ROUNDS: usize = 400;

/// A batch of messages at random, up to its Sync.
fn batch(random: &mut Rng) -> Vec<Frame> {
    let mut frames = Vec::new();
    for _ in 0..random.usize(1..6) {
        let (name, text) = (*random.choice(NAMES.iter()).unwrap(), *random.choice(TEXTS.iter()).unwrap());
        match random.u8(0..12) {
            // Where a name is taken and the text is wrong, which error comes first may differ in a transaction that has failed.
            0..3 => frames.push(parse(if text == "selec" { "wrong" } else { name }, text)),
            3 | 4 => frames.push(bind(name)),
            5 | 6 => frames.extend([bind(name), execute()]),
            7 => frames.push(Target::Statement(name.as_bytes()).frame(random.choice(*b"CD").unwrap())),
            8 => frames.push(Target::Portal(b"").frame(random.choice(*b"CD").unwrap())),
            9 => frames.push(query(text)),
            10 => frames.push(Frame::new(b'H', b"")),
            _ => {
                // Under a name that is used for nothing else: a server in a COPY ends a session that sends anything but data.
                frames.extend([parse("copy", "copy numbers from stdin"), bind("copy"), execute()]);
                frames.extend(random.bool().then(sync));
                frames.extend([Frame::new(b'd', if random.bool() { b"1\n" } else { b"x\n" }), Frame::new(b'c', b"")]);
                frames.push(Target::Statement(b"copy").frame(b'C'));
            }
        }
    }
    frames.push(sync());
    frames
}

/// What is asked, and after it the end of a transaction and a mark; all answers up to that.
async fn ask(client: &mut RawClient, frames: &[Frame], mark: &str) -> Vec<(String, Vec<String>, Vec<String>)> {
    client.send(&[frames, &[query("rollback"), query(&format!("select '{mark}'"))]].concat()).await;
    let mut answers = Vec::new();
    loop {
        let answer = client.until_ready().await;
        assert_eq!(answer.last().map(Frame::kind), Some(b'Z'), "{:?} {:?}", errors(&answer), answers);
        let states = errors(&answer).into_iter().map(|error| error.sqlstate).collect();
        answers.push((kinds(&answer), values(&answer), states));
        if values(&answer) == [mark] {
            return answers;
        }
    }
}

/// The seed is fixed, so a failure comes again; another finds other conversations.
#[tokio::test]
async fn batches_at_random_are_answered_as_by_the_database_itself() {
    let seed = 20_261_123;
    let mut random = Rng::with_seed(seed);
    let (database, api) = stand_in(2).await;
    let mut admin = database.connect_admin().await;
    sqlx::raw_sql("create table numbers (number int); grant all on numbers to thaw_app").execute(&mut admin).await.unwrap();
    let mut pairs = Vec::new();
    for _ in 0..3 {
        pairs.push((RawClient::direct(&database).await, RawClient::signed_in(api.proxy(), &[]).await));
    }
    for round in 0..ROUNDS {
        // Batches one by one, or several at once, from clients in turn.
        let frames: Vec<Frame> = (0..random.usize(1..4)).flat_map(|_| batch(&mut random)).collect();
        let (direct, through) = &mut pairs[random.usize(0..3)];
        let mark = format!("{round}");
        let expected = ask(direct, &frames, &mark).await;
        let sent: Vec<String> = frames.iter().map(|frame| format!("{} {}", char::from(frame.kind()), frame.body().escape_ascii())).collect();
        assert_eq!(ask(through, &frames, &mark).await, expected, "seed {seed}, round {round}: {sent:#?}");
        eventually(&format!("no database connection is kept, with seed {seed}, after {sent:?}"), async || api.proxy().report().borrowed == 0).await;
    }
    api.stop().await;
}
