//! `postmaster.pid`, the file by which a running server marks its data directory: the process id in line 1 and, since
//! PostgreSQL 10, `ready` in line 8 once it accepts connections.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

const NAME: &str = "postmaster.pid";
const STATUS_LINE: usize = 8;

/// Whether the server with this process id accepts connections.
pub(super) fn is_ready(data: &Path, pid: u32) -> bool {
    let Ok(text) = std::fs::read_to_string(data.join(NAME)) else { return false };
    owner(&text) == Some(pid.cast_signed()) && text.lines().nth(STATUS_LINE - 1).is_some_and(|status| status.trim() == "ready")
}

/// Waits until no server runs on the directory: that of a killed owner needs a moment until the guard has ended it. The
/// file of a server that is gone is left to the next one, which takes it over; but it is removed if its number now belongs to
/// another program, since Postgres asks only whether *some* process has it.
///
/// # Errors
/// After `limit` the server still runs; the message names it.
pub(super) async fn await_free(data: &Path, limit: Duration) -> Result<()> {
    let file = data.join(NAME);
    let start = Instant::now();
    loop {
        let late = start.elapsed() > limit;
        match look(&file, data)? {
            Mark::None | Mark::OfTheGone => return Ok(()),
            Mark::OfAnother => return remove(&file),
            Mark::Empty if late => return remove(&file),
            Mark::OfServer(pid) if late => {
                bail!("a PostgreSQL server (pid {pid}) already runs on {}: stop what started it, or end it with `kill -INT {pid}`", data.display())
            }
            Mark::Empty | Mark::OfServer(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

enum Mark {
    None,
    /// A server is just starting, or the machine crashed.
    Empty,
    OfTheGone,
    OfAnother,
    OfServer(i32),
}

fn look(file: &Path, data: &Path) -> Result<Mark> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Mark::None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    if text.trim().is_empty() {
        return Ok(Mark::Empty);
    }
    let Some(pid) = owner(&text) else { return Ok(Mark::OfAnother) };
    if kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH) {
        return Ok(Mark::OfTheGone);
    }
    // Where the system does not tell, believe the file.
    let is_server = command_line(pid).is_none_or(|line| line.contains(&*data.to_string_lossy()));
    Ok(if is_server { Mark::OfServer(pid) } else { Mark::OfAnother })
}

fn remove(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| format!("cannot remove the stale {}", file.display())),
        _ => Ok(()),
    }
}

fn owner(text: &str) -> Option<i32> {
    text.lines().next()?.trim().parse().ok().filter(|pid| *pid > 0)
}

/// The command line of a process (empty for a zombie), or nothing if the system does not tell.
fn command_line(pid: i32) -> Option<String> {
    if let Ok(bytes) = std::fs::read(format!("/proc/{pid}/cmdline")) {
        return Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    let output = Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).stderr(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use std::io::Read as _;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::{NAME, await_free, is_ready};

    #[test]
    fn ready_is_said_in_line_eight_by_the_right_process() {
        let data = tempfile::tempdir().unwrap();
        let file = |pid: u32, status: &str| format!("{pid}\n/data\n1700000000\n5432\n\n127.0.0.1\n  123 4\n{status}");
        for (text, expected) in [
            (file(77, "ready   \n"), true),
            (file(77, "starting\n"), false),
            (file(77, ""), false),
            (file(78, "ready   \n"), false),
            ("77\n/data\n".into(), false),
            (String::new(), false),
        ] {
            std::fs::write(data.path().join(NAME), &text).unwrap();
            assert_eq!(is_ready(data.path(), 77), expected, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_stale_file_is_no_obstacle() {
        let data = tempfile::tempdir().unwrap();
        let mut ended = Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        for (owner, left, case) in [
            (ended.id().to_string(), true, "an ended process: Postgres takes it over"),
            (std::process::id().to_string(), false, "another process"),
            ("1".into(), false, "the first process"),
            ("nonsense".into(), false, "no number"),
            (String::new(), false, "nothing, and nobody fills it"),
        ] {
            std::fs::write(data.path().join(NAME), format!("{owner}\n")).unwrap();
            await_free(data.path(), Duration::from_millis(100)).await.unwrap();
            assert_eq!(data.path().join(NAME).exists(), left, "{case}");
        }
    }

    #[tokio::test]
    async fn a_live_server_is_waited_for_and_then_named() {
        let data = tempfile::tempdir().unwrap();
        // It waits for input in the shell itself, since a child of the shell would outlive the kill; and it says when it is up,
        // since a process has no command line at the very moment of its exec.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo up; read -r line", "postgres", "-D"]).arg(data.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.spawn().unwrap();
        server.stdout.take().unwrap().read_exact(&mut [0; 3]).unwrap();
        std::fs::write(data.path().join(NAME), format!("{}\n", server.id())).unwrap();
        let error = await_free(data.path(), Duration::ZERO).await.unwrap_err().to_string();
        assert!(error.contains(&format!("pid {}", server.id())) && error.contains(&*data.path().to_string_lossy()), "{error}");
        let ending = tokio::time::sleep(Duration::from_millis(200));
        let end = async {
            ending.await;
            server.kill().unwrap();
        };
        let (free, ()) = tokio::join!(await_free(data.path(), Duration::from_secs(60)), end);
        free.unwrap();
        server.wait().unwrap();
    }
}
