use super::super::{Authorization, JwtAuthorizer, Route, Template};
use super::parse;

/// One function with these events, behind an API with this `Auth`.
fn routes(auth: &str, events: &str) -> anyhow::Result<Template> {
    let text = format!(
        "Parameters: {{Audience: {{Type: CommaDelimitedList, Default: 'web,mobile'}}}}
Globals: {{HttpApi: {{Auth: {{EnableIamAuthorizer: true}}}}}}
Resources:
  Api: {{Type: AWS::Serverless::HttpApi, Properties: {{Auth: {auth}}}}}
  F:
    Type: AWS::Serverless::Function
    Metadata: {{BuildProperties: {{Binary: f}}}}
    Properties: {{Events: {events}}}
"
    );
    parse(&text, &[])
}

const AUTH: &str = "{DefaultAuthorizer: Users, Authorizers: {
    Users: {IdentitySource: $request.header.Authorization, JwtConfiguration: {issuer: 'https://users.test', audience: !Ref Audience}},
    Staff: {IdentitySource: $request.header.Authorization, AuthorizationScopes: [staff],
            JwtConfiguration: {Issuer: 'https://staff.test', Audience: [staff]}},
    Lambda: {FunctionArn: !GetAtt F.Arn, AuthorizerPayloadFormatVersion: 2.0},
    Query: {IdentitySource: $request.querystring.token, JwtConfiguration: {issuer: 'https://x.test', audience: [x]}},
    Nobody: {IdentitySource: $request.header.Authorization, JwtConfiguration: {issuer: 'https://x.test', audience: []}},
    Anybody: {IdentitySource: $request.header.Authorization, JwtConfiguration: {audience: [x]}}}}";

fn jwt(name: &str, audience: &[&str], scopes: &[&str]) -> Authorization {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let issuer = format!("https://{}.test", name.to_lowercase());
    Authorization::Jwt(JwtAuthorizer { name: name.into(), issuer, audience: owned(audience), scopes: owned(scopes) })
}

#[test]
fn a_route_takes_its_own_authorizer_before_the_default_of_its_api() {
    let users = || jwt("Users", &["web", "mobile"], &[]);
    let cases = [
        ("", users()),
        (", Auth: {}", users()),
        (", Auth: {AuthorizationScopes: [read, write]}", jwt("Users", &["web", "mobile"], &["read", "write"])),
        (", Auth: {Authorizer: NONE}", Authorization::Open),
        (", Auth: {Authorizer: AWS_IAM}", Authorization::Iam),
        (", Auth: {Authorizer: Staff}", jwt("Staff", &["staff"], &["staff"])),
        (", Auth: {Authorizer: Staff, AuthorizationScopes: [admin]}", jwt("Staff", &["staff"], &["admin"])),
        (", Auth: {Authorizer: Staff, AuthorizationScopes: []}", jwt("Staff", &["staff"], &["staff"])),
    ];
    for (auth, expected) in cases {
        let events = format!("{{E: {{Type: HttpApi, Properties: {{ApiId: !Ref Api, Path: /x, Method: get{auth}}}}}}}");
        let template = routes(AUTH, &events).unwrap();
        assert_eq!(template.routes, [Route { method: "GET".into(), path: "/x".into(), function: "f".into(), authorization: expected }], "{auth}");
    }
}

#[test]
fn an_api_without_default_authorizer_is_open_and_the_implicit_api_takes_globals() {
    let own = "{E: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /x, Method: GET}}}";
    assert_eq!(routes("{}", own).unwrap().routes[0].authorization, Authorization::Open);
    let implicit = "{E: {Type: HttpApi, Properties: {Path: /x, Method: GET, Auth: {Authorizer: AWS_IAM}}}}";
    assert_eq!(routes(AUTH, implicit).unwrap().routes[0].authorization, Authorization::Iam);
    let iam = routes("{DefaultAuthorizer: AWS_IAM}", own).unwrap();
    assert_eq!(iam.routes[0].authorization, Authorization::Iam);
}

