//! The stand-in's TLS: a certificate authority that lives as long as one start, and a certificate for the addresses by which it is reached.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The names by which the stand-in may be reached that listens at `address`.
pub(super) fn names(address: IpAddr) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    if !address.is_loopback() {
        names.push(address.to_string());
    }
    names
}

/// What the stand-in shows, and what its clients trust.
pub(super) struct Identity {
    /// The authority's certificate, for `DB_CA_FILE`. Its key is forgotten: it signs nothing else.
    pub(super) authority_pem: String,
    pub(super) tls: Arc<ServerConfig>,
}

impl Identity {
    /// A new authority and a certificate of it for these names.
    ///
    /// # Errors
    /// No random numbers are to be had.
    pub(super) fn generate(names: &[String]) -> Result<Self> {
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "thaw local database authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?).context("cannot make a certificate authority")?;
        let key = KeyPair::generate()?;
        let mut server = CertificateParams::new(names)?;
        server.distinguished_name.push(DnType::CommonName, "thaw local database proxy");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = server.signed_by(&key, &authority).context("cannot make a certificate")?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut tls = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?;
        // No client of ours resumes a session, and tickets look like an answer to whoever counts round trips.
        tls.send_tls13_tickets = 0;
        Ok(Self { authority_pem: authority.pem(), tls: Arc::new(tls) })
    }
}

/// Named, since a build may hold several.
pub(super) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
