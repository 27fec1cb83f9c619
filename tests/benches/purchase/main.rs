//! What a purchase that happens once costs beside a bare insert. `cargo bench-purchase`.
//!
//! The function is its release binary in the local cloud, frozen between its requests, and its time is the one that it logs: from the event
//! to the answer, without the gateway. The bare insert and the function's own statement go by tokio-postgres, on one connection of this
//! process. All three use the same server, in plain text, and take turns; all statements are prepared.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod bare;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tests::{Api, BUYER, Figures, Kind, Options, Shop, Wish, release_executable};

/// How often each way is measured.
const PURCHASES: usize = 3_000;
/// Before that: the server has planned the statements for good, and the function has grown what it grows.
const WARMING: usize = 200;

const FUNCTION: &str = "purchased-models";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let shop = Shop::of(3 * (WARMING + PURCHASES)).await;
    let mut options = Options::direct();
    options.executables.insert(FUNCTION.to_owned(), release_executable(FUNCTION).await);
    let api = Api::with(&shop.database, options).await;
    let bare = bare::Bare::connect(&shop).await?;
    let model = || shop.wish(Kind::Change).model();
    let [mut inserts, mut statements, mut requests] = [Figures::default(), Figures::default(), Figures::default()];
    for number in 0..WARMING + PURCHASES {
        let (one, two, three) = (model(), model(), model());
        let began = Instant::now();
        bare.insert(one).await?;
        let inserted = began.elapsed();
        let began = Instant::now();
        bare.purchase(&format!("statement-{number}"), two).await?;
        let purchased = began.elapsed();
        let began = Instant::now();
        let answer = Wish::purchase(BUYER, &format!("function-{number}"), three).send(&api).await;
        let answered = began.elapsed();
        ensure!(answer.status == 201, "{answer:?}");
        if number >= WARMING {
            inserts.add(inserted);
            statements.add(purchased);
            requests.add(answered);
        }
    }
    let served: Figures = served(&api)?.into_iter().skip(WARMING).collect();
    ensure!(served.count() == PURCHASES && api.sandboxes(FUNCTION).await.len() == 1, "not every request was served by the one sandbox");
    println!("{PURCHASES} purchases each way, by turns, in ms\n");
    println!("| way | p50 | p90 | p99 | p50 over the insert |");
    println!("|---|---|---|---|---|");
    for (way, figures) in [
        ("the insert alone, by tokio-postgres", &inserts),
        ("the function's statement, by tokio-postgres", &statements),
        ("the function, from event to answer", &served),
        ("the request, through the local gateway", &requests),
    ] {
        let [p50, p90, p99] = [50.0, 90.0, 99.0].map(|percent| figures.percentile_ms(percent));
        println!("| {way} | {p50:.3} | {p90:.3} | {p99:.3} | {:+.3} |", p50 - inserts.percentile_ms(50.0));
    }
    api.stop().await;
    Ok(())
}

/// How long the function took for each request, as it says.
fn served(api: &Api) -> Result<Vec<Duration>> {
    let lines = api.logs().into_iter().filter(|line| line.text.contains("\"served\""));
    lines
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line.text)?;
            Ok(Duration::from_secs_f64(line["duration_ms"].as_f64().context("a served request says how long it took")? / 1e3))
        })
        .collect()
}
