//! PgBouncer, a real one, before a database's server.
//!
//! `.ci/pgbouncer` puts one from 1.21 on and one from before into `target/pgbouncer`. With `THAW_TEST_POOLER=pgbouncer` in the environment
//! (`cargo test-pgbouncer`) every database is reached by way of the first, and tests that need the stand-in for RDS Proxy are left out.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use local::postgres::account;
use local::roles::Roles;
use nix::sys::signal::Signal;
use secrecy::ExposeSecret as _;

use crate::process::free_addresses;
use crate::server::{guard, new_directory, workspace};

/// A program, and whether it can keep track of prepared statements.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    /// 1.21 or later.
    pub can_track: bool,
}

/// What is different from one test to another.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// `max_prepared_statements`, where the program has it.
    pub max_prepared_statements: u32,
    /// `default_pool_size`: connections to the database.
    pub connections: u32,
    /// Clients need no password: PgBouncer else computes SCRAM anew for each, which a restart multiplies.
    pub trust: bool,
}

/// A PgBouncer in transaction mode, ended with the test process at the latest.
#[derive(Debug)]
pub struct PgBouncer {
    address: SocketAddr,
    child: Child,
}

/// Whether all tests go through one.
pub(crate) fn is_wanted() -> bool {
    std::env::var("THAW_TEST_POOLER").is_ok_and(|pooler| pooler == "pgbouncer")
}

/// The programs on this machine, the newer one first. Where they are missing the test that asks has to say so.
#[must_use]
pub fn programs() -> Vec<Program> {
    let there = workspace().root().join("target/pgbouncer");
    let mut programs: Vec<_> =
        ["built/bin/pgbouncer", "distribution/usr/sbin/pgbouncer"].iter().filter_map(|name| program(&there.join(name))).collect();
    programs.sort_by_key(|program| !program.can_track);
    programs
}

fn program(path: &Path) -> Option<Program> {
    let output = Command::new(path).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.strip_prefix("PgBouncer ")?.split(['.', '\n']).map_while(|number| number.parse::<u32>().ok());
    Some(Program { path: path.to_owned(), can_track: (numbers.next()?, numbers.next()?) >= (1, 21) })
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_prepared_statements: 200, connections: 20, trust: true }
    }
}

impl PgBouncer {
    /// Starts one before the server at `upstream`, for these roles.
    pub async fn start(program: &Program, upstream: SocketAddr, roles: &Roles, settings: Settings) -> Self {
        let directory = new_directory();
        let [address] = free_addresses();
        let tracking = if program.can_track { format!("max_prepared_statements = {}\n", settings.max_prepared_statements) } else { String::new() };
        let configuration = format!(
            "[databases]\n* = host={} port={}\n\
             [pgbouncer]\nlisten_addr = {}\nlisten_port = {}\nunix_socket_dir =\nauth_type = {}\nauth_file = {}\n\
             pool_mode = transaction\ndefault_pool_size = {}\nmax_client_conn = 1000\n{tracking}\
             ignore_startup_parameters = extra_float_digits\nserver_login_retry = 1\nquery_wait_timeout = 2\n",
            upstream.ip(),
            upstream.port(),
            address.ip(),
            address.port(),
            if settings.trust { "trust" } else { "scram-sha-256" },
            directory.join("users").display(),
            settings.connections,
        );
        let users = roles.passwords().iter().map(|(role, password)| format!("\"{role}\" \"{}\"\n", password.expose_secret()));
        std::fs::write(directory.join("users"), users.collect::<String>()).unwrap();
        std::fs::write(directory.join("configuration"), configuration).unwrap();
        let mut command = Command::new(&program.path);
        command.arg(directory.join("configuration")).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        command.stderr(std::fs::File::create(directory.join("log")).unwrap());
        // It refuses to run as root.
        if let Some(account) = account::server_account().unwrap() {
            account.apply(&mut command);
        }
        let child = command.spawn().unwrap();
        guard().watch(child.id(), Signal::SIGKILL).unwrap();
        let this = Self { address, child };
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return this;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("PgBouncer does not listen: {}", std::fs::read_to_string(directory.join("log")).unwrap());
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        guard().forget(self.child.id());
    }
}
