//! SCRAM-SHA-256 verifiers: what Postgres stores in place of a password.
//!
//! `ALTER ROLE … PASSWORD` takes no bind parameter, so a plain password would stand in the
//! statement's text and from there reach server logs and `pg_stat_statements`. A verifier does not
//! open a session, and Postgres takes it as it is.

use anyhow::{anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Postgres' own default; RFC 7677 asks for at least this.
const ITERATIONS: u32 = 4096;

/// The verifier of `password` under a fresh salt, in the form that Postgres stores
/// (`SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`; keys as in RFC 5802, section 3).
///
/// # Errors
/// When `password` is empty or holds anything but printable ASCII: other characters would need
/// SASLprep before hashing.
pub(crate) fn verifier(password: &str) -> anyhow::Result<String> {
    ensure!(
        !password.is_empty() && password.bytes().all(|byte| matches!(byte, b' '..=b'~')),
        "a role's password must be printable ASCII and not empty"
    );
    // A salt has to be new each time, not secret: a UUIDv7 is.
    verifier_with_salt(password, Uuid::now_v7().as_bytes(), ITERATIONS)
}

fn verifier_with_salt(password: &str, salt: &[u8], iterations: u32) -> anyhow::Result<String> {
    let salted_password = salted(password.as_bytes(), salt, iterations)?;
    let client_key = sign(&keyed(&salted_password)?, &[b"Client Key"]);
    let server_key = sign(&keyed(&salted_password)?, &[b"Server Key"]);
    let stored_key = Sha256::digest(client_key);
    Ok(format!("SCRAM-SHA-256${iterations}:{}${}:{}", STANDARD.encode(salt), STANDARD.encode(stored_key), STANDARD.encode(server_key),))
}

/// `Hi` of RFC 5802, section 2.2.
fn salted(password: &[u8], salt: &[u8], iterations: u32) -> anyhow::Result<[u8; 32]> {
    let key = keyed(password)?;
    let mut block = sign(&key, &[salt, &1_u32.to_be_bytes()]);
    let mut sum = block;
    for _ in 1..iterations {
        block = sign(&key, &[&block]);
        sum.iter_mut().zip(block).for_each(|(sum, byte)| *sum ^= byte);
    }
    Ok(sum)
}

fn keyed(key: &[u8]) -> anyhow::Result<Hmac<Sha256>> {
    Hmac::new_from_slice(key).map_err(|_| anyhow!("a SCRAM key of {} bytes is not possible", key.len()))
}

fn sign(key: &Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = key.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn verifier_is_the_one_a_server_computes() {
        // Taken from pg_authid after `create role … password 'pencil'` on PostgreSQL 15.
        let expected = "SCRAM-SHA-256$4096:7vE2TaEUXEgwuXtx1sSByw==\
            $sE1RY7JYFZHKyW+WykJpfo8icsKrErZvf6FIDz6WLWk=:gJf4Ww/diL6msC/U8ye513AtU9dsWTrAAVr63rV7MVs=";
        let salt = STANDARD.decode("7vE2TaEUXEgwuXtx1sSByw==").unwrap();
        assert_eq!(verifier_with_salt("pencil", &salt, 4096).unwrap(), expected);
    }

    #[test]
    fn two_verifiers_of_one_password_differ() {
        assert_ne!(verifier("same").unwrap(), verifier("same").unwrap());
    }

    #[test]
    fn password_outside_printable_ascii_is_refused() {
        for password in ["", "naïve", "tab\there", "nul\0"] {
            let error = verifier(password).unwrap_err().to_string();
            assert!(error.contains("printable ASCII"), "{password:?}: {error}");
        }
    }
}
