//! What tokens and calls of AWS's APIs are signed with: variables that Lambda itself sets in every sandbox.

use secrecy::SecretString;

use super::variables::{ConfigError, Variables};

/// The credentials of the function's IAM role, and the region of the database.
#[derive(Debug, Clone)]
pub struct Aws {
    /// The region that is signed for.
    pub region: String,
    /// Says whose the credentials are; it stands in every signature.
    pub access_key_id: String,
    /// What is signed with.
    pub secret_access_key: SecretString,
    /// Belongs to temporary credentials, which those of a role are.
    pub session_token: Option<SecretString>,
}

/// Longest session token that is taken. AWS names no limit; those of today have one or two thousand characters.
const MAX_SESSION_TOKEN_BYTES: usize = 8_192;

impl Aws {
    pub(super) fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            region: region(variables)?,
            // API reference of IAM, AccessKey: 16 to 128 characters of \w; shorter ones are left to local clouds.
            access_key_id: required(variables, "AWS_ACCESS_KEY_ID", 128, |c| c.is_ascii_alphanumeric() || c == '_')?,
            secret_access_key: required(variables, "AWS_SECRET_ACCESS_KEY", 128, |c| c.is_ascii_graphic())?.into(),
            session_token: match variables.text("AWS_SESSION_TOKEN")? {
                None => None,
                Some(token) => Some(checked("AWS_SESSION_TOKEN", token, MAX_SESSION_TOKEN_BYTES, |c| c.is_ascii_graphic())?.into()),
            },
        })
    }
}

/// There is no default: a token for another region is refused by the server, which says nothing of regions.
fn region(variables: &Variables<'_>) -> Result<String, ConfigError> {
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        if let Some(region) = variables.text(name)? {
            return checked(name, region, 64, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        }
    }
    Err(ConfigError::new(
        "AWS_REGION",
        "is missing (and so is AWS_DEFAULT_REGION), where DB_AUTH is iam or AWS_ENDPOINT_URL_RDS is set: set it to the database's region, as in eu-central-1",
    ))
}

fn required(variables: &Variables<'_>, name: &'static str, max_bytes: usize, allowed: fn(char) -> bool) -> Result<String, ConfigError> {
    match variables.text(name)? {
        Some(text) => checked(name, text, max_bytes, allowed),
        None => Err(ConfigError::new(
            name,
            "is missing, where DB_AUTH is iam or AWS_ENDPOINT_URL_RDS is set: Lambda sets it from the function's role; elsewhere set it yourself",
        )),
    }
}

/// The complaint never repeats the value: most of these are secrets.
fn checked(name: &'static str, text: String, max_bytes: usize, allowed: fn(char) -> bool) -> Result<String, ConfigError> {
    if text.len() > max_bytes {
        return Err(ConfigError::new(name, format!("must have at most {max_bytes} characters, not {}", text.len())));
    }
    match text.chars().position(|c| !allowed(c)) {
        Some(index) => Err(ConfigError::new(name, format!("has a character at position {} that cannot stand there", index + 1))),
        None => Ok(text),
    }
}
