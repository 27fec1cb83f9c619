//! What a person sees of `cargo dev`.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use local::address::Address;
use local::build::Build;
use local::control::PROXY_PATH;
use local::dashboard::PAGE_PATH;
use local::provision::Provisioned;
use local::proxy::Pin;
use local::running::Running;
use local::sandbox::{LogEntry, LogLine};
use local::seed::{Progress, Table};
use local::stack::{Stack, TOKEN_LIFETIME};
use local::template::Authorization;
use tokio::signal::unix::SignalKind;

use crate::{database, seed};

/// The subject of the ready-made token.
const DEMO_SUBJECT: &str = "user-1";

/// The progress line and its parts.
struct Doing {
    line: launch::Line,
    database: String,
    functions: String,
    /// The table that was named last, if standard error is no terminal.
    named: Option<Table>,
}

static DOING: LazyLock<Mutex<Doing>> =
    LazyLock::new(|| Mutex::new(Doing { line: launch::Line::new(), database: String::new(), functions: String::new(), named: None }));

fn doing() -> MutexGuard<'static, Doing> {
    DOING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Clears the line. It stays so until the value is dropped.
fn cleared() -> MutexGuard<'static, Doing> {
    let mut doing = doing();
    doing.line.clear();
    doing
}

impl Doing {
    fn show(&mut self) {
        let parts = [self.database.as_str(), self.functions.as_str()];
        let text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
        if text.is_empty() { self.line.clear() } else { self.line.show(&format!("{:<10} {text}", "building")) }
    }
}

/// Shows the progress of the functions' build; None once it is done.
pub(super) fn building(progress: Option<String>) {
    let mut doing = doing();
    doing.functions = progress.unwrap_or_default();
    doing.show();
}

/// Shows the progress of the seed; None once it is done.
pub(super) fn seeding(progress: Option<Progress>) {
    let mut doing = doing();
    doing.database = progress.map(seed::describe_progress).unwrap_or_default();
    if let Some(progress) = progress.filter(|_| !doing.line.is_terminal())
        && doing.named.replace(progress.table) != Some(progress.table)
    {
        seed::announce(progress);
    }
    doing.show();
}

/// Prints cargo's own lines.
pub(super) fn cargo(text: &str) {
    let _doing = cleared();
    // A closed standard error must not end the build.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// One line of what is being done.
pub(super) fn step(name: &str, text: &str) {
    line(&format!("{name:<10} {text}"));
}

/// The last line: why it ends.
pub(super) fn stopping(signal: SignalKind) {
    let name = if signal == SignalKind::interrupt() { "SIGINT" } else { "SIGTERM" };
    line(&format!("{name}: stopping"));
}

/// One line of a function, after its name, on standard error: what of it a person reads first.
pub(super) fn log_line(log: LogLine) {
    if log.is_metrics() {
        return;
    }
    let name = format!("{:<10} {:<18}", "log", log.function);
    let text = LogEntry::of(&log).map_or(log.text, |entry| format!("{:<5} {entry}", entry.level));
    let _doing = cleared();
    let mut out = std::io::stderr().lock();
    // A reader that went away must not end the function.
    let _ = if out.is_terminal() { writeln!(out, "\x1b[2m{name}\x1b[0m {text}") } else { writeln!(out, "{name} {text}") };
}

/// One statement that would pin a session in RDS Proxy, or may.
pub(super) fn pin(pin: &Pin) {
    let _doing = cleared();
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "{:<10} {:<18} {}", "pin", pin.application, pin.finding);
}

pub(super) fn database(address: &Address, provisioned: &Provisioned) {
    let seeded = match provisioned.seeded {
        Some(report) => format!("seeded with {}", seed::describe(report)),
        None => "keeps its rows".to_owned(),
    };
    step("database", &format!("{}, {}, {seeded}", address.shown(), database::describe(provisioned.migrations)));
}

pub(super) fn summary(stack: &Stack, running: &Running) -> Result<()> {
    let api = stack.api_url();
    if let Some(proxy) = &stack.proxy {
        step("proxy", &format!("{} (as RDS Proxy: TLS, IAM; report: {}{PROXY_PATH})", proxy.address(), stack.control_url()));
    }
    step("issuer", &format!("{} (tokens: cargo ops token <subject>)", stack.control_url()));
    if let Some(directory) = &running.data_directory {
        step("data", &directory.display().to_string());
    }
    if stack.dashboard.is_some() {
        step("dashboard", &format!("{api}{PAGE_PATH}"));
    }
    step("api", &api);
    for route in &stack.routes {
        let access = match route.authorization {
            Authorization::Open => "open",
            Authorization::Jwt(_) => "JWT",
            Authorization::Iam => "IAM",
        };
        line(&format!("{:<10} {:<6} {:<32} {:<18} {access}", "", route.method, route.path, route.function));
    }
    let first = stack.routes.iter().find(|route| matches!(route.authorization, Authorization::Jwt(_)) && route.method == "GET");
    if let Some(route) = first {
        let token = stack.token(DEMO_SUBJECT, TOKEN_LIFETIME)?;
        line(&format!("\ncurl -H 'Authorization: Bearer {token}' '{api}{}?limit=3'\n", route.path));
    }
    Ok(())
}

/// The last line of the start: every function is there.
pub(super) fn ready(stack: &Stack) {
    line(&format!("ready {}", stack.api_url()));
}

/// Which functions can be called.
pub(super) fn functions(names: &[String], build: &Build) {
    let (built, unbuilt): (Vec<_>, Vec<_>) = names.iter().map(String::as_str).partition(|name| build.has_built(name));
    let text = match (built.is_empty(), unbuilt.is_empty()) {
        (_, true) => built.join(", "),
        (true, false) => format!("{} are being compiled; requests wait for them", unbuilt.join(", ")),
        (false, false) => format!("{} can be called; {} are being compiled; requests wait for them", built.join(", "), unbuilt.join(", ")),
    };
    step("functions", &text);
}

/// A reader that went away must not end the API.
fn line(text: &str) {
    let _doing = cleared();
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
