use std::collections::BTreeMap;
use std::path::Path;

use super::super::{Authorization, JwtAuthorizer, Template};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");

/// The template of this repository, with the three parameters that have no default and concern functions and routes.
fn template() -> Template {
    let overrides = [("JwtIssuer", "http://127.0.0.1:3000"), ("JwtAudience", "thaw"), ("DbHost", "127.0.0.1")];
    let overrides: BTreeMap<String, String> = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Template::read(Path::new(PATH), &overrides).unwrap()
}

#[test]
fn the_routes_of_this_repository_have_the_authorizers_of_its_design() {
    let jwt = Authorization::Jwt(JwtAuthorizer {
        name: "Jwt".into(),
        issuer: "http://127.0.0.1:3000".into(),
        audience: vec!["thaw".into()],
        scopes: vec![],
    });
    let expected = [
        ("GET", "/api/user/purchased-models", "purchased-models", &jwt),
        ("GET", "/api/models/user-models", "user-models", &jwt),
        ("GET", "/api/debug/db-health", "health", &Authorization::Open),
    ];
    let template = template();
    for (method, path, function, authorization) in expected {
        let route = template.routes.iter().find(|route| route.method == method && route.path == path);
        let route = route.unwrap_or_else(|| panic!("no route {method} {path}"));
        assert_eq!((route.function.as_str(), &route.authorization), (function, authorization), "{method} {path}");
    }
}

#[test]
fn every_route_but_health_asks_who_calls() {
    for route in template().routes {
        assert!(route.authorization != Authorization::Open || route.function == "health", "{} {} is open", route.method, route.path);
    }
}

#[test]
fn every_function_of_this_repository_is_declared_with_the_whole_environment_contract() {
    let contract = "DATABASE_URL DB_HOST DB_PORT DB_NAME DB_USER DB_AUTH DB_PASSWORD DB_PASSWORD_FILE DB_TLS DB_CA_FILE DB_CONNECT_TIMEOUT_MS \
        DB_PING_TIMEOUT_MS DB_ATTEMPT_TIMEOUT_MS DB_MAX_IDLE_MS RETRY_MAX_ATTEMPTS RETRY_BASE_DELAY_MS RETRY_MAX_DELAY_MS RETRY_BUDGET_MS \
        DEADLINE_RESERVE_MS DB_WARM_IN_INIT";
    let template = template();
    for name in ["purchased-models", "user-models", "health"] {
        let function = template.functions.iter().find(|function| function.name == name).unwrap_or_else(|| panic!("no function {name}"));
        for variable in contract.split_whitespace() {
            assert!(function.environment.contains_key(variable), "{name} lacks {variable}");
        }
        assert_eq!(function.environment["DATABASE_URL"], "", "{name}: a URL in the template would bypass IAM");
        assert_eq!((function.environment["DB_AUTH"].as_str(), function.environment["DB_TLS"].as_str()), ("iam", "verify-full"), "{name}");
    }
}
