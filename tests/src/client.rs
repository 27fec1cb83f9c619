//! An HTTP client for the tests.

use std::sync::Arc;

use serde_json::Value;

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body, as text.
    pub body: String,
}

impl Answer {
    /// Sends the request.
    ///
    /// # Panics
    /// It is not answered.
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("the gateway answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.text().await.expect("the body is whole") }
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// A header's value; empty where it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The `type` of a problem; empty where the answer is none of the functions'.
    #[must_use]
    pub fn problem(&self) -> String {
        let body: Option<Value> = serde_json::from_str(&self.body).ok();
        body.and_then(|body| body["type"].as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// What is the same in all acknowledgements of one wish: the status, the body, the tag and the place.
    #[must_use]
    pub fn acknowledgement(&self) -> (u16, &str, &str, &str) {
        (self.status, &self.body, self.header("etag"), self.header("location"))
    }
}

/// A client for plain HTTP. Each test needs its own: a connection ends with the runtime that it was opened on.
#[must_use]
pub fn http_client() -> reqwest::Client {
    // Loading the machine's roots would take longer than most requests of a test.
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let tls = tls.with_safe_default_protocol_versions().unwrap().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap()
}
