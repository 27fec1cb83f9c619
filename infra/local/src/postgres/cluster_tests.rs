//! Against real servers, of the machine's own Postgres (or as `THAW_POSTGRES` says).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::account::{state_root, temporary_directory};
use super::{Binaries, Cluster, Durability, Settings, Shutdown, provide};
use crate::guard::Guard;

/// The server for these tests, searched once.
async fn binaries(guard: &Guard) -> Binaries {
    static FOUND: OnceCell<Binaries> = OnceCell::const_new();
    let find = || async { provide(guard, &state_root().unwrap(), |line| println!("{line}")).await.unwrap() };
    FOUND.get_or_init(find).await.clone()
}

struct Place {
    guard: Guard,
    binaries: Binaries,
    directory: TempDir,
}

impl Place {
    async fn new() -> Self {
        let guard = Guard::start().unwrap();
        let binaries = binaries(&guard).await;
        Self { guard, binaries, directory: temporary_directory("thaw-cluster-").unwrap() }
    }

    async fn cluster(&self) -> anyhow::Result<Cluster> {
        let settings = Settings::new(Durability::Disposable).with(&[("shared_buffers", "16MB")]);
        Cluster::create(&self.guard, &self.binaries, self.directory.path(), settings).await
    }
}

/// What the server answers to a startup message: the type of its first message and the method of authentication.
fn greet(port: u16) -> (char, u32) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let parameters = b"user\0postgres\0database\0postgres\0\0";
    let length = u32::try_from(8 + parameters.len()).unwrap();
    stream.write_all(&[&length.to_be_bytes()[..], &196_608u32.to_be_bytes()[..], parameters].concat()).unwrap();
    let mut answer = [0u8; 9];
    stream.read_exact(&mut answer).unwrap();
    (char::from(answer[0]), u32::from_be_bytes(answer[5..9].try_into().unwrap()))
}

/// `AuthenticationSASL` (PostgreSQL's message formats): the server is there and wants SCRAM.
const WANTS_SCRAM: (char, u32) = ('R', 10);

fn is_gone(pid: u32) -> bool {
    kill(Pid::from_raw(pid.cast_signed()), None) == Err(Errno::ESRCH)
}

#[tokio::test]
async fn a_cluster_starts_restarts_dies_and_starts_again_on_its_port() {
    let place = Place::new().await;
    let mut cluster = place.cluster().await.unwrap();
    assert!(cluster.superuser_url("postgres").is_err() && !cluster.is_running().unwrap());
    cluster.start().await.unwrap();
    let (port, first) = (cluster.port().unwrap(), cluster.pid().unwrap());
    assert_eq!(greet(port), WANTS_SCRAM);
    let url = cluster.superuser_url("a b/c").unwrap();
    assert_eq!(url, format!("postgres://postgres:{}@127.0.0.1:{port}/a%20b%2Fc?sslmode=disable", cluster.password()));
    assert!(!format!("{cluster:?}").contains(cluster.password()));
    assert!(cluster.start().await.unwrap_err().to_string().contains("already runs"));

    for shutdown in [Shutdown::Fast, Shutdown::Immediate] {
        let before = cluster.pid().unwrap();
        cluster.restart(shutdown).await.unwrap();
        assert_eq!(cluster.port(), Some(port), "{shutdown:?}");
        assert_ne!(cluster.pid().unwrap(), before, "{shutdown:?}");
        assert_eq!(greet(port), WANTS_SCRAM, "{shutdown:?}");
    }

    // A session which is still there when its postmaster is killed.
    let session = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    cluster.kill().await.unwrap();
    assert!(cluster.data_directory().join("postmaster.pid").exists(), "a killed server leaves its mark");
    cluster.start().await.unwrap();
    assert_eq!(greet(port), WANTS_SCRAM);
    drop(session);

    // Stopped by SIGSTOP it still ends in an orderly way.
    let last = cluster.pid().unwrap();
    kill(Pid::from_raw(last.cast_signed()), Signal::SIGSTOP).unwrap();
    cluster.stop(Shutdown::Fast).await.unwrap();
    assert!(!cluster.data_directory().join("postmaster.pid").exists(), "an orderly end leaves none");
    assert!(is_gone(first) && is_gone(last) && cluster.pid().is_none());
    cluster.stop(Shutdown::Fast).await.unwrap();
}

#[tokio::test]
async fn a_second_run_finds_the_cluster_and_its_password() {
    let place = Place::new().await;
    let mut cluster = place.cluster().await.unwrap();
    cluster.start().await.unwrap();
    let (password, pid) = (cluster.password().to_owned(), cluster.pid().unwrap());
    assert_eq!(password.len(), 48);

    let mut second = place.cluster().await.unwrap();
    drop(cluster);
    assert!(is_gone(pid), "dropping ends the server");
    second.start().await.unwrap();
    assert_eq!(second.password(), password);

    let mode = |name: &str| place.directory.path().join(name).metadata().unwrap().mode() & 0o777;
    assert_eq!(mode("password"), 0o600);
    assert_eq!(mode("postgres.log"), 0o600);
    assert_eq!(mode("data"), 0o700);
    assert_ne!(second.data_directory().metadata().unwrap().uid(), 0, "root's server runs under another account");
    let log = std::fs::read_to_string(second.log_file()).unwrap();
    assert!(!log.contains(&password));
    let left: Vec<_> = std::fs::read_dir(place.directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "initdb's directory is gone: {left:?}");
}

