use std::collections::HashMap;
use std::time::Duration;

use secrecy::ExposeSecret;

use crate::recovery::Recovery;
use crate::retry::{Decision, Failure, Retry};

use super::{Config, ConfigError, Credentials, Tls};

fn config(variables: &[(&'static str, &str)]) -> Result<Config, ConfigError> {
    let map: HashMap<&str, String> = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Config::from_lookup(|name| Ok(map.get(name).cloned()))
}

const URL: (&str, &str) = ("DATABASE_URL", "postgres://app:s%2Fcret@127.0.0.1:6543/thaw?sslmode=disable");

#[test]
fn a_url_gives_every_part_and_defaults_fill_the_rest() {
    let config = config(&[URL]).unwrap();
    assert_eq!((config.database.host.as_str(), config.database.port), ("127.0.0.1", 6543));
    assert_eq!((config.database.user.as_str(), config.database.name.as_str()), ("app", "thaw"));
    assert_eq!(config.database.tls, Tls::Disable);
    let Credentials::Password(password) = &config.database.credentials else { panic!("{:?}", config.database.credentials) };
    assert_eq!(password.expose_secret(), "s/cret");
    assert_eq!(config.timeouts.attempt, Duration::from_millis(4_500));
    assert_eq!(config.retry.max_resends, 3);
    assert!(!config.warm_in_init);
}

#[test]
fn parts_stand_for_a_url_and_tls_is_verified_unless_said() {
    let config = config(&[("DB_HOST", "db.internal"), ("DB_NAME", "thaw"), ("DB_USER", "app"), ("DB_PASSWORD", "x"), ("DATABASE_URL", "")]).unwrap();
    assert_eq!((config.database.host.as_str(), config.database.port), ("db.internal", 5432));
    assert_eq!(config.database.tls, Tls::VerifyFull { ca_file: None });
}

#[test]
fn the_waits_of_the_default_policy_add_up_to_at_most_350_ms() {
    let policy = config(&[URL]).unwrap().retry;
    let waited = |seed| {
        let mut retry = Retry::new(policy, fastrand::Rng::with_seed(seed));
        let waits = std::iter::from_fn(|| match retry.after(Failure::Work(Recovery::Retry), Duration::from_secs(9)) {
            Decision::Again(wait) => Some(wait),
            Decision::GiveUp => None,
        });
        waits.sum::<Duration>()
    };
    let longest = (0..100_000).map(waited).max().unwrap();
    assert!(longest <= Duration::from_millis(350) && longest > Duration::from_millis(330), "{longest:?}");
}

#[test]
fn no_debug_output_holds_the_password() {
    assert!(!format!("{:?}", config(&[URL]).unwrap()).contains("s/cret"));
}

#[test]
fn an_ipv6_host_loses_its_brackets() {
    let config = config(&[("DATABASE_URL", "postgres://app:x@[::1]/thaw")]).unwrap();
    assert_eq!(config.database.host, "::1");
    assert!(config.database.is_loopback());
}

#[test]
fn a_bad_value_is_refused_by_the_name_of_its_variable() {
    let parts = [("DB_HOST", "db"), ("DB_NAME", "thaw"), ("DB_USER", "app"), ("DB_PASSWORD", "x")];
    let without = |name: &str| parts.iter().copied().filter(|(part, _)| *part != name).collect::<Vec<_>>();
    let with = |extra: &[(&'static str, &'static str)]| [&parts[..], extra].concat();
    let url = |url: &'static str| vec![("DATABASE_URL", url)];
    let cases = [
        ("nothing at all", vec![], "DB_HOST"),
        ("options of libpq", with(&[("PGOPTIONS", "-c x=y")]), "PGOPTIONS"),
        ("a certificate of libpq", with(&[("PGSSLCERT", "/x")]), "PGSSLCERT"),
        ("no host", without("DB_HOST"), "DB_HOST"),
        ("no name", without("DB_NAME"), "DB_NAME"),
        ("no user", without("DB_USER"), "DB_USER"),
        ("no password", without("DB_PASSWORD"), "DB_PASSWORD"),
        ("two passwords", with(&[("DB_PASSWORD_FILE", "/x")]), "DB_PASSWORD"),
        ("port zero", with(&[("DB_PORT", "0")]), "DB_PORT"),
        ("port in words", with(&[("DB_PORT", "five")]), "DB_PORT"),
        ("unknown auth", with(&[("DB_AUTH", "trust")]), "DB_AUTH"),
        ("iam with a URL", vec![URL, ("DB_AUTH", "iam")], "DATABASE_URL"),
        ("iam in plain text", with(&[("DB_AUTH", "iam"), ("DB_TLS", "disable")]), "DB_TLS"),
        ("unverified tls", with(&[("DB_TLS", "require")]), "DB_TLS"),
        ("missing CA file", with(&[("DB_CA_FILE", "/does/not/exist.pem")]), "DB_CA_FILE"),
        ("negative timeout", with(&[("DB_PING_TIMEOUT_MS", "-1")]), "DB_PING_TIMEOUT_MS"),
        ("timeout with a unit", with(&[("DB_ATTEMPT_TIMEOUT_MS", "4s")]), "DB_ATTEMPT_TIMEOUT_MS"),
        ("huge budget", with(&[("RETRY_BUDGET_MS", "99999999999999999999")]), "RETRY_BUDGET_MS"),
        ("base above max", with(&[("RETRY_BASE_DELAY_MS", "2000")]), "RETRY_BASE_DELAY_MS"),
        ("warm maybe", with(&[("DB_WARM_IN_INIT", "yes")]), "DB_WARM_IN_INIT"),
        ("not a URL", url("thaw"), "DATABASE_URL"),
        ("another scheme", url("mysql://a:b@h/d"), "DATABASE_URL"),
        ("URL without host", url("postgres:///d"), "DATABASE_URL"),
        ("URL without user", url("postgres://h/d"), "DATABASE_URL"),
        ("URL without database", url("postgres://a:b@h/"), "DATABASE_URL"),
        ("URL that prefers TLS", url("postgres://a:b@h/d?sslmode=prefer"), "DATABASE_URL"),
        ("URL with options", url("postgres://a:b@h/d?options=-csearch_path%3Dx"), "DATABASE_URL"),
        ("URL against DB_TLS", vec![("DATABASE_URL", "postgres://a:b@h/d?sslmode=disable"), ("DB_TLS", "verify-full")], "DB_TLS"),
        ("password twice", vec![URL, ("DB_PASSWORD", "x")], "DATABASE_URL"),
    ];
    for (case, variables, name) in cases {
        let Err(error) = config(&variables) else { panic!("{case} was accepted") };
        assert_eq!(error.variable(), name, "{case}: {error}");
        assert!(error.to_string().starts_with(name), "{case}: {error}");
        assert!(!error.to_string().contains("s/cret") && !error.to_string().contains("s%2Fcret"), "{case} shows a secret: {error}");
    }
}
