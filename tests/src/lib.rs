//! The harness: real Postgres, real function binaries, the local cloud.
//!
//! - [`Database`]: a database of the test's own, copied from a migrated template to which nobody stays connected.
//! - [`Cluster`]: a cluster of the test's own, for what is cluster-wide: roles, passwords, restarts, the connection limit. At most six run
//!   at once.
//! - [`Replicated`]: a cluster with a standby that follows it.
//! - [`Ledger`]: a function that writes by key, over such a database, behind a [`FaultProxy`].
//! - [`Shop`]: a database with models for sale, and the account of what became of a [`Wish`].
//! - [`Api`]: the bundle, served from the local cloud over such a database.
//! - [`pgbouncer::PgBouncer`]: a pooler before a database.
//! - [`Emulator`]: AWS's own Runtime API, before one function.
//! - [`FaultProxy`]: the network between the two, and its faults.
//! - [`Browser`]: a real Chromium.
//! - [`Command`]: the command line as a person starts it.
//!
//! Nothing has to be started beforehand, and nothing stays: a guard process ends the servers and removes their directories when the test
//! process ends, however it ends. On a server that `DATABASE_URL` names, the templates stay until the next run sweeps them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

mod api;
mod browser;
mod client;
mod cluster;
mod command;
mod database;
mod emulator;
mod events;
mod fault_proxy;
mod figures;
mod functions;
pub mod ledger;
pub mod moto;
pub mod pgbouncer;
mod process;
pub mod raw_client;
mod replicated;
mod server;
mod server_certificate;
mod shop;
mod template;
mod wish;

pub use api::{Api, Options};
pub use browser::Browser;
pub use client::{Answer, http_client};
pub use cluster::{Cluster, cluster_place, load_place, prepared_state};
pub use command::Command;
pub use database::Database;
pub use emulator::Emulator;
pub use events::{http_event, with_claims};
pub use fault_proxy::{Fault, FaultProxy, Side};
pub use figures::Figures;
pub use functions::{executable, executables_with_rds_api, keyed, program, release_executable, scripted, scripted_route};
pub use ledger::Ledger;
pub use process::{eventually, free_addresses, is_alive, is_stopped, number_from_environment, resident_kib};
pub use replicated::Replicated;
pub use server::guard;
pub use server_certificate::ServerCertificate;
pub use shop::{BUYER, Counter, Kind, SELLER, Shop};
pub use wish::Wish;
