//! The time ladder over `Globals` in `template.yaml`: the order holds, and the figures in the comment are the ones in force.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use local::template::{Function, Template};

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");
const PROXY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/database.yaml");
const ROLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/migrations/0001_roles.sql");

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

/// The functions behind routes.
fn functions() -> Result<Vec<Function>> {
    let overrides = [("JwtIssuer", "https://issuer.test"), ("JwtAudience", "thaw"), ("DbHost", "db.test")];
    let overrides: BTreeMap<String, String> = overrides.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut template = Template::read(Path::new(TEMPLATE), &overrides)?;
    // What no request waits for, such as bringing the schema up, has no place on it.
    template.functions.retain(|function| template.routes.iter().any(|route| route.function == function.name));
    ensure!(!template.functions.is_empty(), "the template has no function with a route");
    Ok(template.functions)
}

/// The figures of the comment, by name: lines `#   <name> <milliseconds> …` between `# Time ladder` and `Globals:`.
fn written() -> Result<BTreeMap<String, u64>> {
    let text = read(TEMPLATE)?;
    ensure!(text.matches("# Time ladder").count() == 1, "the time ladder must be written exactly once");
    let comment = text.split_once("# Time ladder").and_then(|(_, rest)| rest.split_once("\nGlobals:")).context("no time ladder above Globals")?.0;
    let figures = comment.lines().filter_map(|line| {
        let mut words = line.strip_prefix("#   ")?.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.replace(',', "").parse().ok()?))
    });
    Ok(figures.collect())
}

/// A timeout of `thaw_app`, from a line such as `alter role thaw_app set statement_timeout = '2000ms';`.
fn role_setting_ms(setting: &str) -> Result<u64> {
    let start = format!("alter role thaw_app set {setting} = '");
    let roles = read(ROLES)?;
    let found: Vec<&str> = roles.lines().filter_map(|line| line.trim_start().strip_prefix(&start)?.strip_suffix("ms';")).collect();
    ensure!(found.len() == 1, "{ROLES} must have exactly one line {start}…ms';, and has {}", found.len());
    found[0].parse().with_context(|| format!("{setting} in {ROLES} is {}", found[0]))
}

/// A setting of the proxy, which its template says in seconds.
fn proxy_ms(setting: &str) -> Result<u64> {
    let (start, proxy) = (format!("{setting}: "), read(PROXY)?);
    let found: Vec<&str> = proxy.lines().filter_map(|line| line.trim_start().strip_prefix(&start)).collect();
    ensure!(found.len() == 1, "{PROXY} must have exactly one {setting}, and has {}", found.len());
    Ok(found[0].parse::<u64>().with_context(|| format!("{setting} in {PROXY} is {}", found[0]))? * 1000)
}

/// Every rung of the ladder as it is in force for one function.
fn in_force(function: &Function, written: &BTreeMap<String, u64>) -> Result<BTreeMap<&'static str, u64>> {
    let variable = |name: &str| -> Result<u64> {
        let value = function.environment.get(name).with_context(|| format!("{} has no {name}", function.name))?;
        value.parse().with_context(|| format!("{name} of {} is {value}", function.name))
    };
    // Set where no file of ours says it: by AWS.
    let elsewhere = |name: &str| written.get(name).copied().with_context(|| format!("the ladder does not say {name}"));
    Ok(BTreeMap::from([
        ("ping", variable("DB_PING_TIMEOUT_MS")?),
        ("connect", variable("DB_CONNECT_TIMEOUT_MS")?),
        ("lock_timeout", role_setting_ms("lock_timeout")?),
        ("statement_timeout", role_setting_ms("statement_timeout")?),
        ("borrow", proxy_ms("ConnectionBorrowTimeout")?),
        ("max_idle", variable("DB_MAX_IDLE_MS")?),
        ("client_idle", proxy_ms("IdleClientTimeout")?),
        ("idle_in_transaction_session_timeout", role_setting_ms("idle_in_transaction_session_timeout")?),
        ("attempt", variable("DB_ATTEMPT_TIMEOUT_MS")?),
        ("budget", variable("RETRY_BUDGET_MS")?),
        ("reserve", variable("DEADLINE_RESERVE_MS")?),
        ("function", function.timeout_ms),
        ("gateway", elsewhere("gateway")?),
    ]))
}

#[test]
fn every_wait_ends_before_the_one_around_it() -> Result<()> {
    let written = written()?;
    for function in functions()? {
        let rungs = in_force(&function, &written)?;
        let ms = |name: &str| rungs[name];
        let rules = [
            ("ping < connect", ms("ping") < ms("connect")),
            ("connect < attempt", ms("connect") < ms("attempt")),
            ("lock_timeout < statement_timeout", ms("lock_timeout") < ms("statement_timeout")),
            ("statement_timeout + borrow < attempt", ms("statement_timeout") + ms("borrow") < ms("attempt")),
            ("statement_timeout < idle_in_transaction_session_timeout", ms("statement_timeout") < ms("idle_in_transaction_session_timeout")),
            ("idle_in_transaction_session_timeout < budget", ms("idle_in_transaction_session_timeout") < ms("budget")),
            ("attempt < budget", ms("attempt") < ms("budget")),
            ("budget + reserve <= function", ms("budget") + ms("reserve") <= ms("function")),
            ("0 < reserve", 0 < ms("reserve")),
            ("function < gateway", ms("function") < ms("gateway")),
            ("max_idle < client_idle", ms("max_idle") < ms("client_idle")),
        ];
        for (rule, holds) in rules {
            assert!(holds, "{}: {rule} does not hold in {rungs:?}", function.name);
        }
    }
    Ok(())
}

#[test]
fn the_ladder_in_the_comment_is_the_one_in_force() -> Result<()> {
    let written = written()?;
    for function in functions()? {
        for (rung, ms) in in_force(&function, &written)? {
            assert_eq!(written.get(rung), Some(&ms), "{rung}: the comment over Globals and what is in force for {} differ", function.name);
        }
    }
    Ok(())
}
