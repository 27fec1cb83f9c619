//! Requests to the API of our own: those that witness a drill, and those of the load switch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use http::Request;

use crate::issuer::Issuer;
use crate::loopback;
use crate::template::{Authorization, Route};

/// More than the gateway gives a function.
const LIMIT: Duration = Duration::from_secs(35);
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// Sends requests as users of the demonstration data.
pub(crate) struct Traffic {
    api_url: String,
    issuer: Arc<Issuer>,
    audience: String,
    lists: Vec<String>,
}

/// What came of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served {
    pub(crate) status: u16,
    pub(crate) took: Duration,
}

impl Traffic {
    /// Asks what signed-in users may list: every GET route without a path variable.
    pub(crate) fn new(api_url: String, issuer: Arc<Issuer>, audience: &str, routes: &[Route]) -> Self {
        let is_list =
            |route: &&Route| route.method == "GET" && matches!(route.authorization, Authorization::Jwt(_)) && !route.path.contains(['{', '$']);
        let lists = routes.iter().filter(is_list).map(|route| route.path.clone()).collect();
        Self { api_url, issuer, audience: audience.to_owned(), lists }
    }

    /// Whether there is anything to ask.
    pub(crate) fn is_possible(&self) -> bool {
        !self.lists.is_empty()
    }

    /// Asks for one of the lists, in turn by `number`, as one of the users of the seed, which are user-1, user-2, …
    ///
    /// # Errors
    /// The API cannot be reached, or there is no list.
    pub(crate) async fn list(&self, user: u64, number: u64) -> Result<Served> {
        let place = usize::try_from(number)? % self.lists.len().max(1);
        let path = self.lists.get(place).ok_or_else(|| anyhow::anyhow!("the template has no list to ask for"))?;
        let token = self.issuer.token(&format!("user-{}", user + 1), &self.audience, TOKEN_LIFETIME)?;
        let request = Request::get(path.as_str()).header("authorization", format!("Bearer {token}"));
        let began = Instant::now();
        let answer = loopback::send(&self.api_url, request, Bytes::new(), LIMIT).await?;
        Ok(Served { status: answer.status, took: began.elapsed() })
    }
}
