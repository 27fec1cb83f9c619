//! The issuer's RSA key: one file, made once.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, CommonParameters, Jwk, KeyAlgorithm, PublicKeyUse, RSAKeyParameters, RSAKeyType, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::signature::{KeyPair as _, RsaKeyPair, RsaPublicKeyComponents};
use rsa::pkcs8::EncodePrivateKey as _;
use rsa::{Generate as _, PrivateKey};
use serde::Serialize;

use super::rs256;

/// An unencrypted PKCS#8 key in DER.
const FILE_NAME: &str = "issuer-key.p8";

/// A private key and the JWK that verifies it.
pub(super) struct SigningKey {
    private: EncodingKey,
    public: Jwk,
    /// The protected header of every token.
    header: Header,
}

impl SigningKey {
    pub(super) fn load_or_create(directory: &Path) -> Result<Self> {
        rs256::install();
        let path = directory.join(FILE_NAME);
        loop {
            match fs::read(&path) {
                Ok(der) => {
                    return Self::new(&der).with_context(|| {
                        format!(
                            "the issuer's key file {} is damaged; delete it to get a new key, which ends the tokens signed so far",
                            path.display()
                        )
                    });
                }
                Err(error) if error.kind() == ErrorKind::NotFound => create(directory, &path)?,
                Err(error) => return Err(error).with_context(|| format!("cannot read the issuer's key file {}", path.display())),
            }
        }
    }

    fn new(pkcs8: &[u8]) -> Result<Self> {
        let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|error| anyhow!("not an RSA key in PKCS#8: {error}"))?;
        let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let parameters = RSAKeyParameters { key_type: RSAKeyType::RSA, n: URL_SAFE_NO_PAD.encode(n), e: URL_SAFE_NO_PAD.encode(e) };
        let common = CommonParameters {
            key_algorithm: Some(KeyAlgorithm::RS256),
            public_key_use: Some(PublicKeyUse::Signature),
            ..CommonParameters::default()
        };
        let mut public = Jwk { common, algorithm: AlgorithmParameters::RSA(parameters) };
        let key_id = public.thumbprint(ThumbprintHash::SHA256).context("cannot name the issuer's key")?; // RFC 7638
        public.common.key_id = Some(key_id.clone());
        let header = Header { kid: Some(key_id), ..Header::new(Algorithm::RS256) };
        Ok(Self { private: EncodingKey::from_rsa_der(pkcs8), public, header })
    }

    pub(super) fn public(&self) -> &Jwk {
        &self.public
    }

    /// A compact JWS (RFC 7515, section 7.1).
    pub(super) fn sign<C: Serialize>(&self, claims: &C) -> Result<String> {
        jsonwebtoken::encode(&self.header, claims, &self.private).context("the token cannot be signed")
    }
}

/// Writes a new key beside its final name and moves it there, unless another process was first.
fn create(directory: &Path, path: &Path) -> Result<()> {
    let failed = || format!("cannot create the issuer's key file {}", path.display());
    fs::create_dir_all(directory).with_context(failed)?;
    // 2,048 bits.
    let key = PrivateKey::try_generate().context("cannot generate the issuer's RSA key")?;
    let der = key.to_pkcs8_der().context("cannot write the issuer's RSA key as PKCS#8")?;
    // Temporary files are made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory).with_context(failed)?;
    file.write_all(der.as_bytes()).with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => bail!(anyhow!(error.error).context(failed())),
    }
}
