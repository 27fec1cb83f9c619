//! RSA signatures of tokens with ring. The JWT library's own providers would bring aws-lc (a minute of C) or a dozen more crates.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::jwk::ThumbprintHash;
use jsonwebtoken::signature::{Error, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{self, RsaEncoding, RsaKeyPair, RsaParameters, RsaPublicKeyComponents};

/// Signs RS256, verifies every RSA algorithm (RFC 7518, sections 3.3 and 3.5), and knows no other.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(Rs256::new(*algorithm, key)?)),
    verifier_factory: |algorithm, key| Ok(Box::new(PublicKey::new(*algorithm, key)?)),
    key_utils: KeyUtils { compute_digest: thumbprint_digest, ..KeyUtils::new_unimplemented() },
};

/// Makes the JWT library sign and verify with ring. Call it before either; a second call does nothing.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    // It fails only if a provider is installed already, and this is the only place that installs one.
    INSTALLED.call_once(|| {
        let _ = PROVIDER.install_default();
    });
}

struct Rs256(RsaKeyPair);

impl Rs256 {
    fn new(algorithm: Algorithm, key: &EncodingKey) -> Result<Self> {
        if algorithm != Algorithm::RS256 {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        let pair = RsaKeyPair::from_pkcs8(key.as_bytes()).map_err(|_| ErrorKind::InvalidKeyFormat)?;
        Ok(Self(pair))
    }
}

impl Signer<Vec<u8>> for Rs256 {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        let mut signature = vec![0; self.0.public().modulus_len()];
        let encoding: &'static dyn RsaEncoding = &signature::RSA_PKCS1_SHA256;
        self.0.sign(encoding, &SystemRandom::new(), message, &mut signature).map_err(|_| Error::new())?;
        Ok(signature)
    }
}

impl JwtSigner for Rs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}

struct PublicKey {
    algorithm: Algorithm,
    parameters: &'static RsaParameters,
    components: RsaPublicKeyComponents<Vec<u8>>,
}

impl PublicKey {
    fn new(algorithm: Algorithm, key: &DecodingKey) -> Result<Self> {
        let parameters = match algorithm {
            Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return Err(ErrorKind::InvalidAlgorithm.into()),
        };
        let DecodingKeyKind::RsaModulusExponent { n, e } = key.kind() else { return Err(ErrorKind::InvalidKeyFormat.into()) };
        Ok(Self { algorithm, parameters, components: RsaPublicKeyComponents { n: n.clone(), e: e.clone() } })
    }
}

impl Verifier<Vec<u8>> for PublicKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        self.components.verify(self.parameters, message, signature).map_err(|_| Error::new())
    }
}

impl JwtVerifier for PublicKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

fn thumbprint_digest(data: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>> {
    let algorithm = match hash {
        ThumbprintHash::SHA256 => &digest::SHA256,
        ThumbprintHash::SHA384 => &digest::SHA384,
        ThumbprintHash::SHA512 => &digest::SHA512,
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    Ok(digest::digest(algorithm, data).as_ref().to_vec())
}
