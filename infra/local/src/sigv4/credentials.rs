//! AWS credentials that mean nothing to AWS.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq as _;

/// What AWS uses in key ids: base32, without the digits that look like letters.
const KEY_ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// About as long as AWS's, so that what is too short for one is found out here.
const SESSION_TOKEN_BYTES: usize = 750;

/// Credentials as a function's role has them, which only this machine knows.
#[derive(Debug, Clone)]
pub struct LocalCredentials {
    /// Says whose the credentials are; not secret.
    pub access_key_id: String,
    /// What tokens are signed with.
    pub secret_access_key: SecretString,
    /// Temporary credentials, which those of a role are, have one.
    pub session_token: Option<SecretString>,
}

impl LocalCredentials {
    /// New ones, in the form of a role's: `ASIA…`, 40 characters of secret, a long session token.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn generate() -> Result<Self> {
        let id = random::<16>()?.map(|byte| char::from(KEY_ID_ALPHABET[usize::from(byte % 32)]));
        Ok(Self {
            access_key_id: format!("ASIA{}", id.iter().collect::<String>()),
            secret_access_key: STANDARD.encode(random::<30>()?).into(),
            session_token: Some(STANDARD.encode(random::<SESSION_TOKEN_BYTES>()?).into()),
        })
    }

    /// What SAM CLI gives to every function where the machine has no credentials: known to all, and of no use in AWS.
    /// Source: `samcli/local/lambdafn/env_vars.py` of SAM CLI 1.170.
    #[must_use]
    pub fn of_sam_local() -> Self {
        Self { access_key_id: "defaultkey".to_owned(), secret_access_key: "defaultsecret".into(), session_token: None }
    }

    /// Whether this is their session token, or none where they have none. Takes as long for a wrong one as for the right one.
    pub(crate) fn have_session_token(&self, token: Option<&str>) -> bool {
        match (&self.session_token, token) {
            (None, None) => true,
            (Some(own), Some(token)) => own.expose_secret().as_bytes().ct_eq(token.as_bytes()).into(),
            _ => false,
        }
    }

    /// The variables in which Lambda gives credentials to a function. Secrets are among them.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::from([
            ("AWS_ACCESS_KEY_ID".to_owned(), self.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), self.secret_access_key.expose_secret().to_owned()),
        ]);
        if let Some(token) = &self.session_token {
            environment.insert("AWS_SESSION_TOKEN".to_owned(), token.expose_secret().to_owned());
        }
        environment
    }
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow!("the system gives no random numbers for the local credentials"))?;
    Ok(bytes)
}
