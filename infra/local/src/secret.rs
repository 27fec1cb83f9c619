//! Words that nobody guesses.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};

const BYTES: usize = 24;

/// 192 random bits as letters, digits, `-` and `_`.
///
/// # Errors
/// The system gives no random bytes.
pub(crate) fn random_word() -> Result<String> {
    let mut bytes = [0_u8; BYTES];
    SystemRandom::new().fill(&mut bytes).ok().context("the system gives no random bytes")?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
