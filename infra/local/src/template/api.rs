//! `AWS::Serverless::HttpApi`: which authorizer a route ends up with.
//!
//! Rules: <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-httpapifunctionauth.html>

use anyhow::{Context, Result, bail};

use super::intrinsics::Resolver;
use super::yaml::{Node, Value};
use super::{Authorization, JwtAuthorizer};

/// The id of the API that SAM makes for events that name none.
pub(super) const IMPLICIT_API: &str = "ServerlessHttpApi";

/// An API's `Auth`, resolved; an authorizer is looked at when a route uses it.
pub(super) struct Api {
    pub(super) logical_id: String,
    auth: Option<Node>,
}

/// The APIs of the template, and the implicit one.
pub(super) fn read(resolver: &Resolver) -> Result<Vec<Api>> {
    let mut apis = Vec::new();
    for resource in resolver.serverless("HttpApi")? {
        apis.push(Api { logical_id: resource.logical_id.to_owned(), auth: resource.property(resolver, "Auth")? });
    }
    let globals = resolver.template.get("Globals").and_then(|globals| globals.get("HttpApi")?.get("Auth"));
    let auth = match globals {
        Some(auth) => resolver.resolve(auth)?,
        None => None,
    };
    apis.push(Api { logical_id: IMPLICIT_API.to_owned(), auth });
    Ok(apis)
}

impl Api {
    /// Who may call a route whose event carries `event_auth`; `line` is the event's.
    pub(super) fn authorization(&self, event_auth: Option<&Node>, line: usize) -> Result<Authorization> {
        let own = event_auth.and_then(|auth| auth.get("Authorizer"));
        let Some(node) = own.or_else(|| self.auth.as_ref()?.get("DefaultAuthorizer")) else {
            return Ok(Authorization::Open);
        };
        match node.as_text("Authorizer")? {
            // Only an event may say NONE; an API says nothing instead.
            "NONE" if own.is_some() => Ok(Authorization::Open),
            "AWS_IAM" => self.iam(line),
            name => self.jwt(name, event_auth.and_then(|auth| auth.get("AuthorizationScopes")), line).map(Authorization::Jwt),
        }
    }

    fn iam(&self, line: usize) -> Result<Authorization> {
        let enabled = self.auth.as_ref().and_then(|auth| auth.get("EnableIamAuthorizer"));
        if enabled != Some(&Node::text(line, "true")) {
            bail!("line {line}: AWS_IAM needs EnableIamAuthorizer: true under Auth of {}", self.logical_id);
        }
        Ok(Authorization::Iam)
    }

    fn jwt(&self, name: &str, event_scopes: Option<&Node>, line: usize) -> Result<JwtAuthorizer> {
        let authorizers = self.auth.as_ref().and_then(|auth| auth.get("Authorizers"));
        let Some(definition) = authorizers.and_then(|authorizers| authorizers.get(name)) else {
            bail!("line {line}: {} has no authorizer {name}", self.logical_id);
        };
        let line = definition.line;
        let Some(jwt) = definition.get("JwtConfiguration") else {
            bail!("line {line}: the authorizer {name} has no JwtConfiguration; the local cloud enforces JWT and IAM, not Lambda authorizers");
        };
        let source = definition.get("IdentitySource");
        if source != Some(&Node::text(line, "$request.header.Authorization")) {
            bail!("line {line}: the authorizer {name} must have IdentitySource: $request.header.Authorization, where the local cloud looks");
        }
        let issuer = field(jwt, name, "issuer")?.as_text(&format!("issuer of the authorizer {name}"))?.to_owned();
        let audience = texts(field(jwt, name, "audience")?, &format!("audience of the authorizer {name}"))?;
        if issuer.is_empty() || audience.is_empty() {
            bail!("line {line}: the authorizer {name} needs an issuer and at least one audience");
        }
        // An event's scopes replace the authorizer's; an empty list of them does not.
        let what = format!("AuthorizationScopes for the authorizer {name}");
        let mut scopes = Vec::new();
        for list in [event_scopes, definition.get("AuthorizationScopes")].into_iter().flatten() {
            if scopes.is_empty() {
                scopes = texts(list, &what)?;
            }
        }
        Ok(JwtAuthorizer { name: name.to_owned(), issuer, audience, scopes })
    }
}

/// SAM takes these keys in either case.
fn field<'n>(jwt: &'n Node, authorizer: &str, key: &str) -> Result<&'n Node> {
    let entries = jwt.entries(&format!("JwtConfiguration of the authorizer {authorizer}"))?;
    let found = entries.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
    found.map(|(_, node)| node).with_context(|| format!("line {}: JwtConfiguration of the authorizer {authorizer} has no {key}", jwt.line))
}

/// A list of texts, or one text alone.
fn texts(node: &Node, what: &str) -> Result<Vec<String>> {
    match &node.value {
        Value::List(items) => items.iter().map(|item| Ok(item.as_text(what)?.to_owned())).collect(),
        _ => Ok(vec![node.as_text(what)?.to_owned()]),
    }
}
