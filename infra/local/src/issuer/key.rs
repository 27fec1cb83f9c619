//! The issuer's RSA key: one file, made once.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::Serialize;

/// An unencrypted PKCS#8 key in DER.
const FILE_NAME: &str = "issuer-key.p8";

/// A private key and the JWK that verifies it.
pub(super) struct SigningKey {
    pair: RsaKeyPair,
    public: Jwk,
    /// The protected header of every token, encoded.
    header: String,
}

impl SigningKey {
    pub(super) fn load_or_create(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE_NAME);
        loop {
            match fs::read(&path) {
                Ok(der) => {
                    let pair = RsaKeyPair::from_pkcs8(&der).map_err(|_| {
                        anyhow!(
                            "the issuer's key file {} is damaged; delete it to get a new key, which ends the tokens signed so far",
                            path.display()
                        )
                    })?;
                    return Self::new(pair);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => create(directory, &path)?,
                Err(error) => return Err(error).with_context(|| format!("cannot read the issuer's key file {}", path.display())),
            }
        }
    }

    fn new(pair: RsaKeyPair) -> Result<Self> {
        let verifying = DecodingKey::from_rsa_der(pair.public_key().as_ref());
        let mut public = Jwk::from_decoding_key(&verifying, Some(Algorithm::RS256)).context("cannot publish the issuer's key")?;
        let key_id = public.thumbprint(ThumbprintHash::SHA256).context("cannot name the issuer's key")?; // RFC 7638
        public.common.key_id = Some(key_id.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        let header = Header { kid: Some(key_id), ..Header::new(Algorithm::RS256) };
        Ok(Self { pair, public, header: encode(&header)? })
    }

    pub(super) fn public(&self) -> &Jwk {
        &self.public
    }

    /// A compact JWS (RFC 7515, section 7.1). Signed here, because the JWT library wants the key in PKCS#1, which the key's maker does not
    /// write.
    pub(super) fn sign<C: Serialize>(&self, claims: &C) -> Result<String> {
        let message = format!("{}.{}", self.header, encode(claims)?);
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .map_err(|_| anyhow!("the issuer's key cannot sign"))?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Writes a new key beside its final name and moves it there, unless another process was first.
fn create(directory: &Path, path: &Path) -> Result<()> {
    let failed = || format!("cannot create the issuer's key file {}", path.display());
    fs::create_dir_all(directory).with_context(failed)?;
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| anyhow!("cannot generate the issuer's RSA key"))?;
    let der = pair.as_der().map_err(|_| anyhow!("cannot write the issuer's RSA key as PKCS#8"))?;
    // Temporary files are made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory).with_context(failed)?;
    file.write_all(der.as_ref()).with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => bail!(anyhow!(error.error).context(failed())),
    }
}

fn encode<T: Serialize>(part: &T) -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).context("the token's claims cannot be written as JSON")?))
}
