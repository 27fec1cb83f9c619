//! Which route takes a request.
//!
//! The priority is API Gateway's: "full match for a route and method", then a match with a greedy path variable, then `$default`
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html#http-api-develop-routes.evaluation>).
//! Within each, a static segment goes before a path variable and the exact method before `ANY`, "all methods that you haven't defined".
//! There is no 405: a method without a route is as unknown as a path without one. `HEAD` and `OPTIONS` are methods like any other.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};

use crate::template::Route;

/// The routes of an API, ready to be matched.
pub(crate) struct RouteTable {
    entries: Vec<Entry>,
    default: Option<Route>,
}

/// The route that takes a request, with the values of its path variables.
pub(crate) struct Selected<'table> {
    pub(crate) route: &'table Route,
    pub(crate) parameters: BTreeMap<String, String>,
}

struct Entry {
    route: Route,
    segments: Vec<Segment>,
}

/// In order of priority.
#[derive(Debug)]
enum Segment {
    Static(String),
    Variable(String),
    Greedy(String),
}

impl RouteTable {
    /// # Errors
    /// Names the route whose path or method is malformed, or the two routes that nothing tells apart.
    pub(crate) fn new(routes: Vec<Route>) -> Result<Self> {
        let mut table = Self { entries: Vec::new(), default: None };
        for route in routes {
            if route.path == "$default" {
                ensure!(table.default.is_none(), "the template has two $default routes; keep one of them");
                table.default = Some(route);
                continue;
            }
            ensure!(
                !route.method.is_empty() && route.method.bytes().all(|byte| byte.is_ascii_uppercase()),
                "the route {} {} has a malformed method; write it in capitals, as in GET",
                route.method,
                route.path
            );
            let entry = Entry { segments: parse(&route.path)?, route };
            if let Some(other) = table.entries.iter().find(|other| other.takes_the_same_as(&entry)) {
                bail!(
                    "the routes {} {} and {} {} take the same requests; remove one of them",
                    other.route.method,
                    other.route.path,
                    entry.route.method,
                    entry.route.path
                );
            }
            table.entries.push(entry);
        }
        // Sorted once, so that the first match is the best one.
        table.entries.sort_by(Entry::by_priority);
        Ok(table)
    }

    pub(crate) fn routes(&self) -> impl Iterator<Item = &Route> {
        self.entries.iter().map(|entry| &entry.route).chain(&self.default)
    }

    /// The route for `method` and the decoded `path`.
    pub(crate) fn select(&self, method: &str, path: &str) -> Option<Selected<'_>> {
        self.entries
            .iter()
            .filter(|entry| entry.route.method == method || entry.route.method == "ANY")
            .find_map(|entry| entry.parameters(path).map(|parameters| Selected { route: &entry.route, parameters }))
            .or_else(|| self.default.as_ref().map(|route| Selected { route, parameters: BTreeMap::new() }))
    }
}

impl Entry {
    fn is_greedy(&self) -> bool {
        matches!(self.segments.last(), Some(Segment::Greedy(_)))
    }

    fn by_priority(&self, other: &Self) -> Ordering {
        let ranks = |entry: &Self| entry.segments.iter().map(Segment::rank).collect::<Vec<_>>();
        self.is_greedy()
            .cmp(&other.is_greedy())
            .then_with(|| ranks(self).cmp(&ranks(other)))
            .then_with(|| (self.route.method == "ANY").cmp(&(other.route.method == "ANY")))
    }

    fn takes_the_same_as(&self, other: &Self) -> bool {
        self.route.method == other.route.method
            && self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|pair| match pair {
                (Segment::Static(one), Segment::Static(two)) => one == two,
                (one, two) => one.rank() == two.rank(),
            })
    }

    /// The path variables, where the path is one of this route's. No variable is empty.
    fn parameters(&self, path: &str) -> Option<BTreeMap<String, String>> {
        let mut rest = Some(path.strip_prefix('/')?);
        let mut parameters = BTreeMap::new();
        for segment in &self.segments {
            let remaining = rest?;
            let (first, after) = match (segment, remaining.split_once('/')) {
                (Segment::Greedy(_), _) | (_, None) => (remaining, None),
                (_, Some((first, after))) => (first, Some(after)),
            };
            match segment {
                Segment::Static(text) if text == first => {}
                Segment::Variable(name) | Segment::Greedy(name) if !first.is_empty() => {
                    parameters.insert(name.clone(), first.to_owned());
                }
                _ => return None,
            }
            rest = after;
        }
        rest.is_none().then_some(parameters)
    }
}

impl Segment {
    fn rank(&self) -> u8 {
        match self {
            Self::Static(_) => 0,
            Self::Variable(_) => 1,
            Self::Greedy(_) => 2,
        }
    }
}

