//! Writes happen once wherever their conversation with the database breaks off: at any byte, before, in and after the commit.
//!
//! `cargo test` tries a sample of the bytes, `cargo test-exactly-once` every one.

use std::time::Instant;

use futures_util::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::{Answer, Counter, Fault, Kind, Shop, Side, Wish, eventually};

type Outcomes = Vec<(Wish, Vec<Answer>)>;

/// Which bytes of a conversation are tried: so many at either end, where the messages are that begin and commit, and each that far apart.
#[derive(Clone, Copy)]
struct Positions {
    first: usize,
    last: usize,
    stride: usize,
}

/// Every byte, or with `THAW_STRIDE=4` in the environment every fourth.
fn every() -> Positions {
    let stride = tests::number_from_environment("THAW_STRIDE", 1);
    Positions { first: 0, last: 0, stride }
}

impl Positions {
    /// How many bytes pass before the break: none, some, all.
    fn of(self, length: usize) -> impl Iterator<Item = usize> {
        (0..=length).filter(move |n| *n < self.first || *n + self.last > length || n.is_multiple_of(self.stride))
    }
}

/// How many cold conversations tell how long they are.
const MEASURED: u32 = 6;
/// How often in a row a conversation may be over before its cut.
const MISSES: u32 = 30;

/// How long the two sides of a conversation are, in bytes.
async fn conversation(counter: &Counter, wish: &Wish) -> [usize; 2] {
    let (client, server) = (counter.proxy.client_bytes(), counter.proxy.server_bytes());
    let answer = wish.send(&counter.api).await;
    assert!(answer.status < 300, "{answer:?}");
    let length = |now: u64, before: u64| usize::try_from(now - before).unwrap();
    [length(counter.proxy.client_bytes(), client), length(counter.proxy.server_bytes(), server)]
}

/// How long they are where the statement is known: one of two sandboxes may have to learn it first.
async fn warm_conversation(shop: &Shop, counter: &Counter, kind: Kind, outcomes: &mut Outcomes) -> [(Side, usize); 2] {
    let mut shortest = [usize::MAX; 2];
    for _ in 0..4 {
        let wish = shop.wish(kind);
        let lengths = conversation(counter, &wish).await;
        shortest = [0, 1].map(|side| lengths[side].min(shortest[side]));
        outcomes.push((wish.clone(), wish.until_acknowledged(&counter.api).await));
    }
    [(Side::Client, shortest[0]), (Side::Server, shortest[1])]
}

/// What the functions may do by themselves: repeat, or leave that to the client.
const REPEATING: [&[(&str, &str)]; 2] = [&[], &[("RETRY_MAX_ATTEMPTS", "0")]];

/// How many runs there were, and how often a client had to send its wish again before it knew.
fn report(what: &str, outcomes: &Outcomes, began: Instant) {
    let sent_again = outcomes.iter().filter(|(_, answers)| answers[0].status >= 300).count();
    println!("{what}: {} runs in {:.0} s; after {sent_again} the client knew nothing yet", outcomes.len(), began.elapsed().as_secs_f64());
}

/// Cuts the conversation of a warm function.
async fn cut_warm(shop: &Shop, variables: &[(&str, &str)], positions: Positions) -> Outcomes {
    let counter = Counter::of(&shop.database, variables).await;
    let mut outcomes = Outcomes::new();
    for kind in Kind::ALL {
        let sides = warm_conversation(shop, &counter, kind, &mut outcomes).await;
        for (side, length) in sides {
            for n in positions.of(length) {
                let (outcome, is_met) = cut(&counter, shop.wish(kind), Fault::CutOnce(side, n)).await;
                assert!(is_met, "byte {n} of the {side:?} is in the way of no {kind:?}");
                outcomes.push(outcome);
            }
        }
    }
    counter.api.stop().await;
    outcomes
}

