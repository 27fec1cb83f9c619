//! The `HttpApi` events of the functions.

use anyhow::{Result, bail};

use super::Route;
use super::api::{self, Api, IMPLICIT_API};
use super::functions::Events;
use super::intrinsics::Resolver;
use super::yaml::Node;

const DEFAULT_PATH: &str = "$default";

/// Every route, in the order of the template.
pub(super) fn read(resolver: &Resolver, functions: &[Events]) -> Result<Vec<Route>> {
    let apis = api::read(resolver)?;
    let mut routes: Vec<Route> = Vec::new();
    for function in functions {
        let Some(events) = &function.events else { continue };
        for (name, event) in events.entries(&format!("Events of {}", function.logical_id))? {
            let event_name = format!("the event {name} of {}", function.logical_id);
            let Some(route) = route(resolver, &apis, &function.function, &event_name, event)? else { continue };
            if let Some(other) = routes.iter().find(|other| other.method == route.method && shape(&other.path) == shape(&route.path)) {
                bail!(
                    "line {}: {} {} of {} takes the same requests as {} {} of {}",
                    event.line,
                    route.method,
                    route.path,
                    route.function,
                    other.method,
                    other.path,
                    other.function
                );
            }
            routes.push(route);
        }
    }
    Ok(routes)
}

/// `None` for an event that is no HTTP request (a schedule, a queue).
fn route(resolver: &Resolver, apis: &[Api], function: &str, event_name: &str, event: &Node) -> Result<Option<Route>> {
    let line = event.line;
    match event.get("Type") {
        Some(kind) => match kind.as_text(&format!("Type of {event_name}"))? {
            "HttpApi" => {}
            "Api" => bail!("line {line}: {event_name} is of the type Api, a REST API; the local cloud serves HttpApi"),
            _ => return Ok(None),
        },
        None => bail!("line {line}: {event_name} has no Type"),
    }
    let properties = match event.get("Properties") {
        Some(properties) => resolver.resolve(properties)?,
        None => None,
    };
    let property = |name: &str| properties.as_ref()?.get(name);
    let api_id = match property("ApiId") {
        Some(id) => id.as_text(&format!("ApiId of {event_name}"))?,
        None => IMPLICIT_API,
    };
    let Some(api) = apis.iter().find(|api| api.logical_id == api_id) else {
        bail!("line {line}: {event_name} belongs to the API {api_id}, which is no AWS::Serverless::HttpApi of this template");
    };
    // SAM: neither of the two is the route $default, one alone is a mistake.
    let (path, method) = match (property("Path"), property("Method")) {
        (Some(path), Some(method)) => (path.as_text(&format!("Path of {event_name}"))?, method.as_text(&format!("Method of {event_name}"))?),
        (None, None) => (DEFAULT_PATH, "ANY"),
        (Some(_), None) => bail!("line {line}: {event_name} has a Path, but no Method"),
        (None, Some(_)) => bail!("line {line}: {event_name} has a Method, but no Path"),
    };
    check_path(path, event_name, line)?;
    let method = match method {
        _ if path == DEFAULT_PATH => "ANY".to_owned(),
        "x-amazon-apigateway-any-method" => "ANY".to_owned(),
        _ if !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_alphabetic()) => method.to_ascii_uppercase(),
        _ => bail!("line {line}: Method of {event_name} must be an HTTP method or ANY, not {method}"),
    };
    let authorization = api.authorization(property("Auth"), line)?;
    Ok(Some(Route { method, path: path.to_owned(), function: function.to_owned(), authorization }))
}

/// API Gateway's syntax: a segment is a text or `{name}`, the last one may be `{name+}`.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html>
fn check_path(path: &str, event_name: &str, line: usize) -> Result<()> {
    if path == DEFAULT_PATH {
        return Ok(());
    }
    let Some(segments) = path.strip_prefix('/') else {
        bail!("line {line}: Path of {event_name} must begin with / or be $default, not {path}");
    };
    let mut segments = segments.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        let valid = match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => {
                let bare = name.strip_suffix('+').filter(|_| last).unwrap_or(name);
                !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
            }
            None => !segment.contains(['{', '}']) && (!segment.is_empty() || path == "/"),
        };
        if !valid {
            bail!("line {line}: Path of {event_name} must consist of texts, {{name}} and a last {{name+}}, and {path} has '{segment}'");
        }
    }
    Ok(())
}

/// The path without the names of its variables, which make no difference to what it matches.
fn shape(path: &str) -> String {
    let segments = path.split('/').map(|segment| match (segment.starts_with('{'), segment.ends_with("+}")) {
        (true, true) => "{+}",
        (true, false) => "{}",
        _ => segment,
    });
    segments.collect::<Vec<_>>().join("/")
}