#[test]
fn methods_and_paths_are_those_of_api_gateway() {
    let cases = [
        ("{Path: /, Method: GET}", "GET", "/"),
        ("{Path: /a/b-c, Method: post}", "POST", "/a/b-c"),
        ("{Path: '/models/{id}', Method: any}", "ANY", "/models/{id}"),
        ("{Path: '/files/{proxy+}', Method: x-amazon-apigateway-any-method}", "ANY", "/files/{proxy+}"),
        ("{Path: $default, Method: ANY}", "ANY", "$default"),
        ("{}", "ANY", "$default"),
    ];
    for (properties, method, path) in cases {
        let template = routes("{}", &format!("{{E: {{Type: HttpApi, Properties: {properties}}}}}")).unwrap();
        assert_eq!((template.routes[0].method.as_str(), template.routes[0].path.as_str()), (method, path), "{properties}");
    }
    let without_properties = routes("{}", "{E: {Type: HttpApi}}").unwrap();
    assert_eq!(without_properties.routes[0].path, "$default");
}

#[test]
fn routes_that_differ_in_method_or_shape_stand_side_by_side() {
    let events = "{A: {Type: HttpApi, Properties: {Path: '/m/{id}', Method: GET}}, B: {Type: HttpApi, Properties: {Path: '/m/{id}', Method: POST}},
        C: {Type: HttpApi, Properties: {Path: '/m/{rest+}', Method: GET}}, D: {Type: HttpApi, Properties: {Path: /m/new, Method: GET}}}";
    assert_eq!(routes("{}", events).unwrap().routes.len(), 4);
}

#[test]
fn a_route_that_cannot_be_served_is_named() {
    let cases = [
        ("{Type: HttpApi, Properties: {Path: /x, Method: GET, ApiId: Gone}}", "the event E of F belongs to the API Gone, which is no AWS::Server"),
        ("{Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /x, Method: GET, Auth: {Authorizer: Gone}}}", "Api has no authorizer Gone"),
        ("{Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /x, Method: GET, Auth: {Authorizer: Lambda}}}", "not Lambda authorizers"),
        ("{Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /x, Method: GET, Auth: {Authorizer: Query}}}", "the authorizer Query must have Ident"),
        ("{Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /x, Method: GET, Auth: {Authorizer: Nobody}}}", "an issuer and at least one audience"),
        ("{Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /x, Method: GET, Auth: {Authorizer: Anybody}}}", "Anybody has no issuer"),
        ("{Type: HttpApi, Properties: {Path: /x}}", "the event E of F has a Path, but no Method"),
        ("{Type: HttpApi, Properties: {Method: GET}}", "the event E of F has a Method, but no Path"),
        ("{Type: HttpApi, Properties: {Path: x, Method: GET}}", "Path of the event E of F must begin with / or be $default, not x"),
        ("{Type: HttpApi, Properties: {Path: /x/, Method: GET}}", "and /x/ has ''"),
        ("{Type: HttpApi, Properties: {Path: '/{a+}/b', Method: GET}}", "and /{a+}/b has '{a+}'"),
        ("{Type: HttpApi, Properties: {Path: '/a{b}', Method: GET}}", "and /a{b} has 'a{b}'"),
        ("{Type: HttpApi, Properties: {Path: /x, Method: 'G T'}}", "must be an HTTP method or ANY, not G T"),
        ("{Type: Api, Properties: {Path: /x, Method: GET}}", "is of the type Api, a REST API; the local cloud serves HttpApi"),
        ("{Properties: {Path: /x, Method: GET}}", "the event E of F has no Type"),
    ];
    for (event, expected) in cases {
        let message = format!("{:#}", routes(AUTH, &format!("{{E: {event}}}")).expect_err(event));
        assert!(message.contains(expected) && message.starts_with("line "), "{event}: {message}");
    }
    let no_iam = "
Resources:
  Api: {Type: AWS::Serverless::HttpApi, Properties: {Auth: {DefaultAuthorizer: AWS_IAM}}}
  F:
    Type: AWS::Serverless::Function
    Metadata: {BuildProperties: {Binary: f}}
    Properties: {Events: {E: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /x, Method: GET}}}}
";
    let message = format!("{:#}", parse(no_iam, &[]).unwrap_err());
    assert!(message.contains("AWS_IAM needs EnableIamAuthorizer: true under Auth of Api"), "{message}");
}

#[test]
fn two_routes_that_match_the_same_requests_are_refused() {
    for (first, second) in [("/x", "/x"), ("/m/{id}", "/m/{name}"), ("/f/{a+}", "/f/{b+}"), ("$default", "$default")] {
        let events = format!(
            "{{A: {{Type: HttpApi, Properties: {{Path: '{first}', Method: get}}}},
            B: {{Type: HttpApi, Properties: {{Path: '{second}', Method: GET}}}}}}"
        );
        let message = format!("{:#}", routes("{}", &events).expect_err(second));
        assert!(message.contains(&format!("{second} of f takes the same requests as ")), "{first} {second}: {message}");
    }
}
