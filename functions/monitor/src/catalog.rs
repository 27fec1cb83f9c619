//! Every check: its unit, its threshold and why that stands where it does. How each is made is in `infra/migrations/0005_monitor.sql`.

use crate::threshold::Threshold;

/// One check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    /// `group:name`, by which the server makes it.
    pub(crate) id: &'static str,
    /// Of its value; empty for a list.
    pub(crate) unit: &'static str,
    /// When it is not as it should be.
    pub(crate) threshold: Threshold,
}

const fn spec(id: &'static str, unit: &'static str, threshold: Threshold) -> Spec {
    Spec { id, unit, threshold }
}

/// What goes on now: cheap, and asked first.
pub(crate) const NOW: &[Spec] = &[
    spec("server:version", "", Threshold::None),
    // Beyond four fifths one burst of cold sandboxes finds none; near the end requests do not get one now.
    spec("connections:total", "connections", Threshold::ShareOfLimit { warn: 0.8, fail: 0.95 }),
    spec("connections:by", "", Threshold::None),
    // The functions' statements end after 2 s: what runs for longer is somebody else's, and may hold locks.
    spec("activity:longest_query", "s", Threshold::Below { warn: 10.0, fail: 300.0 }),
    // An open transaction keeps dead rows from being removed, whoever holds it.
    spec("activity:longest_transaction", "s", Threshold::Below { warn: 30.0, fail: 600.0 }),
    // The functions wait for a lock for 1 s at most, so one that is seen waiting is rare, and ten are a jam.
    spec("activity:blocked", "", Threshold::Fewer { warn: 1, fail: 10 }),
    // A standby that is so far behind answers with what was.
    spec("replication:lag", "s", Threshold::Below { warn: 10.0, fail: 300.0 }),
    // Writes forget keys that have expired: one that is a day overdue says that none came, or that they do not.
    spec("keys:oldest", "s", Threshold::Below { warn: 86_400.0, fail: 604_800.0 }),
];

/// Counters and sizes: each looks at every table.
pub(crate) const SIZES: &[Spec] = &[
    // Below it the working set does not fit into memory (PostgreSQL wiki, "Shared buffers": 0.99 is usual).
    spec("cache:hit_ratio", "ratio", Threshold::Above { warn: 0.95 }),
    spec("database:commits", "transactions", Threshold::None),
    spec("database:rollbacks", "transactions", Threshold::None),
    spec("database:deadlocks", "deadlocks", Threshold::None),
    spec("database:temp_bytes", "bytes", Threshold::None),
    spec("database:size", "bytes", Threshold::None),
    spec("tables:size", "", Threshold::None),
    spec("indexes:size", "", Threshold::None),
    // Autovacuum begins at a fifth; where a third is dead it does not keep up.
    spec("tables:dead_tuples", "ratio", Threshold::Below { warn: 0.33, fail: 0.66 }),
];

/// Which the API of RDS is asked for, and judged by their availability.
pub(crate) const TARGETS: Spec = spec("proxy:targets", "", Threshold::None);

/// A view that may be long.
pub(crate) const STATEMENTS: &[Spec] = &[spec("statements:slowest", "", Threshold::None)];
