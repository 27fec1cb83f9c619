use super::super::Cors;
use super::parse;

/// The configuration of one API with this property.
fn cors(property: &str) -> anyhow::Result<Option<Cors>> {
    cors_for("", property)
}

/// The same, with these origins as the value of a parameter.
fn cors_for(origins: &str, property: &str) -> anyhow::Result<Option<Cors>> {
    let text = format!(
        "Parameters: {{Origins: {{Type: String, Default: '{origins}'}}}}
Conditions: {{HasOrigins: !Not [!Equals [!Ref Origins, '']]}}
Resources:
  Api: {{Type: AWS::Serverless::HttpApi, Properties: {{FailOnWarnings: true{property}}}}}
"
    );
    Ok(parse(&text, &[])?.cors)
}

#[test]
fn a_configuration_is_read_as_sam_has_it() {
    assert_eq!(cors("").unwrap(), None);
    let everybody = Cors { allow_origins: vec!["*".into()], ..Cors::default() };
    assert_eq!(cors(", CorsConfiguration: true").unwrap(), Some(everybody));
    let written = ", CorsConfiguration: {AllowOrigins: [https://a.example], AllowMethods: [GET, POST], AllowHeaders: [authorization],
        ExposeHeaders: [etag], MaxAge: 60, AllowCredentials: true}";
    let expected = Cors {
        allow_origins: vec!["https://a.example".into()],
        allow_methods: vec!["GET".into(), "POST".into()],
        allow_headers: vec!["authorization".into()],
        expose_headers: vec!["etag".into()],
        max_age_s: Some(60),
        allow_credentials: true,
    };
    assert_eq!(cors(written).unwrap(), Some(expected));
    let chosen = ", CorsConfiguration: !If [HasOrigins, {AllowOrigins: !Split [',', !Ref Origins], MaxAge: 60}, !Ref AWS::NoValue]";
    assert_eq!(cors(chosen).unwrap(), None);
    let two = Cors { allow_origins: vec!["https://a.example".into(), "https://b.example".into()], max_age_s: Some(60), ..Cors::default() };
    assert_eq!(cors_for("https://a.example,https://b.example", chosen).unwrap(), Some(two));
}

#[test]
fn a_configuration_that_sam_or_api_gateway_would_not_take_is_named() {
    let cases = [
        (", CorsConfiguration: {AllowOrigins: !If [HasOrigins, ['*'], !Ref AWS::NoValue]}", "goes around the whole"),
        (", CorsConfiguration: {AllowOrigins: !Ref Origins, MaxAge: 60}", "goes around the whole"),
        (", CorsConfiguration: {AllowOrigin: ['*']}", "there is no AllowOrigin of the CorsConfiguration of Api"),
        (", CorsConfiguration: {AllowOrigins: '*'}", "AllowOrigins of the CorsConfiguration of Api must be a list"),
        (", CorsConfiguration: {MaxAge: soon}", "must be whole seconds, not soon"),
        (", CorsConfiguration: {AllowOrigins: ['*'], AllowCredentials: true}", "cannot have AllowCredentials with AllowOrigins '*'"),
        (", CorsConfiguration: yes please", "must be a mapping"),
    ];
    for (property, expected) in cases {
        let message = format!("{:#}", cors(property).unwrap_err());
        assert!(message.contains(expected), "{property}: {message}");
    }
    let two = "
Resources:
  One: {Type: AWS::Serverless::HttpApi, Properties: {CorsConfiguration: true}}
  Two: {Type: AWS::Serverless::HttpApi, Properties: {CorsConfiguration: {AllowOrigins: [https://a.example]}}}
";
    let message = format!("{:#}", parse(two, &[]).unwrap_err());
    assert!(message.contains("differs from that of another API"), "{message}");
}
