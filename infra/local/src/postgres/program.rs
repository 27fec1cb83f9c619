//! Runs a program to its end: bounded, guarded, and with its last lines in the error.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::guard::Guard;

/// How often a child is asked whether it has ended. Asking, unlike tokio's own children, binds it to no runtime.
pub(super) const POLL: Duration = Duration::from_millis(10);

/// What of a log an error carries.
const LAST_LINES: usize = 12;
const LAST_BYTES: u64 = 4096;

/// Runs `command` in a process group of its own, with its output in the file `output`.
///
/// Cancel safe: dropping the future kills the whole group.
///
/// # Errors
/// It cannot be started, fails, or is not done within `limit`; the message ends with the last lines of its output.
pub(super) async fn run(guard: &Guard, command: &mut Command, output: &Path, limit: Duration) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let file = File::create(output).with_context(|| format!("cannot write {}", output.display()))?;
    let both = file.try_clone().context("cannot share an output file")?;
    command.stdin(Stdio::null()).stdout(file).stderr(both).process_group(0);
    let child = command.spawn().with_context(|| format!("cannot run {name}"))?;
    let mut running = Running { child, guard };
    guard.watch_group(running.child.id(), Signal::SIGKILL)?;
    let start = Instant::now();
    loop {
        match running.child.try_wait().with_context(|| format!("cannot wait for {name}"))? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => bail!("{name} failed ({status}): {}", last_lines(output, 0)),
            None if start.elapsed() > limit => {
                bail!("{name} was not done within {} s: {}", limit.as_secs(), last_lines(output, 0))
            }
            None => tokio::time::sleep(POLL).await,
        }
    }
}

struct Running<'a> {
    child: Child,
    guard: &'a Guard,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
            let _ = self.child.wait();
        }
        self.guard.forget(self.child.id());
    }
}

/// The last lines of a log, of what was written after `start_bytes`.
pub(super) fn last_lines(log: &Path, start_bytes: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(start_bytes.max(length.saturating_sub(LAST_BYTES))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = match read() {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return format!("(its output cannot be read: {error})"),
    };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return "(it wrote nothing)".to_owned();
    }
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use std::process::Command;
    use std::time::Duration;

    use nix::errno::Errno;
    use nix::sys::signal::kill;
    use nix::unistd::Pid;

    use super::{last_lines, run};
    use crate::guard::Guard;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_failure_carries_the_last_lines() {
        let guard = Guard::start().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("output");
        let script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo the reason >&2; exit 3";
        let error = run(&guard, &mut shell(script), &output, Duration::from_secs(60)).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.ends_with("line 1999\nthe reason"), "{error}");
        assert!(error.lines().count() <= 12, "{error}");
        assert_eq!(last_lines(&output, std::fs::metadata(&output).unwrap().len()), "(it wrote nothing)");
        run(&guard, &mut shell("exit 0"), &output, Duration::from_secs(60)).await.unwrap();
        let absent = run(&guard, &mut Command::new("/absent/program"), &output, Duration::from_secs(60)).await.unwrap_err();
        assert!(format!("{absent:#}").starts_with("cannot run /absent/program: No such file"), "{absent:#}");
    }

    #[tokio::test]
    async fn what_takes_too_long_is_killed_with_its_children() {
        let guard = Guard::start().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("output");
        let script = "sleep 600 & echo $!; wait";
        let error = run(&guard, &mut shell(script), &output, Duration::from_secs(1)).await.unwrap_err().to_string();
        assert!(error.contains("not done within 1 s"), "{error}");
        let child = Pid::from_raw(std::fs::read_to_string(&output).unwrap().trim().parse().unwrap());
        let mut waits = 0;
        while kill(child, None) != Err(Errno::ESRCH) {
            // A zombie that nobody reaps has no command line any more.
            let ps = Command::new("ps").args(["-o", "stat=", "-p", &child.to_string()]).output().unwrap();
            if String::from_utf8_lossy(&ps.stdout).trim().starts_with('Z') {
                break;
            }
            waits += 1;
            assert!(waits < 1000, "process {child} lives on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
