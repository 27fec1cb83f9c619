use std::collections::HashMap;
use std::time::Duration;

use secrecy::ExposeSecret;

use crate::recovery::Recovery;
use crate::retry::{Decision, Failure, Retry};

use super::{Aws, Config, ConfigError, Credentials, Tls};

fn config(variables: &[(&'static str, &str)]) -> Result<Config, ConfigError> {
    let map: HashMap<&str, String> = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Config::from_lookup(|name| Ok(map.get(name).cloned()))
}

/// What Lambda sets, with the keys of AWS's own examples.
const AWS: [(&str, &str); 4] = [
    ("AWS_REGION", "eu-central-1"),
    ("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("AWS_SESSION_TOKEN", "AQoDYXdzEJr1K+y/EXAMPLE=="),
];
const IAM: [(&str, &str); 4] = [("DB_AUTH", "iam"), ("DB_HOST", "db.internal"), ("DB_NAME", "thaw"), ("DB_USER", "app")];

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
    assert!(config.warm_in_init);
}

#[test]
fn parts_stand_for_a_url_and_tls_is_verified_unless_said() {
    let config = config(&[("DB_HOST", "db.internal"), ("DB_NAME", "thaw"), ("DB_USER", "app"), ("DB_PASSWORD", "x"), ("DATABASE_URL", "")]).unwrap();
    assert_eq!((config.database.host.as_str(), config.database.port), ("db.internal", 5432));
    assert_eq!(config.database.tls, Tls::VerifyFull { ca_file: None });
}

fn with_iam(variables: &[(&'static str, &str)]) -> Result<Config, ConfigError> {
    config(&[&IAM, &AWS, variables].concat())
}

fn aws(config: &Config) -> &Aws {
    let Credentials::Iam(aws) = &config.database.credentials else { panic!("{:?}", config.database.credentials) };
    aws
}

#[test]
fn iam_takes_what_lambda_sets_and_tls_is_verified() {
    let config = with_iam(&[("DB_PASSWORD", ""), ("DATABASE_URL", "")]).unwrap();
    assert_eq!((config.database.host.as_str(), config.database.port), ("db.internal", 5432));
    assert_eq!(config.database.tls, Tls::VerifyFull { ca_file: None });
    let aws = aws(&config);
    assert_eq!((aws.region.as_str(), aws.access_key_id.as_str()), ("eu-central-1", "ASIAIOSFODNN7EXAMPLE"));
    assert_eq!(aws.secret_access_key.expose_secret(), AWS[2].1);
    assert_eq!(aws.session_token.as_ref().unwrap().expose_secret(), AWS[3].1);
}

#[test]
fn the_default_region_stands_in_for_the_region_and_permanent_credentials_have_no_session_token() {
    let config = with_iam(&[("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "us-gov-west-1"), ("AWS_SESSION_TOKEN", "")]).unwrap();
    assert_eq!(aws(&config).region, "us-gov-west-1");
    assert!(aws(&config).session_token.is_none());
    let config = with_iam(&[("AWS_DEFAULT_REGION", "us-east-1")]).unwrap();
    assert_eq!(aws(&config).region, "eu-central-1", "AWS_REGION comes first");
}

#[test]
fn a_password_does_not_ask_for_what_lambda_sets() {
    assert!(config(&[URL, ("AWS_REGION", "not a region"), ("AWS_ACCESS_KEY_ID", "")]).is_ok());
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
    let shown = format!("{:?}", with_iam(&[]).unwrap());
    assert!(shown.contains(AWS[1].1) && !shown.contains(AWS[2].1) && !shown.contains(AWS[3].1), "{shown}");
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
    let iam = |extra: &[(&'static str, &'static str)]| [&IAM, &AWS, extra].concat();
    let long = |characters| -> &'static str { "a".repeat(characters).leak() };
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
        ("iam with a URL", iam(&[URL]), "DATABASE_URL"),
        ("iam with a password", iam(&[("DB_PASSWORD", "s/cret")]), "DB_PASSWORD"),
        ("iam with a password file", iam(&[("DB_PASSWORD_FILE", "/x")]), "DB_PASSWORD_FILE"),
        ("iam in plain text", iam(&[("DB_TLS", "disable")]), "DB_TLS"),
        ("iam without a host", iam(&[("DB_HOST", "")]), "DB_HOST"),
        ("iam with a socket", iam(&[("DB_HOST", "/var/run/postgresql")]), "DB_HOST"),
        ("iam with a port in the host", iam(&[("DB_HOST", "db.internal:5432")]), "DB_HOST"),
        ("iam with a host beyond DNS", iam(&[("DB_HOST", long(254))]), "DB_HOST"),
        ("iam without a user", iam(&[("DB_USER", "")]), "DB_USER"),
        ("iam without a region", iam(&[("AWS_REGION", "")]), "AWS_REGION"),
        ("iam with an availability zone's case", iam(&[("AWS_REGION", "EU-central-1")]), "AWS_REGION"),
        ("iam with a bad default region", iam(&[("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "eu/1")]), "AWS_DEFAULT_REGION"),
        ("iam without a key id", iam(&[("AWS_ACCESS_KEY_ID", "")]), "AWS_ACCESS_KEY_ID"),
        ("iam with a slash in the key id", iam(&[("AWS_ACCESS_KEY_ID", "A/B")]), "AWS_ACCESS_KEY_ID"),
        ("iam without a key", iam(&[("AWS_SECRET_ACCESS_KEY", "")]), "AWS_SECRET_ACCESS_KEY"),
        ("iam with white space in the key", iam(&[("AWS_SECRET_ACCESS_KEY", "s/cret\n")]), "AWS_SECRET_ACCESS_KEY"),
        ("iam with a session token cut by a line", iam(&[("AWS_SESSION_TOKEN", "s/cret s/cret")]), "AWS_SESSION_TOKEN"),
        ("iam with a huge session token", iam(&[("AWS_SESSION_TOKEN", long(8_193))]), "AWS_SESSION_TOKEN"),
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

#[test]
fn a_proxy_has_a_name_as_rds_allows_it_or_none() {
    assert_eq!(config(&[URL, ("DB_PROXY_NAME", "")]).unwrap().proxy_name, None);
    assert_eq!(config(&[URL, ("DB_PROXY_NAME", "thaw-1")]).unwrap().proxy_name.as_deref(), Some("thaw-1"));
    for wrong in ["1thaw", "thaw_1", "thaw.proxy-x.eu-west-1.rds.amazonaws.com", &"x".repeat(64)] {
        assert_eq!(config(&[URL, ("DB_PROXY_NAME", wrong)]).unwrap_err().variable(), "DB_PROXY_NAME", "{wrong}");
    }
}

#[test]
fn the_api_of_rds_is_asked_where_both_it_and_a_proxy_are_named() {
    let endpoint = ("AWS_ENDPOINT_URL_RDS", "https://vpce-1.rds.eu-central-1.vpce.amazonaws.com");
    let name = ("DB_PROXY_NAME", "thaw");
    for some in [&[URL][..], &[URL, name], &[URL, endpoint]] {
        assert!(config(some).unwrap().proxy_api.is_none(), "{some:?}");
    }
    let both = [&[URL, name, endpoint], &AWS[..]].concat();
    let api = config(&both).unwrap().proxy_api.unwrap();
    assert_eq!((api.proxy_name.as_str(), api.endpoint.as_str(), api.aws.region.as_str()), ("thaw", &*format!("{}/", endpoint.1), "eu-central-1"));
    assert_eq!(config(&[URL, name, endpoint]).unwrap_err().variable(), "AWS_REGION", "a call has to be signed");
    for wrong in ["rds", "http://rds.internal", "ftp://127.0.0.1", "https://"] {
        let variables = [&[URL, name, ("AWS_ENDPOINT_URL_RDS", wrong)], &AWS[..]].concat();
        assert_eq!(config(&variables).unwrap_err().variable(), "AWS_ENDPOINT_URL_RDS", "{wrong}");
    }
    assert!(config(&[&[URL, name, ("AWS_ENDPOINT_URL_RDS", "http://127.0.0.1:5000")], &AWS[..]].concat()).unwrap().proxy_api.is_some());
}
