//! Signing in to the stand-in as a person does, with a token in the place of a password.

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use secrecy::{ExposeSecret as _, SecretString};
use shared::config::Aws;
use shared::token::SignIn;
use url::Url;

/// The URL by which `role` signs in now to the stand-in with this [`environment`](super::Proxy::environment). A secret; good for 15 minutes.
///
/// # Errors
/// A variable is missing.
pub fn sign_in_url(environment: &BTreeMap<String, String>, role: &str) -> Result<SecretString> {
    let variable = |name: &str| environment.get(name).map(String::as_str).with_context(|| format!("the stand-in for RDS Proxy gives no {name}"));
    let (host, port) = (variable("DB_HOST")?, variable("DB_PORT")?);
    let aws = Aws {
        region: variable("AWS_REGION")?.to_owned(),
        access_key_id: variable("AWS_ACCESS_KEY_ID")?.to_owned(),
        secret_access_key: variable("AWS_SECRET_ACCESS_KEY")?.into(),
        session_token: environment.get("AWS_SESSION_TOKEN").map(|token| token.as_str().into()),
    };
    let sign_in = SignIn { host, port: port.parse().context("the stand-in's port is no number")?, user: role };
    let token = shared::token::sign(sign_in, &aws, SystemTime::now()).context("no token for the stand-in")?;
    let mut url = Url::parse(&format!("postgres://{host}:{port}/{}", variable("DB_NAME")?)).context("the stand-in's address is no URL")?;
    let failed = "the stand-in's URL takes no user";
    url.set_username(role).ok().context(failed)?;
    url.set_password(Some(token.expose_secret())).ok().context(failed)?;
    url.query_pairs_mut().append_pair("sslmode", "verify-full").append_pair("sslrootcert", variable("DB_CA_FILE")?);
    Ok(String::from(url).into())
}
