//! What the simulated server keeps: keys with their receipts, and the effects that were committed with them.

use std::collections::HashMap;
use std::sync::Mutex;

use super::*;

pub(super) const LOCK_TIMEOUT: Duration = Duration::from_millis(1_000);
pub(super) const LOCK_NOT_AVAILABLE: &str = "55P03";

/// The row of a key.
#[derive(Clone, Copy)]
enum Row {
    /// Inserted by a transaction that ends then: who inserts the same key waits until it has.
    Pending { ends: Instant },
    /// Committed, with its receipt.
    Committed(u64),
}

#[derive(Default)]
pub(super) struct Ledger {
    rows: Mutex<HashMap<u64, Row>>,
    /// The receipts of the effects, by key.
    effects: Mutex<HashMap<u64, Vec<u64>>>,
    receipts: Mutex<u64>,
    /// How often a statement met the row of one that had not ended.
    met_pending: Mutex<u64>,
}

impl Ledger {
    /// One keyed statement: the row of the key and the effect are one transaction, or the first receipt is the answer. The wait for
    /// somebody's lock comes before the row is inserted or after. A statement that does not ask has its effect each time.
    pub(super) async fn keyed(&self, key: u64, asks: bool, lock_wait: Duration, waits_first: bool) -> Result<u64, &'static str> {
        let held = lock_wait.min(LOCK_TIMEOUT);
        if waits_first {
            tokio::time::sleep(held).await;
            if lock_wait > LOCK_TIMEOUT {
                return Err(LOCK_NOT_AVAILABLE);
            }
        }
        if asks && let Some(receipt) = self.first(key).await? {
            return Ok(receipt);
        }
        if !waits_first {
            self.rows.lock().unwrap().insert(key, Row::Pending { ends: now() + held });
            tokio::time::sleep(held).await;
            if lock_wait > LOCK_TIMEOUT {
                self.rows.lock().unwrap().remove(&key);
                return Err(LOCK_NOT_AVAILABLE);
            }
        }
        Ok(self.commit(key))
    }

    /// The receipt that is committed under a key. While its row is pending its end is waited for, within lock_timeout.
    async fn first(&self, key: u64) -> Result<Option<u64>, &'static str> {
        let patience = now() + LOCK_TIMEOUT;
        loop {
            let row = self.rows.lock().unwrap().get(&key).copied();
            match row {
                None => return Ok(None),
                Some(Row::Committed(receipt)) => return Ok(Some(receipt)),
                Some(Row::Pending { ends }) => {
                    *self.met_pending.lock().unwrap() += 1;
                    tokio::time::sleep_until(ends.min(patience).into()).await;
                    // The one that ends in this instant does so first.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    if ends > patience {
                        return Err(LOCK_NOT_AVAILABLE);
                    }
                }
            }
        }
    }

    fn commit(&self, key: u64) -> u64 {
        let mut receipts = self.receipts.lock().unwrap();
        *receipts += 1;
        self.rows.lock().unwrap().insert(key, Row::Committed(*receipts));
        self.effects.lock().unwrap().entry(key).or_default().push(*receipts);
        *receipts
    }

    /// The receipts of what took effect under a key.
    pub(super) fn effects(&self, key: u64) -> Vec<u64> {
        self.effects.lock().unwrap().get(&key).cloned().unwrap_or_default()
    }

    /// How often a statement met the row of one that had not ended.
    pub(super) fn met_pending(&self) -> u64 {
        *self.met_pending.lock().unwrap()
    }

    /// How many keys took effect more than once.
    pub(super) fn doubles(&self) -> usize {
        self.effects.lock().unwrap().values().filter(|receipts| receipts.len() > 1).count()
    }
}
