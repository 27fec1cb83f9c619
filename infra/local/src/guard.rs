//! Nothing outlives its owner: not a sandbox, not a Postgres server, not a temporary directory, not even when the owner
//! ends by `kill -9`.
//!
//! A [`Guard`] is a small `sh` process whose standard input is a pipe that the owner holds. The owner writes down what
//! it started. When the pipe closes, because the owner closed it or because the kernel did so for a dead owner, the
//! guard signals every process that is still registered, waits for it (5 s, then SIGKILL) and removes the registered
//! directories. This works alike on Linux and macOS, where neither `PR_SET_PDEATHSIG` nor a subreaper exists.
//!
//! Two things the caller sees to: start the guard before other threads start processes (macOS cannot open a pipe and
//! mark it close-on-exec in one step), and [`forget`](Guard::forget) a process as soon as it is reaped, since its
//! number may then belong to another one. Between the start of a process and [`watch`](Guard::watch) there is a moment
//! in which a SIGKILL of the owner is not covered.

use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;

const SCRIPT: &str = include_str!("guard.sh");

/// A handle on the guard process; clones share it. When the last one is dropped the guard does its work, and the drop
/// does not wait for it: [`finish`](Guard::finish) does.
#[derive(Clone, Debug)]
pub struct Guard {
    process: Arc<Process>,
}

#[derive(Debug)]
struct Process {
    child: Mutex<Child>,
}

impl Guard {
    /// Starts the guard process, in a process group of its own, so that a Ctrl-C in the terminal does not reach it.
    ///
    /// # Errors
    /// `/bin/sh` cannot be started.
    pub fn start() -> Result<Self> {
        let mut search = std::env::var_os("PATH").unwrap_or_default();
        search.push(":/usr/bin:/bin");
        let mut child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "thaw-guard"])
            .env("PATH", search)
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::piped())
            // Inherited output would keep whoever reads the owner's waiting for the guard.
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start /bin/sh as the guard of the local cloud's processes")?;
        let mut answer = String::new();
        if let Some(mut output) = child.stdout.take() {
            output.read_to_string(&mut answer).context("cannot read from the guard process")?;
        }
        ensure!(answer == "ready\n", "/bin/sh did not start as the guard of the local cloud's processes");
        Ok(Self { process: Arc::new(Process { child: Mutex::new(child) }) })
    }

    /// Has the process `pid` ended with `signal` when the owner ends. A stopped process is continued after the signal.
    /// Registering it again replaces the signal.
    ///
    /// # Errors
    /// `pid` is not one of a single ordinary process, or the guard process is gone.
    pub fn watch(&self, pid: u32, signal: Signal) -> Result<()> {
        ensure!(pid > 1 && i32::try_from(pid).is_ok(), "the guard refuses to watch process {pid}: no ordinary process");
        self.write(format!("add {pid} {}\n", name(signal)).as_bytes())
    }

    /// As [`watch`](Guard::watch), for every process in the group of which `leader_pid` is the leader.
    ///
    /// # Errors
    /// As for [`watch`](Guard::watch).
    pub fn watch_group(&self, leader_pid: u32, signal: Signal) -> Result<()> {
        // -1 would mean every process of the machine.
        ensure!(leader_pid > 1 && i32::try_from(leader_pid).is_ok(), "the guard refuses to watch process group {leader_pid}: no ordinary group");
        self.write(format!("add -{leader_pid} {}\n", name(signal)).as_bytes())
    }

    /// Takes a process, and the group it leads, off the list: to be called once it was waited for.
    pub fn forget(&self, pid: u32) {
        // A guard that is gone has nothing left to forget.
        let _ = self.write(format!("remove {pid}\nremove -{pid}\n").as_bytes());
    }

    /// Has `directory` removed with all it contains when the owner ends, after the processes. It must exist already and
    /// lie inside `under`; symbolic links in both are followed now, so that nothing else is removed later.
    ///
    /// # Errors
    /// One of the two does not exist, `directory` is not inside `under`, `under` is `/`, the path holds a line break, or
    /// the guard process is gone.
    pub fn remove_directory_at_end(&self, directory: &Path, under: &Path) -> Result<()> {
        let resolve = |path: &Path| path.canonicalize().with_context(|| format!("the guard cannot find the directory {path:?} to remove"));
        let (directory, under) = (resolve(directory)?, resolve(under)?);
        ensure!(directory.is_dir(), "the guard removes directories only, and {directory:?} is none");
        ensure!(under.parent().is_some(), "the guard removes nothing directly under /");
        if directory == under || !directory.starts_with(&under) {
            bail!("the guard refuses to remove {directory:?}, which is not inside {under:?}");
        }
        let path = directory.as_os_str().as_bytes();
        ensure!(!path.contains(&b'\n'), "the guard cannot remove {directory:?}: its name holds a line break");
        self.write(&[b"directory ", path, b"\n"].concat())
    }

    /// Ends everything registered now, and returns when the guard is done: within about 7 s. Later calls of `watch` are
    /// refused.
    ///
    /// # Errors
    /// The guard process cannot be waited for.
    pub fn finish(&self) -> Result<()> {
        // Waiting closes the pipe first.
        self.child().wait().context("cannot wait for the guard process")?;
        Ok(())
    }

    fn write(&self, line: &[u8]) -> Result<()> {
        let mut child = self.child();
        let pid = child.id();
        let Some(pipe) = child.stdin.as_mut() else { bail!("the guard process has already finished") };
        // One write, so that lines of several threads do not mix.
        pipe.write_all(line).with_context(|| format!("the guard process (pid {pid}) is gone"))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.process.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(child.stdin.take());
        if matches!(child.try_wait(), Ok(None)) {
            // The guard may need seconds; a thread reaps it, so that it does not stay a zombie of a long-lived owner.
            let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
            std::thread::spawn(move || nix::sys::wait::waitpid(pid, None));
        }
    }
}

/// The name as `kill -s` wants it.
fn name(signal: Signal) -> &'static str {
    signal.as_str().trim_start_matches("SIG")
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
