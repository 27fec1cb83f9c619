//! What a sandbox is doing, how many invocations it can take, and when it is frozen.
//!
//! A sandbox has places, as many as it takes invocations at once. After init each `next` that waits offers one. A sandbox with one place is
//! frozen between its invocations, and takes none until it is; one with several, as of Lambda Managed Instances, runs on.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;
use nix::sys::signal::Signal;

use super::extensions::Extension;
use super::invocation::Reply;
use super::process::signal_group;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// The process runs; the runtime has not asked for an event yet.
    #[default]
    Init,
    /// Everything waits for the next event; frozen where there is one place.
    Idle,
    /// An invocation is under way, or an extension still works after it.
    Busy,
    /// The process is gone.
    Ended,
}

/// What others wait for, published with each change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) phase: Phase,
    /// Whether a place is about to be free: it has none now, yet more places than invocations, as between an answer and the next poll.
    pub(super) settling: bool,
    /// How many invocations it took so far.
    pub(super) invocations: u64,
}

/// All that is known of a sandbox at one moment.
#[derive(Default)]
pub(super) struct Activity {
    pub(super) pid: Option<i32>,
    pub(super) phase: Phase,
    /// Invocations that it takes at once.
    pub(super) places: usize,
    /// Places that are promised to invocations which did not begin yet.
    pub(super) reserved: usize,
    /// Invocations that began and that no `next` has taken yet.
    pub(super) queued: usize,
    /// How often the runtime waits for its next event.
    pub(super) polls: usize,
    /// Invocations without an answer, by request id.
    pub(super) running: HashMap<String, Reply>,
    pub(super) closed: bool,
    pub(super) frozen: bool,
    /// Stopped as it is, whatever it is doing: see [`Sandbox::hold`](super::Sandbox::hold).
    pub(super) held: bool,
    pub(super) extensions: HashMap<String, Extension>,
    pub(super) init_error: Option<Bytes>,
    pub(super) exit: Option<String>,
    pub(super) idle_since: Option<Instant>,
    pub(super) invocations: u64,
    pub(super) thaws: u64,
}

impl Activity {
    fn freezes(&self) -> bool {
        self.places == 1
    }

    /// How many invocations it can take now.
    pub(super) fn free(&self) -> usize {
        match self.phase {
            _ if self.closed => 0,
            Phase::Ended => 0,
            // All places are there once init is over, and its invocations wait for that.
            Phase::Init => self.places.saturating_sub(self.reserved),
            Phase::Busy if self.freezes() => 0,
            Phase::Idle | Phase::Busy => self.polls.min(self.places).saturating_sub(self.reserved + self.queued),
        }
    }

    pub(super) fn standing(&self) -> Standing {
        let settling = !self.closed && self.free() == 0 && self.reserved + self.running.len() < self.places;
        Standing { phase: self.phase, settling, invocations: self.invocations }
    }

    /// Notices that everything waits: the runtime and all extensions, with no invocation under way. Then a sandbox with one place is frozen.
    pub(super) fn settle(&mut self) {
        let working = matches!(self.phase, Phase::Idle | Phase::Ended) || !self.running.is_empty();
        if working || self.closed || self.polls == 0 || !self.extensions.values().all(Extension::waits) {
            return;
        }
        // After init the sandbox belongs to the invocation for which it was started, and goes on to it at once.
        if let (Phase::Busy, true, Some(pid)) = (self.phase, self.freezes(), self.pid) {
            signal_group(pid, Signal::SIGSTOP);
            self.frozen = true;
        }
        self.idle_since = Some(Instant::now());
        self.phase = Phase::Idle;
    }

    pub(super) fn thaw(&mut self) {
        if let (true, Some(pid)) = (self.frozen, self.pid) {
            if !self.held {
                signal_group(pid, Signal::SIGCONT);
            }
            self.frozen = false;
            self.thaws += 1;
        }
    }

    /// Stops the process whatever it is doing. False where there is none.
    pub(super) fn hold(&mut self) -> bool {
        let Some(pid) = self.pid.filter(|_| self.phase != Phase::Ended && !self.held) else { return false };
        signal_group(pid, Signal::SIGSTOP);
        self.held = true;
        true
    }

    /// Lets it go on, unless it is frozen anyway.
    pub(super) fn release(&mut self) {
        let held = std::mem::take(&mut self.held);
        if let (true, false, Some(pid)) = (held, self.frozen || self.phase == Phase::Ended, self.pid) {
            signal_group(pid, Signal::SIGCONT);
        }
    }
}
