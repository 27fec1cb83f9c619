//! What the system says of a process, and waiting for what comes a moment later.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

/// Whether there is such a process; one that is dead and not yet reaped is none.
#[must_use]
pub fn is_alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| !state.starts_with('Z'))
}

/// Whether the process is stopped by a signal.
#[must_use]
pub fn is_stopped(pid: i32) -> bool {
    state(pid).is_some_and(|state| state.starts_with('T'))
}

fn state(pid: i32) -> Option<String> {
    let output = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    (!state.is_empty()).then_some(state)
}

/// A process's memory that is in RAM.
#[must_use]
pub fn resident_kib(pid: i32) -> u64 {
    let output = Command::new("ps").args(["-o", "rss=", "-p", &pid.to_string()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// Waits until something holds, for at most half a minute.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..3_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("not in time: {what}");
}

/// A number from the environment, or `otherwise` where there is none.
///
/// # Panics
/// It is no number.
#[must_use]
pub fn number_from_environment(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|error| panic!("{name} is {text}: {error}")))
}

/// Addresses of the loopback interface whose ports were free a moment ago, for programs that cannot choose one and say which. The next to ask
/// for any port gets another.
#[must_use]
pub fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    // All at once, so that they differ.
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}
