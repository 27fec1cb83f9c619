//! TLS for a server of the tests: an authority, one below it, and a certificate for the loopback names.

use std::path::PathBuf;

use local::postgres::account;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256};
use rsa::Generate as _;
use rsa::pkcs8::EncodePrivateKey as _;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tempfile::TempDir;

const AUTHORITY: &str = "authority.pem";
const CHAIN: &str = "server.pem";
const KEY: &str = "server.key";

/// What a server needs for TLS, in a directory that goes with this value. As in the public chains that clients meet, the keys are RSA with
/// 2048 bits, and an intermediate authority stands between the server and the one that is trusted.
pub struct ServerCertificate {
    directory: TempDir,
}

impl ServerCertificate {
    /// A new authority, and a certificate for `localhost` and the loopback addresses.
    #[must_use]
    pub fn generate() -> Self {
        let root = CertifiedIssuer::self_signed(authority("thaw test root", 1), key()).unwrap();
        let intermediate = CertifiedIssuer::signed_by(authority("thaw test intermediate", 0), key(), &root).unwrap();
        let mut server = CertificateParams::new(["localhost", "127.0.0.1", "::1"].map(str::to_owned)).unwrap();
        server.distinguished_name.push(DnType::CommonName, "thaw test server");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = key();
        let server = server.signed_by(&server_key, &intermediate).unwrap();
        let this = Self { directory: account::temporary_directory("thaw-test-tls-").unwrap() };
        std::fs::write(this.file(AUTHORITY), root.pem()).unwrap();
        std::fs::write(this.file(CHAIN), server.pem() + &intermediate.pem()).unwrap();
        this.write_key(&server_key.serialize_pem());
        this
    }

    /// The certificate to trust: the value of `DB_CA_FILE`.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.file(AUTHORITY)
    }

    /// The certificate of the server with the one between, and its key, as files.
    #[must_use]
    pub fn chain_and_key(&self) -> [PathBuf; 2] {
        [self.file(CHAIN), self.file(KEY)]
    }

    /// Postgres's settings.
    #[must_use]
    pub fn settings(&self) -> [(&'static str, String); 3] {
        [("ssl", "on".to_owned()), ("ssl_cert_file", self.file(CHAIN).display().to_string()), ("ssl_key_file", self.file(KEY).display().to_string())]
    }

    /// Postgres refuses a key that others can read, and one of another account.
    fn write_key(&self, pem: &str) {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.file(KEY)).unwrap();
        file.write_all(pem.as_bytes()).unwrap();
        if let Some(account) = account::server_account().unwrap() {
            account.own(&self.file(KEY)).unwrap();
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn key() -> KeyPair {
    let der = rsa::PrivateKey::generate().to_pkcs8_der().unwrap();
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der.as_bytes()), &PKCS_RSA_SHA256).unwrap()
}

fn authority(name: &str, below: u8) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}
