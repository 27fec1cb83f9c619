//! What the stand-in adds to a warm read.

use std::time::Instant;

use anyhow::Result;
use local::proxy::Proxy;
use sqlx::postgres::PgSslMode;
use sqlx::{ConnectOptions as _, PgConnection};
use tests::{Database, FaultProxy, Figures, ServerCertificate};

use crate::read::{read, through};

/// How often each way is measured.
const READS: usize = 5_000;
/// Before that: the stand-in's connections have prepared the statement, and the server has planned it for good.
const WARMING: usize = 200;

/// Prints the table. `forwarder` leads to the database and passes bytes on, `counter` leads to the stand-in.
pub(crate) async fn measure(
    database: &Database,
    certificate: &ServerCertificate,
    proxy: &Proxy,
    forwarder: &FaultProxy,
    counter: &FaultProxy,
    sql: &str,
) -> Result<()> {
    let plain = database.app().disable_statement_logging();
    let encrypted = plain.clone().ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(certificate.authority());
    let ways = [
        ("database, plain text", plain.clone()),
        ("database, TLS", encrypted.clone()),
        ("database, TLS, by a forwarder of bytes", encrypted.port(forwarder.address().port())),
        ("stand-in, TLS and IAM", through(proxy, proxy.address().port())),
    ];
    let mut connections = Vec::new();
    for (name, options) in &ways {
        connections.push((*name, options.connect().await?, Figures::default()));
    }
    for round in 0..WARMING + READS {
        for (_, connection, figures) in &mut connections {
            let began = Instant::now();
            read(connection, sql, "user-1").await?;
            if round >= WARMING {
                figures.add(began.elapsed());
            }
        }
    }
    println!("A warm read of {READS}, one at a time, in ms; the ways take turns\n");
    println!("| way | p50 | p90 | p99 | p50 over TLS |");
    println!("|---|---|---|---|---|");
    let floor_ms = connections[1].2.percentile_ms(50.0);
    for (name, _, figures) in &connections {
        let [p50, p90, p99] = [50.0, 90.0, 99.0].map(|percent| figures.percentile_ms(percent));
        println!("| {name} | {p50:.3} | {p90:.3} | {p99:.3} | {:+.3} |", p50 - floor_ms);
    }
    let mut counted = through(proxy, counter.address().port()).connect().await?;
    println!("\nRound trips between client and stand-in: {}", round_trips(&mut counted, counter, sql).await?);
    Ok(())
}

/// Of a hundred warm reads, as a mean.
async fn round_trips(connection: &mut PgConnection, counter: &FaultProxy, sql: &str) -> Result<String> {
    read(connection, sql, "user-1").await?;
    let before = counter.round_trips();
    for _ in 0..100 {
        read(connection, sql, "user-1").await?;
    }
    Ok(format!("{} in 100 warm reads", counter.round_trips() - before))
}
