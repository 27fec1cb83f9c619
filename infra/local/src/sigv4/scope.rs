//! `Credential`: whose signature it is, and for what.

use std::fmt;

/// What ends every scope of this version.
const TERMINATOR: &str = "aws4_request";

/// An access key id with the scope of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) access_key_id: String,
    /// `20261123`.
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
}

impl Scope {
    /// Reads `<access key id>/<date>/<region>/<service>/aws4_request`, for a signature of the time `date`, as `X-Amz-Date` has it.
    pub(crate) fn parse(credential: &str, date: &str) -> Option<Self> {
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key_id, day, region, service, TERMINATOR] = parts[..] else { return None };
        let [access_key_id, day, region, service] = [access_key_id, day, region, service].map(str::to_owned);
        (day.len() == 8 && date.starts_with(&day)).then_some(Self { access_key_id, date: day, region, service })
    }
}

/// As it is signed, without the access key id.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service)
    }
}
