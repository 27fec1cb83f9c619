//! The tests of the bundle, by behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod behind_proxy;
mod bench;
mod command_line;
mod connection;
mod constraints;
mod credentials;
mod databases;
mod demoted_writer;
mod dev;
mod freeze;
mod hostile_requests;
mod in_process;
mod keyed_writes;
mod lists;
mod managed_instances;
mod migrations;
mod openapi;
mod outage;
mod pgbouncer;
mod pins;
mod pins_command;
mod plans;
mod problem_kinds;
mod proxy_exchange;
mod proxy_fidelity;
mod proxy_hostile;
mod proxy_sharing;
mod proxy_wire;
mod repository;
mod restart;
mod roles;
mod round_trips;
mod run_loop;
mod sandboxes;
mod schema;
mod seed;
mod silence;
mod soak;
mod time_ladder;
mod tokens;
mod transactions;
mod vanished;
mod wall_clock;
mod writes;