/// Cuts the conversation of a sandbox that has just begun: signing in, describing the statement, running it.
async fn cut_cold(shop: &Shop, kind: Kind, positions: Positions, share: (usize, usize)) -> Outcomes {
    let counter = Counter::of(&shop.database, &[("DB_WARM_IN_INIT", "false")]).await;
    // The driver signs in with a nonce of random length, so conversations differ in theirs: what the shortest has, every one can be cut at.
    let (mut outcomes, mut shortest, mut longest) = (Outcomes::new(), [usize::MAX; 2], [0; 2]);
    for _ in 0..MEASURED {
        let wish = shop.wish(kind);
        let lengths = conversation(&counter, &wish).await;
        shortest = [0, 1].map(|side| lengths[side].min(shortest[side]));
        longest = [0, 1].map(|side| lengths[side].max(longest[side]));
        outcomes.push((wish.clone(), wish.until_acknowledged(&counter.api).await));
        kill_frozen(&counter, kind).await;
    }
    let all = [Side::Client, Side::Server]
        .into_iter()
        .zip(shortest.into_iter().zip(longest))
        .flat_map(|(side, (shortest, longest))| positions.of(longest).map(move |n| (Fault::CutOnce(side, n), n <= shortest)));
    for (fault, has_to_be_met) in all.skip(share.0).step_by(share.1) {
        let mut is_met = false;
        for _ in 0..MISSES {
            let (outcome, was_met) = cut(&counter, shop.wish(kind), fault).await;
            outcomes.push(outcome);
            kill_frozen(&counter, kind).await;
            is_met = was_met;
            if is_met {
                break;
            }
        }
        assert!(is_met || !has_to_be_met, "{fault:?} is in the way of no {kind:?}");
    }
    counter.api.stop().await;
    outcomes
}

/// So that the next conversation is a cold one.
async fn kill_frozen(counter: &Counter, kind: Kind) {
    let sandbox = counter.api.frozen(kind.function()).await.pid;
    kill(Pid::from_raw(sandbox), Signal::SIGKILL).unwrap();
    eventually("the sandbox is gone", async || counter.api.sandboxes(kind.function()).await.is_empty()).await;
}

/// One wish that is to meet a cut, and is sent once more after its first acknowledgement; and whether it met it.
async fn cut(counter: &Counter, wish: Wish, fault: Fault) -> ((Wish, Vec<Answer>), bool) {
    counter.proxy.begin(fault);
    let mut answers = wish.until_acknowledged(&counter.api).await;
    let is_met = counter.proxy.is_met();
    assert!(answers.iter().all(|answer| answer.status != 500), "{fault:?}: {answers:?}");
    counter.proxy.begin(Fault::None);
    // Where all of an answer has passed, the cut comes only now.
    answers.extend(wish.until_acknowledged(&counter.api).await);
    assert_eq!(answers[answers.len() - 1].header("idempotency-replayed"), "true", "{fault:?}: {answers:?}");
    ((wish, answers), is_met)
}

/// Stops or kills the sandbox in the middle of its conversation, after which the client sends its wish again.
async fn lose(shop: &Shop, signal: Signal, positions: Positions) -> Outcomes {
    let counter = Counter::of(&shop.database, &[]).await;
    let mut outcomes = Outcomes::new();
    for kind in Kind::ALL {
        let sides = warm_conversation(shop, &counter, kind, &mut outcomes).await;
        for (side, length) in sides {
            // After the last byte nothing is held.
            for n in positions.of(length - 1) {
                if signal == Signal::SIGKILL {
                    // The next sandbox has to be warm too.
                    let warming = shop.wish(kind);
                    outcomes.push((warming.clone(), warming.until_acknowledged(&counter.api).await));
                }
                counter.api.all_frozen(kind.function()).await;
                let wish = shop.wish(kind);
                counter.proxy.begin(Fault::HoldOnce(side, n));
                let (first, second) = tokio::join!(wish.send(&counter.api), lose_busy(&counter, &wish, signal));
                counter.proxy.begin(Fault::None);
                let mut answers = vec![first];
                answers.extend(second);
                answers.extend(wish.until_acknowledged(&counter.api).await);
                outcomes.push((wish, answers));
            }
        }
    }
    counter.api.stop().await;
    outcomes
}

