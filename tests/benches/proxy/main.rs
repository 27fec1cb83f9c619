//! What the stand-in for RDS Proxy costs a warm read, and whether few database connections carry many clients. `cargo bench-proxy`.
//!
//! The stand-in runs in this process, in threads of its own, as in `cargo dev`. The figures are those of the stand-in; they say nothing
//! about RDS Proxy.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod latency;
mod load;
mod read;

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use local::proxy::{Proxy, Settings, Upstream};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tests::{Cluster, FaultProxy, ServerCertificate};

/// Both ends of a thousand connections, and the rest.
const OPEN_FILES: u64 = 4_096;

fn main() -> Result<()> {
    allow_open_files()?;
    let clients = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stand_in = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    clients.block_on(async {
        let certificate = ServerCertificate::generate();
        let settings = certificate.settings();
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let cluster = Cluster::with(&settings).await;
        let database = cluster.seeded().await;
        let upstream = Upstream::new(&database.roles())?;
        let directory = tempfile::tempdir()?;
        let (folder, address) = (directory.path().to_owned(), database.address());
        let (proxy, forwarder, counter) = stand_in
            .spawn(async move {
                let proxy = Proxy::start(upstream, Settings::default(), Arc::new(|_| ()), &folder).await?;
                let (forwarder, counter) = (FaultProxy::to(address).await, FaultProxy::to(proxy.address()).await);
                anyhow::Ok((proxy, forwarder, counter))
            })
            .await??;
        let sql: Arc<str> = read::statement()?.into();
        latency::measure(&database, &certificate, &proxy, &forwarder, &counter, &sql).await?;
        load::measure(&database, &proxy, &sql).await
    })
}

/// Many systems allow a process 1,024 open files at first.
fn allow_open_files() -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of open files")?;
    ensure!(hard >= OPEN_FILES, "this system allows {hard} open files, and the benchmark needs {OPEN_FILES}: raise the limit (ulimit -Hn)");
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(OPEN_FILES), hard).context("cannot raise the limit of open files")
}