fn parse(path: &str) -> Result<Vec<Segment>> {
    let Some(rest) = path.strip_prefix('/') else {
        bail!("the route path {path} does not begin with a slash");
    };
    let mut segments = Vec::new();
    for text in rest.split('/') {
        ensure!(
            !matches!(segments.last(), Some(Segment::Greedy(_))),
            "the route path {path} goes on after its greedy variable, which must be the last segment"
        );
        let segment = match text.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
            Some(inner) => match inner.strip_suffix('+') {
                Some(name) => Segment::Greedy(name.to_owned()),
                None => Segment::Variable(inner.to_owned()),
            },
            None => Segment::Static(text.to_owned()),
        };
        let well_formed = match &segment {
            Segment::Static(text) => !text.contains(['{', '}']),
            Segment::Variable(name) | Segment::Greedy(name) => {
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte))
            }
        };
        ensure!(well_formed, "the route path {path} has a malformed variable; a variable is a whole segment, as in {{id}} or {{proxy+}}");
        segments.push(segment);
    }
    Ok(segments)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::template::Authorization;

    fn route(key: &str) -> Route {
        let (method, path) = key.split_once(' ').unwrap_or(("ANY", key));
        Route { method: method.into(), path: path.into(), function: key.into(), authorization: Authorization::Open }
    }

    fn table(keys: &[&str]) -> Result<RouteTable> {
        RouteTable::new(keys.iter().map(|key| route(key)).collect())
    }

    #[test]
    fn best_match_wins_whatever_the_order_of_the_routes() {
        let mut keys = vec![
            "$default",
            "ANY /{proxy+}",
            "GET /pets/{proxy+}",
            "GET /pets/dog/{id}",
            "GET /pets/dog/1",
            "ANY /pets/dog/1",
            "ANY /pets/{kind}/{id}",
            "GET /a/{x}/c",
            "GET /a/b/{y}",
            "GET /",
        ];
        let cases = [
            ("GET", "/pets/dog/1", "GET /pets/dog/1"),
            ("POST", "/pets/dog/1", "ANY /pets/dog/1"),
            ("GET", "/pets/dog/2", "GET /pets/dog/{id}"),
            ("GET", "/pets/cat/1", "ANY /pets/{kind}/{id}"),
            ("GET", "/pets/cat/1/2", "GET /pets/{proxy+}"),
            ("POST", "/pets/cat/1/2", "ANY /{proxy+}"),
            ("GET", "/pets", "ANY /{proxy+}"),
            ("GET", "/pets/", "ANY /{proxy+}"),
            ("POST", "/test/5", "ANY /{proxy+}"),
            ("GET", "/a/b/c", "GET /a/b/{y}"),
            ("GET", "/a/d/c", "GET /a/{x}/c"),
            ("GET", "/", "GET /"),
            ("POST", "/", "$default"),
            ("GET", "", "$default"),
            ("OPTIONS", "*", "$default"),
        ];
        for _ in 0..2 {
            let table = table(&keys).unwrap();
            for (method, path, expected) in cases {
                let selected = table.select(method, path).map(|selected| selected.route.function.clone());
                assert_eq!(selected.as_deref(), Some(expected), "{method} {path}");
            }
            keys.reverse();
        }
    }

    #[test]
    fn unknown_path_and_unknown_method_have_no_route() {
        let table = table(&["GET /a/{id}", "POST /a/b"]).unwrap();
        for (method, path) in [("GET", "/a"), ("GET", "/a/"), ("GET", "/a/b/"), ("GET", "/a/b/c"), ("PUT", "/a/b"), ("get", "/a/b"), ("GET", "//a/b")]
        {
            assert!(table.select(method, path).is_none(), "{method} {path}");
        }
    }

    #[test]
    fn path_variables_hold_the_decoded_segments() {
        let table = table(&["GET /a/{id}/{name}", "GET /files/{path+}"]).unwrap();
        let parameters = |path| table.select("GET", path).unwrap().parameters.into_iter().collect::<Vec<_>>();
        assert_eq!(parameters("/a/1/ü x"), [("id".into(), "1".into()), ("name".into(), "ü x".into())]);
        assert_eq!(parameters("/files/x/y/"), [("path".into(), "x/y/".into())]);
    }

    #[test]
    fn malformed_and_doubled_routes_are_refused_by_name() {
        let cases: [(&[&str], &str); 7] = [
            (&["GET a"], "does not begin with a slash"),
            (&["get /a"], "malformed method"),
            (&["GET /a/{}"], "malformed variable"),
            (&["GET /a/x{id}"], "malformed variable"),
            (&["GET /a/{p+}/b"], "must be the last segment"),
            (&["GET /a/{id}", "GET /a/{name}"], "GET /a/{id} and GET /a/{name}"),
            (&["$default", "$default"], "two $default routes"),
        ];
        for (keys, expected) in cases {
            let message = table(keys).err().unwrap().to_string();
            assert!(message.contains(expected), "{keys:?}: {message}");
        }
    }
}
