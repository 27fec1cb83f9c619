//! `CorsConfiguration` of an HTTP API.
//!
//! <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-httpapi-httpapicorsconfiguration.html>

use anyhow::{Context, Result, bail};

use super::intrinsics::Resolver;
use super::yaml::{Node, Value};

/// Which pages of other origins may call the API from a browser.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cors {
    /// Origins, `*`, `http://*` or `https://*`.
    pub allow_origins: Vec<String>,
    /// Methods that they may use.
    pub allow_methods: Vec<String>,
    /// Headers that they may send.
    pub allow_headers: Vec<String>,
    /// Headers that they may read.
    pub expose_headers: Vec<String>,
    /// How long a browser may remember the answer to a preflight.
    pub max_age_s: Option<u32>,
    /// Whether cookies go along.
    pub allow_credentials: bool,
}

/// The one configuration of the template's APIs: the local cloud serves them as one.
pub(super) fn read(resolver: &Resolver) -> Result<Option<Cors>> {
    let mut found: Option<Cors> = None;
    for resource in resolver.serverless("HttpApi")? {
        let what = format!("CorsConfiguration of {}", resource.logical_id);
        // SAM passes an intrinsic function on, with the names inside as they are in a configuration; but one in AllowOrigins it takes for the
        // whole, and drops the rest.
        let origins = resource.properties.get("CorsConfiguration").and_then(|written| written.get("AllowOrigins"));
        if let Some(node) = origins.filter(|node| node.intrinsic().is_some()) {
            bail!("line {}: AllowOrigins of the {what} must be a list; an intrinsic function such as !If goes around the whole", node.line);
        }
        let Some(node) = resource.property(resolver, "CorsConfiguration")? else { continue };
        let cors = parse(&node, &what)?;
        if found.as_ref().is_some_and(|other| *other != cors) {
            bail!("line {}: {what} differs from that of another API, and the local cloud serves both as one", node.line);
        }
        found = Some(cors);
    }
    Ok(found)
}

fn parse(node: &Node, what: &str) -> Result<Cors> {
    if *node == Node::text(node.line, "true") {
        return Ok(Cors { allow_origins: vec!["*".to_owned()], ..Cors::default() });
    }
    let mut cors = Cors::default();
    for (key, value) in node.entries(what)? {
        let what = format!("{key} of the {what}");
        match key.as_str() {
            "AllowOrigins" => cors.allow_origins = texts(value, &what)?,
            "AllowMethods" => cors.allow_methods = texts(value, &what)?,
            "AllowHeaders" => cors.allow_headers = texts(value, &what)?,
            "ExposeHeaders" => cors.expose_headers = texts(value, &what)?,
            "MaxAge" => {
                let text = value.as_text(&what)?;
                cors.max_age_s = Some(text.parse().with_context(|| format!("line {}: {what} must be whole seconds, not {text}", value.line))?);
            }
            "AllowCredentials" => cors.allow_credentials = value.as_text(&what)? == "true",
            _ => bail!("line {}: there is no {what}", value.line),
        }
    }
    if cors.allow_credentials && cors.allow_origins.iter().any(|origin| origin == "*") {
        bail!("line {}: {what} cannot have AllowCredentials with AllowOrigins '*'", node.line);
    }
    Ok(cors)
}

fn texts(node: &Node, what: &str) -> Result<Vec<String>> {
    match &node.value {
        Value::List(items) => items.iter().map(|item| Ok(item.as_text(what)?.to_owned())).collect(),
        _ => bail!("line {}: {what} must be a list", node.line),
    }
}
