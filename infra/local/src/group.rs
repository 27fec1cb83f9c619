//! A program and all that it started, ended together.

use anyhow::{Context as _, Result};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::process::Child;

use crate::guard::Guard;

/// The process group of a child that leads one of its own (`process_group(0)`). It is sent its signal when this is dropped, and by the guard
/// where its owner ends without that.
#[derive(Debug)]
pub struct Group {
    id: u32,
    signal: Signal,
    guard: Guard,
}

impl Group {
    /// The group that `child` leads, which ends by `signal`.
    ///
    /// # Errors
    /// The child was waited for already, or the guard is gone.
    pub fn of(child: &Child, signal: Signal, guard: &Guard) -> Result<Self> {
        Self::led_by(child.id().context("a program ended before it had an id")?, signal, guard)
    }

    /// The group that the process `id` leads.
    ///
    /// # Errors
    /// The guard is gone.
    pub fn led_by(id: u32, signal: Signal, guard: &Guard) -> Result<Self> {
        guard.watch_group(id, signal)?;
        Ok(Self { id, signal, guard: guard.clone() })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // After a clean end there is nobody left in the group, and this finds nothing.
        if let Ok(pid) = i32::try_from(self.id) {
            let _ = signal::killpg(Pid::from_raw(pid), self.signal);
        }
        self.guard.forget(self.id);
    }
}
