//! The basic check: one probe over the connection that the routes use, without recovery. It says how it is within a second.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shared::Db;
use shared::error::AttemptError;
use shared::probe::Probed;
use shared::telemetry::milliseconds;

use crate::query::{MissingMigrations, RoundTrip, ServerState};
use crate::report::{Check, Status, seconds};

/// For connecting and the question together, so that an answer is there within a second also where the database is silent.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_millis(800);
/// Less than this is not enough to ask for anything.
const LEAST_TIME: Duration = Duration::from_millis(50);

/// The migrations that this program was built with.
const MIGRATIONS: &[i64] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// What a sandbox knows of the database's schema. Migrations only go forward, so what was there once is there.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    is_complete: AtomicBool,
}

/// Looks. `thaws` is how often this sandbox was thawed.
pub(crate) async fn check(db: &Db, schema: &Schema, thaws: u64) -> Vec<(&'static str, Check)> {
    let began = Instant::now();
    let mut checks = vec![("sandbox:thaws", Check::of_sandbox(thaws).in_unit("thaws"))];
    match db.probe(PROBE_TIMEOUT, &RoundTrip).await {
        Ok(probed) => {
            checks.extend(of_server(&probed));
            let left = PROBE_TIMEOUT.saturating_sub(began.elapsed());
            checks.push(("database:migrations", migrations(db, schema, left).await));
        }
        Err(error) => {
            let duration_ms = milliseconds(began.elapsed());
            tracing::error!(sqlstate = error.sqlstate(), duration_ms, "the database did not answer the probe: {}", error.chain());
            let waited = Check::of_database(duration_ms).in_unit("ms");
            checks.push(("database:roundTripTime", waited.because(Status::Fail, why(&error))));
        }
    }
    checks
}

fn of_server(probed: &Probed<ServerState>) -> [(&'static str, Check); 5] {
    let server = &probed.output;
    [
        // Where the connection was there already, this is a ping.
        ("database:connectTime", Check::of_database(milliseconds(probed.connect)).in_unit("ms")),
        ("database:roundTripTime", Check::of_database(milliseconds(probed.work)).in_unit("ms")),
        ("database:connectionAge", Check::of_database(seconds(probed.age)).in_unit("s")),
        ("database:serverVersion", Check::of_database(server.server_version.as_str())),
        (
            "database:readOnly",
            Check::of_database(server.read_only).because_if(server.read_only, Status::Warn, "The server takes no writes; reads are served."),
        ),
    ]
}

/// Whether the database has what this program was built with. That it could not be asked in time is no failure: a round trip was served.
async fn migrations(db: &Db, schema: &Schema, left: Duration) -> Check {
    let complete = || Check::of_database(MIGRATIONS.len()).in_unit("migrations");
    if schema.is_complete.load(Ordering::Relaxed) {
        return complete();
    }
    let unknown = || Check::complaint(Status::Warn, "The database could not be asked for its migrations in time.");
    if left < LEAST_TIME {
        return unknown();
    }
    match db.probe(left, &MissingMigrations(MIGRATIONS)).await {
        Ok(probed) if probed.output.is_empty() => {
            schema.is_complete.store(true, Ordering::Relaxed);
            complete()
        }
        Ok(probed) => {
            let missing = probed.output;
            let there = Check::of_database(MIGRATIONS.len() - missing.len()).in_unit("migrations");
            there.because(Status::Fail, format!("The database lacks the migrations {missing:?}: run migrate."))
        }
        Err(error) => {
            tracing::warn!(sqlstate = error.sqlstate(), "the database did not tell its migrations: {}", error.chain());
            unknown()
        }
    }
}

/// A failed attempt in words for everybody.
fn why(error: &AttemptError) -> &'static str {
    match error {
        AttemptError::ConnectTimeout { .. } | AttemptError::WorkTimeout { .. } => "The database did not answer in time.",
        AttemptError::Credentials(_) => "The function has nothing to sign in with.",
        _ if error.is_refused_sign_in() => "The database refused to sign the function in.",
        AttemptError::Connect(_) => "No connection to the database came about.",
        _ if error.is_without_database() => "The proxy has no database connection.",
        _ => "The database answered with an error.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_knows_its_migrations() {
        assert!(MIGRATIONS.len() >= 4 && MIGRATIONS[0] == 1, "{MIGRATIONS:?}");
        assert!(MIGRATIONS.is_sorted());
    }
}
