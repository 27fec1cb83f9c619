mod accepted;
mod refused;

use std::time::{Duration, UNIX_EPOCH};

use super::signer::Signer;
use super::*;
use crate::sigv4::REGION;

const URL: &str = "http://127.0.0.1:3000/api/debug/reset-db?scope=fleet&n=1";
const BODY: &[u8] = br#"{"scope":"fleet","reason":"drill"}"#;

fn at(s: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000 + s)
}

fn signer() -> Signer {
    Signer { credentials: LocalCredentials::generate().unwrap(), region: REGION, service: "execute-api", at: at(1_000), with_digest: false }
}

fn authorizer(signer: &Signer) -> IamAuthorizer {
    IamAuthorizer::new("000000000000", REGION).with(&signer.credentials, "thaw-local", "operator")
}

fn verdict(authorizer: &IamAuthorizer, head: &Parts, body: &[u8], now: SystemTime) -> Result<Principal, Refusal> {
    authorizer.examine(head, now)?.prove(body)
}

/// A request that is accepted, and who accepts it.
fn accepted() -> (IamAuthorizer, Parts) {
    let signer = signer();
    (authorizer(&signer), signer.head("POST", URL, &[("content-type", "application/json")], BODY))
}