/// Sends the signal to the sandbox that is held. One that is stopped goes on once the wish was answered to a client that sent it again.
async fn lose_busy(counter: &Counter, wish: &Wish, signal: Signal) -> Option<Answer> {
    eventually("the conversation is held", async || counter.proxy.is_met()).await;
    let busy = counter.api.busy(wish.kind().function()).await;
    kill(Pid::from_raw(busy), signal).unwrap();
    if signal != Signal::SIGSTOP {
        return None;
    }
    let second = wish.send(&counter.api).await;
    kill(Pid::from_raw(busy), Signal::SIGCONT).unwrap();
    counter.proxy.begin(Fault::None);
    Some(second)
}

#[tokio::test]
async fn a_write_whose_connection_is_cut_at_any_byte_happens_once_and_is_answered_alike() {
    every_write_cut(Positions { first: 3, last: 8, stride: 37 }, Positions { first: 1, last: 1, stride: 101 }).await;
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn every_write_cut_at_every_byte_happens_once_and_is_answered_alike() {
    every_write_cut(every(), Positions { first: 16, last: 16, stride: 3 }).await;
}

async fn every_write_cut(warm: Positions, cold: Positions) {
    let shop = Shop::of(12_000).await;
    let began = Instant::now();
    let outcomes = join_all(REPEATING.map(|variables| cut_warm(&shop, variables, warm))).await.concat();
    report("warm writes, cut", &outcomes, began);
    shop.account(&outcomes).await;
    let began = Instant::now();
    let cold = join_all([0, 1].map(|part| cut_cold(&shop, Kind::Purchase, cold, (part, 2)))).await.concat();
    report("cold purchases, cut", &cold, began);
    shop.account(&[outcomes, cold].concat()).await;
}

#[tokio::test]
async fn a_write_whose_sandbox_is_stopped_or_killed_at_any_byte_happens_once_and_is_answered_alike() {
    every_write_lost(Positions { first: 1, last: 3, stride: 71 }).await;
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn every_write_whose_sandbox_is_stopped_or_killed_at_many_bytes_happens_once_and_is_answered_alike() {
    every_write_lost(Positions { first: 6, last: 16, stride: 7 }).await;
}

async fn every_write_lost(positions: Positions) {
    let shop = Shop::of(2_000).await;
    let began = Instant::now();
    let outcomes = join_all([Signal::SIGSTOP, Signal::SIGKILL].map(|signal| lose(&shop, signal, positions))).await.concat();
    report("warm writes, stopped or killed", &outcomes, began);
    shop.account(&outcomes).await;
}

#[tokio::test]
async fn a_change_without_a_key_whose_connection_is_cut_is_served_and_meets_no_false_412() {
    let shop = Shop::of(200).await;
    let counter = Counter::of(&shop.database, &[]).await;
    let mut admin = shop.database.connect_admin().await;
    for kind in [Kind::Change, Kind::Withdrawal] {
        warm_conversation(&shop, &counter, kind, &mut Outcomes::new()).await;
        let [client, server] = conversation(&counter, &shop.wish(kind).without_key()).await;
        for (side, length) in [(Side::Client, client), (Side::Server, server)] {
            for n in (Positions { first: 1, last: 6, stride: 53 }).of(length) {
                let wish = shop.wish(kind).without_key();
                counter.proxy.begin(Fault::CutOnce(side, n));
                let answer = wish.send(&counter.api).await;
                assert!(counter.proxy.is_met() && answer.status < 300, "{n} of {side:?}: {answer:?}");
                counter.proxy.begin(Fault::None);
                let version: i64 =
                    sqlx::query_scalar("select version from models where id = $1").bind(wish.model()).fetch_one(&mut admin).await.unwrap();
                assert_eq!(version, 2, "{n} of {side:?}: {wish:?}");
                // The small budget of repetitions fills again with successes.
                for _ in 0..4 {
                    assert_eq!(counter.api.get_as("seller", "/api/models/user-models?limit=1").await.status, 200);
                }
            }
        }
    }
    counter.api.stop().await;
}
