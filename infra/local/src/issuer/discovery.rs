//! What an authorizer reads of an issuer: OpenID Connect Discovery 1.0 and the JWK set.

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use serde_json::{Value, json};

/// The paths are at the root of the issuer's origin, so its URL may not have a path.
pub(super) fn check_url(url: &str) -> Result<()> {
    let wanted = "write it as scheme and authority only, for example http://127.0.0.1:3001";
    let uri: Uri = url.parse().with_context(|| format!("the issuer URL {url:?} is malformed; {wanted}"))?;
    let is_origin = matches!(uri.scheme_str(), Some("http" | "https")) && uri.path_and_query().is_none_or(|rest| rest == "/");
    ensure!(is_origin && !url.ends_with('/'), "the issuer URL {url:?} is not an origin; {wanted}");
    Ok(())
}

/// The discovery document names no authorization or token endpoint, because there is none: tokens come from the command line.
pub(super) fn router(url: &str, jwks: &Value) -> Router {
    let configuration = json!({
        "issuer": url,
        "jwks_uri": format!("{url}/.well-known/jwks.json"),
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    let document = |value: &Value| {
        let text = value.to_string();
        get(move || async move { ([(CONTENT_TYPE, "application/json")], text) })
    };
    Router::new().route("/.well-known/openid-configuration", document(&configuration)).route("/.well-known/jwks.json", document(jwks))
}
