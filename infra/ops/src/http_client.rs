//! The HTTP client of commands.

use reqwest::{Client, ClientBuilder};

/// A client whose TLS is rustls over ring: the build holds no other, and reqwest takes the process's default.
pub(crate) fn builder() -> ClientBuilder {
    // It fails only where the default is set already, which is this one.
    drop(rustls::crypto::ring::default_provider().install_default());
    Client::builder()
}