#[tokio::test]
async fn settings_reach_the_server() {
    let place = Place::new().await;
    let settings = Settings { max_connections: 37, ..Settings::new(Durability::Lasting).with(&[("wal_level", "logical")]) };
    let mut cluster = Cluster::create(&place.guard, &place.binaries, place.directory.path(), settings).await.unwrap();
    cluster.start().await.unwrap();
    // What the server wrote down for standbys, and its command line.
    let options = std::fs::read_to_string(cluster.data_directory().join("postmaster.opts")).unwrap();
    let given: HashMap<&str, &str> = options.split('"').filter_map(|option| option.split_once('=')).collect();
    for (name, value) in
        [("max_connections", "37"), ("wal_level", "logical"), ("fsync", "on"), ("synchronous_commit", "off"), ("listen_addresses", "127.0.0.1")]
    {
        assert_eq!(given.get(name), Some(&value), "{name} in {options}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let place = Place::new().await;
    let settings = Settings::new(Durability::Disposable).with(&[("no_such_setting", "1")]);
    let mut cluster = Cluster::create(&place.guard, &place.binaries, place.directory.path(), settings).await.unwrap();
    let error = cluster.start().await.unwrap_err().to_string();
    assert!(error.starts_with("PostgreSQL did not start") && error.contains("no_such_setting"), "{error}");
    assert!(!cluster.is_running().unwrap());
}

#[tokio::test]
async fn a_restart_waits_for_its_port_to_be_free() {
    let place = Place::new().await;
    let mut cluster = place.cluster().await.unwrap();
    cluster.start().await.unwrap();
    let port = cluster.port().unwrap();
    cluster.stop(Shutdown::Fast).await.unwrap();
    let intruder = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let leave = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(intruder);
    };
    let (started, ()) = tokio::join!(cluster.start(), leave);
    started.unwrap();
    assert_eq!(cluster.port(), Some(port));
}

#[tokio::test]
async fn a_damaged_directory_is_refused_in_words() {
    let place = Place::new().await;
    let data = place.directory.path().join("data");
    let message = async || format!("{:#}", place.cluster().await.unwrap_err());
    std::fs::create_dir(&data).unwrap();
    assert!(message().await.contains("is no PostgreSQL cluster: remove it"), "{}", message().await);
    std::fs::write(data.join("PG_VERSION"), "11\n").unwrap();
    let expected = format!("remove {}, or use PostgreSQL 11", data.canonicalize().unwrap().display());
    assert!(message().await.ends_with(&expected), "{}", message().await);
    std::fs::write(data.join("PG_VERSION"), format!("{}\n", place.binaries.version.major)).unwrap();
    assert!(message().await.contains("cannot read the cluster's password: remove"), "{}", message().await);
    std::fs::write(place.directory.path().join("password"), "\n").unwrap();
    assert!(message().await.contains("password is empty"), "{}", message().await);
}

#[tokio::test]
async fn two_at_once_make_one_cluster_and_one_password() {
    let place = Place::new().await;
    let (one, other) = tokio::join!(place.cluster(), place.cluster());
    let (mut one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.password(), other.password());
    one.start().await.unwrap();
    assert_eq!(greet(one.port().unwrap()), WANTS_SCRAM);
}

const OWNER: &str = "THAW_TEST_CLUSTER_OWNER";

/// What the killed owner of the next test does: it runs in a process of its own.
async fn own_until_killed(directory: &Path) -> ! {
    let guard = Guard::start().unwrap();
    let binaries = binaries(&guard).await;
    let mut cluster = Cluster::create(&guard, &binaries, directory, Settings::new(Durability::Lasting)).await.unwrap();
    cluster.start().await.unwrap();
    println!("\nserver {}", cluster.pid().unwrap());
    std::future::pending().await
}

#[tokio::test]
async fn the_server_of_a_killed_owner_ends_and_its_cluster_starts_again() {
    if let Some(directory) = std::env::var_os(OWNER) {
        own_until_killed(Path::new(&directory)).await;
    }
    let place = Place::new().await;
    let name = "postgres::cluster_tests::the_server_of_a_killed_owner_ends_and_its_cluster_starts_again";
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(OWNER, place.directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid: u32 = BufReader::new(owner.stdout.take().unwrap())
        .lines()
        .find_map(|line| line.unwrap().strip_prefix("server ").map(|pid| pid.parse().unwrap()))
        .expect("the owner says which server it has");
    assert!(!is_gone(pid));
    owner.kill().unwrap();
    owner.wait().unwrap();

    // At once, while the guard is still ending the former server.
    let settings = Settings::new(Durability::Lasting);
    let mut cluster = Cluster::create(&place.guard, &place.binaries, place.directory.path(), settings).await.unwrap();
    cluster.start().await.unwrap();
    assert_ne!(cluster.pid(), Some(pid));
    assert_eq!(greet(cluster.port().unwrap()), WANTS_SCRAM);
}
