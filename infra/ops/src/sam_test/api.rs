//! `sam local start-api`: each route once, and one again while its container is warm.

use std::time::Duration;

use anyhow::{Context as _, Result};
use local::template::{Authorization, Route};
use reqwest::Method;

use crate::http_client;
use serde::Serialize;

/// A container starts with the first request.
const LIMIT: Duration = Duration::from_secs(60);

/// In the place of a path's parameter.
const ID: &str = "019406c9-5f5a-7fde-b1c7-135cc2ed2be4";

/// A request and its answer.
#[derive(Debug, Serialize)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) status: u16,
    pub(super) expected: &'static [u16],
}

impl Asked {
    pub(super) fn is_good(&self) -> bool {
        self.expected.contains(&self.status)
    }
}

/// What a route may answer without its authorizer, which SAM CLI has none of for JWT and IAM: the functions themselves let nobody in.
fn expected(route: &Route) -> &'static [u16] {
    match route.authorization {
        Authorization::Open => &[200],
        Authorization::Jwt(_) => &[401],
        Authorization::Iam => &[401, 403],
    }
}

/// Asks every route, and each that is open once more.
///
/// # Errors
/// No answer comes.
pub(super) async fn ask_all(url: &str, routes: &[Route]) -> Result<Vec<Asked>> {
    let client = http_client::builder().timeout(LIMIT).no_proxy().build().context("no HTTP client")?;
    let mut all = Vec::new();
    for route in routes {
        let times = if route.authorization == Authorization::Open { 2 } else { 1 };
        for _ in 0..times {
            all.push(ask(&client, url, route).await?);
        }
    }
    Ok(all)
}

async fn ask(client: &reqwest::Client, url: &str, route: &Route) -> Result<Asked> {
    let path: Vec<&str> = route.path.split('/').map(|part| if part.starts_with('{') { ID } else { part }).collect();
    let path = path.join("/");
    let method = Method::from_bytes(route.method.as_bytes()).with_context(|| format!("{} is no method", route.method))?;
    let mut request = client.request(method.clone(), format!("{url}{path}")).bearer_auth("header.payload.signature");
    if matches!(method, Method::POST | Method::PATCH) {
        request = request.header("content-type", "application/json").body("{}");
    }
    let answer = request.send().await.with_context(|| format!("{method} {path} is not answered"))?;
    Ok(Asked { method: route.method.clone(), path, status: answer.status().as_u16(), expected: expected(route) })
}
