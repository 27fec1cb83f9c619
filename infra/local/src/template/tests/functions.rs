use super::{function, parse};

#[test]
fn a_function_overrides_globals_key_by_key() {
    let text = format!(
        "Globals:\n  Function:\n    MemorySize: 512\n    Timeout: 10\n    Environment: {{Variables: {{A: global, B: global}}}}\n{}",
        function("Timeout: 3\nReservedConcurrentExecutions: 2\nEnvironment:\n  Variables: {B: own, C: own}")
    );
    let template = parse(&text, &[]).unwrap();
    let [function] = template.functions.as_slice() else { panic!("{template:?}") };
    assert_eq!((function.name.as_str(), function.logical_id.as_str()), ("f", "F"));
    assert_eq!((function.memory_mb, function.timeout_ms, function.reserved_concurrency), (512, 3_000, Some(2)));
    let environment: Vec<(&str, &str)> = function.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(environment, [("A", "global"), ("B", "own"), ("C", "own")]);
}

#[test]
fn an_intrinsic_function_replaces_a_global_mapping_whole() {
    let text = format!(
        "Conditions: {{Always: !Equals [a, a]}}\nGlobals:\n  Function:\n    Environment: {{Variables: {{A: global}}}}\n{}",
        function("Environment:\n  Variables: !If [Always, {B: own}, {}]")
    );
    let function = parse(&text, &[]).unwrap().functions.remove(0);
    assert_eq!(function.environment.into_keys().collect::<Vec<_>>(), ["B"]);
}

#[test]
fn a_function_that_says_nothing_has_the_defaults_of_lambda() {
    let function = parse(&function(""), &[]).unwrap().functions.remove(0);
    assert_eq!((function.memory_mb, function.timeout_ms, function.reserved_concurrency), (128, 3_000, None));
    assert!(function.environment.is_empty());
}

#[test]
fn a_function_on_managed_instances_says_how_many_invocations_a_sandbox_takes_at_once() {
    let concurrency = |properties: &str| {
        let text = format!("Parameters: {{N: {{Type: Number, Default: 8}}}}\nConditions: {{Managed: !Equals [a, a]}}\n{}", function(properties));
        parse(&text, &[]).map(|template| template.functions[0].sandbox_concurrency.map(std::num::NonZeroU32::get))
    };
    let config = "CapacityProviderConfig:\n  Arn: !GetAtt Provider.Arn\n  PerExecutionEnvironmentMaxConcurrency: ";
    assert_eq!(concurrency(&format!("{config}4")).unwrap(), Some(4));
    assert_eq!(concurrency(&format!("{config}!Ref N")).unwrap(), Some(8));
    assert_eq!(concurrency(&format!("{config}!If [Managed, 2, 3]")).unwrap(), Some(2));
    assert_eq!(concurrency("CapacityProviderConfig: {Arn: x}").unwrap(), None);
    let whole = "CapacityProviderConfig: !If [Managed, {Arn: x, PerExecutionEnvironmentMaxConcurrency: 5}, !Ref AWS::NoValue]";
    assert_eq!(concurrency(whole).unwrap(), Some(5));
    for wrong in ["0", "many", "-1"] {
        let error = format!("{:#}", concurrency(&format!("{config}{wrong}")).unwrap_err());
        assert!(error.contains("PerExecutionEnvironmentMaxConcurrency of F must be a whole number"), "{error}");
    }
}

#[test]
fn a_function_whose_condition_does_not_hold_is_not_there_nor_are_its_routes() {
    let text = "
Parameters: {Reset: {Type: String, Default: 'false', AllowedValues: ['true', 'false']}}
Conditions: {ResetEnabled: !Equals [!Ref Reset, true]}
Resources:
  Api: {Type: AWS::Serverless::HttpApi}
  ResetFunction:
    Type: AWS::Serverless::Function
    Condition: ResetEnabled
    Metadata: {BuildProperties: {Binary: reset}}
    Properties: {Events: {Reset: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /reset, Method: post}}}}
";
    for (reset, expected) in [("false", 0), ("true", 1)] {
        let template = parse(text, &[("Reset", reset)]).unwrap();
        assert_eq!((template.functions.len(), template.routes.len()), (expected, expected), "Reset={reset}");
    }
}

#[test]
fn what_the_local_cloud_does_not_read_may_hold_anything() {
    let text = format!(
        "{}  Other:\n    Type: AWS::SQS::Queue\n    Properties: {{QueueName: !ImportValue somewhere}}\nOutputs: {{X: {{Value: !Base64 x}}}}\n",
        function(
            "Policies: [{Statement: [{Resource: !ImportValue x}]}]\nEvents:\n  Tick: {Type: ScheduleV2, Properties: {RoleArn: !ImportValue role}}\n"
        )
    );
    let template = parse(&text, &[]).unwrap();
    assert_eq!((template.functions.len(), template.routes.len()), (1, 0));
}
