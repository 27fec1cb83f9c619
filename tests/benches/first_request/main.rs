//! What connecting during init (`DB_WARM_IN_INIT`) saves the first request at the processor share of a function with 128 MB, and what it
//! costs init. `cargo bench-first-request`, as root, on Linux: the share is set through a control group, which holds nothing back during
//! init, as Lambda does.
//!
//! The function is the release binary, the server a real one on this machine, so a round trip costs next to nothing: what is left is
//! processor time. Variants take turns, so that what else the machine does meets all of them alike.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod cgroup;
mod sandboxes;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use local::proxy::{self, Proxy, Upstream};
use tests::{Cluster, Database, Fault, FaultProxy, Figures, ServerCertificate};

use cgroup::Quota;
use sandboxes::{Run, Sandboxes, Sessions, Situation, Took};

/// 128 MB of the 1,769 MB at which Lambda gives one whole processor, 7 %, in periods of 20 ms.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const SMALL: Quota = Quota { quota_us: 1_400, period_us: 20_000 };
/// How many sandboxes of each variant.
const RUNS: usize = 50;
/// How many where the database is down.
const RUNS_DOWN: usize = 5;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let sandboxes = Sandboxes::new().await?;
    let certificate = ServerCertificate::generate();
    let mut settings: Vec<(&str, String)> = certificate.settings().into();
    // Functions resolve a name, as they do in AWS.
    settings.push(("listen_addresses", "localhost".to_owned()));
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let cluster = Cluster::with(&settings).await;
    let (database, shared) = (cluster.seeded().await, cluster.seeded().await);
    let directory = tempfile::tempdir()?;
    let upstream = Upstream::new(&shared.roles())?;
    let proxy = Proxy::start(upstream, proxy::Settings::default(), Arc::new(|_| ()), directory.path()).await?;
    up(&sandboxes, &sign_ins(&database, &certificate, &proxy)).await?;
    down(&sandboxes, &database).await
}

/// A way to sign in.
struct SignIn<'a> {
    name: &'static str,
    environment: BTreeMap<String, String>,
    sessions: Sessions<'a>,
}

/// The ways to sign in.
fn sign_ins<'a>(database: &'a Database, certificate: &ServerCertificate, proxy: &'a Proxy) -> [SignIn<'a>; 3] {
    let plain = database.app_url().replace("127.0.0.1", "localhost");
    let verified = plain.replace("sslmode=disable", "sslmode=verify-full");
    assert_ne!(plain, verified);
    let authority = certificate.authority().display().to_string();
    let mut iam = proxy.environment();
    iam.extend(variables(&[("DB_HOST", "localhost"), ("DB_USER", "thaw_app")]));
    let sessions = Sessions::Database(database);
    [
        SignIn { name: "SCRAM, plain text", environment: variables(&[("DATABASE_URL", &plain)]), sessions },
        SignIn { name: "SCRAM over TLS", environment: variables(&[("DATABASE_URL", &verified), ("DB_CA_FILE", &authority)]), sessions },
        SignIn { name: "IAM over TLS, by the stand-in", environment: iam, sessions: Sessions::StandIn(proxy) },
    ]
}

fn variables(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The table of the requests.
async fn up(sandboxes: &Sandboxes, sign_ins: &[SignIn<'_>]) -> Result<()> {
    let mut rows: BTreeMap<(usize, usize, bool), Vec<Run>> = BTreeMap::new();
    let shares = [("7 % (128 MB)", Some(SMALL)), ("all", None)];
    for run in 0..=RUNS {
        for (share, (_, quota)) in shares.iter().enumerate() {
            for (index, sign_in) in sign_ins.iter().enumerate() {
                for warm in [false, true] {
                    let situation = Situation { sessions: sign_in.sessions, environment: &sign_in.environment, warm, quota: *quota };
                    let failed = || format!("{}, DB_WARM_IN_INIT={warm}", sign_in.name);
                    let measured = sandboxes.run(situation, usize::from(warm), || ()).await.with_context(failed)?;
                    // The first round fills the caches of the disk and of the server.
                    if run > 0 {
                        rows.entry((share, index, warm)).or_default().push(measured);
                    }
                }
            }
        }
        eprint!("\r{run} of {RUNS} rounds");
    }
    eprintln!();
    println!("{RUNS} sandboxes of each kind, {}; p50 / p90 in ms, of which processor time (p50)\n", machine());
    println!("| processor after init | sign-in | DB_WARM_IN_INIT | init | first request | both | second request |");
    println!("|---|---|---|---|---|---|---|");
    for ((share, sign_in, warm), runs) in rows {
        let cells = [column(&runs, |run| run.init), column(&runs, |run| run.first), column(&runs, Run::cold), column(&runs, |run| run.second)];
        println!("| {} | {} | {warm} | {} |", shares[share].0, sign_ins[sign_in].name, cells.join(" | "));
    }
    Ok(())
}

/// The table of init without a database. The first request finds it again: init did not fail.
async fn down(sandboxes: &Sandboxes, database: &Database) -> Result<()> {
    let proxy = FaultProxy::to(database.address()).await;
    let environment = variables(&[("DATABASE_URL", &database.app_url_at(proxy.address()))]);
    println!("\nThe database is down during init and back for the first request; {RUNS_DOWN} sandboxes of each kind; p50 / p100 in ms\n");
    println!("| database | DB_WARM_IN_INIT | init | first request |");
    println!("|---|---|---|---|");
    for (name, fault) in [("turns connections away", Fault::Reset), ("silent", Fault::Silence)] {
        for warm in [false, true] {
            let situation = Situation { sessions: Sessions::Database(database), environment: &environment, warm, quota: Some(SMALL) };
            let (mut init, mut first) = (Figures::default(), Figures::default());
            for _ in 0..RUNS_DOWN {
                proxy.begin(fault);
                let run =
                    sandboxes.run(situation, 0, || proxy.begin(Fault::None)).await.with_context(|| format!("{name}, DB_WARM_IN_INIT={warm}"))?;
                init.add(run.init.wall);
                first.add(run.first.wall);
            }
            let cell = |figures: &Figures| format!("{:.1} / {:.1}", figures.percentile_ms(50.0), figures.percentile_ms(100.0));
            println!("| {name} | {warm} | {} | {} |", cell(&init), cell(&first));
        }
    }
    Ok(())
}

fn column(runs: &[Run], of: impl Fn(&Run) -> Took) -> String {
    let wall: Figures = runs.iter().map(|run| of(run).wall).collect();
    let processor: Figures = runs.iter().map(|run| of(run).processor).collect();
    format!("{:.1} / {:.1} ({:.1})", wall.percentile_ms(50.0), wall.percentile_ms(90.0), processor.percentile_ms(50.0))
}

/// What the figures depend on.
fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!("{processors} processors, load average {load}")
}
