//! What is served on the API's port beside the API, such as the dashboard of `cargo dev`. API Gateway has no such thing.

use axum::Router;
use axum::body;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use super::response::HttpResponse;

/// Pages beside the API. A route of the template that takes the same request goes before them.
#[derive(Clone)]
pub struct Beside {
    /// Which requests are meant for it.
    pub takes: fn(&Parts) -> bool,
    /// What answers them.
    pub router: Router,
}

impl Beside {
    pub(super) async fn answer(&self, head: Parts, body: Incoming) -> HttpResponse {
        let Ok(response) = TowerToHyperService::new(self.router.clone()).call(Request::from_parts(head, body)).await;
        let (head, body) = response.into_parts();
        match body::to_bytes(body, usize::MAX).await {
            Ok(bytes) => Response::from_parts(head, Full::new(bytes)),
            Err(error) => {
                tracing::error!(%error, "a page beside the API broke off");
                let mut response = Response::new(Full::new(Bytes::new()));
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }
}
