use super::{function, parse};

const HEAD: &str = "
Parameters:
  Stage: {Type: String, Default: dev}
  Port: {Type: Number, Default: 5432}
  Empty: {Type: String, Default: ''}
  Names: {Type: CommaDelimitedList, Default: 'a, b,c'}
  NoNames: {Type: CommaDelimitedList, Default: ''}
  Subnets: {Type: 'List<AWS::EC2::Subnet::Id>', Default: 'subnet-1,subnet-2'}
  Host: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /thaw/dev/host}
  Hosts: {Type: 'AWS::SSM::Parameter::Value<List<String>>', Default: /thaw/dev/hosts}
  Unused: {Type: String}
Conditions:
  IsDev: !Equals [!Ref Stage, dev]
  IsProd: !Equals [!Ref Stage, prod]
  IsNotDev: !Not [!Condition IsDev]
  Both: !And [!Condition IsDev, !Equals [!Ref Port, 5432]]
  Either: !Or [!Condition IsProd, !Equals [!Ref Empty, '']]
  Neither: !Or [!Condition IsProd, !Condition IsNotDev]
  LongForm: {'Fn::Not': [{Condition: IsProd}]}
  WithSubnets: !Not [!Equals [!Join ['', !Ref Subnets], '']]
  WithoutNames: !Equals [!Join ['', !Ref NoNames], '']
Mappings:
  Sizes: {dev: {memory: 128}, prod: {memory: 512}}
";

/// What the variable `V` becomes, written as `value`; `None` where it is taken away.
fn value_of(value: &str, overrides: &[(&str, &str)]) -> anyhow::Result<Option<String>> {
    let text = format!("{HEAD}{}", function(&format!("Environment:\n  Variables:\n    V: {value}")));
    Ok(parse(&text, overrides)?.functions.remove(0).environment.remove("V"))
}

#[test]
fn intrinsic_functions_give_the_values_that_cloudformation_gives() {
    let cases: &[(&str, Option<&str>)] = &[
        ("!Ref Stage", Some("dev")),
        ("{Ref: Stage}", Some("dev")),
        ("!Ref Port", Some("5432")),
        ("!Ref Host", Some("/thaw/dev/host")),
        ("!Ref AWS::Region", Some("us-east-1")),
        ("!Ref AWS::Partition", Some("aws")),
        ("!Ref AWS::AccountId", Some("123456789012")),
        ("!Ref AWS::StackName", Some("local")),
        ("!Ref AWS::URLSuffix", Some("amazonaws.com")),
        ("!Ref AWS::NoValue", None),
        ("!Ref Api", Some("Api")),
        ("!Ref FRole", Some("FRole")),
        ("!GetAtt F.Arn", Some("F.Arn")),
        ("!GetAtt [F, Arn]", Some("F.Arn")),
        ("!Sub 'a-${Stage}-${AWS::Region}-${Api}-${F.Arn}-z'", Some("a-dev-us-east-1-Api-F.Arn-z")),
        ("!Sub '${!Literal} costs $5'", Some("${Literal} costs $5")),
        ("!Sub no variable", Some("no variable")),
        ("!Sub ['${Own}/${Stage}', {Own: !Ref Port}]", Some("5432/dev")),
        ("!Sub ['${Stage}', {Stage: mine}]", Some("mine")),
        ("!Join ['-', [a, !Ref Stage, 1]]", Some("a-dev-1")),
        ("!Join [',', !Ref Names]", Some("a,b,c")),
        ("!Join [',', !Ref Subnets]", Some("subnet-1,subnet-2")),
        ("!Join [',', !Ref Hosts]", Some("/thaw/dev/hosts")),
        ("!Join [',', [a, !Ref AWS::NoValue, b]]", Some("a,b")),
        ("!Join ['', !Ref NoNames]", Some("")),
        ("!Select [1, !Ref Names]", Some("b")),
        ("!Select ['0', !Split ['.', db.example.com]]", Some("db")),
        ("!FindInMap [Sizes, !Ref Stage, memory]", Some("128")),
        ("!If [IsDev, yes-branch, no-branch]", Some("yes-branch")),
        ("!If [IsProd, !Ref Unused, !Ref Stage]", Some("dev")),
        ("!If [IsProd, x, !Ref AWS::NoValue]", None),
        ("!If [IsNotDev, 1, 2]", Some("2")),
        ("!If [Both, 1, 2]", Some("1")),
        ("!If [Either, 1, 2]", Some("1")),
        ("!If [Neither, 1, 2]", Some("2")),
        ("!If [LongForm, 1, 2]", Some("1")),
        ("!If [WithSubnets, 1, 2]", Some("1")),
        ("!If [WithoutNames, 1, 2]", Some("1")),
        ("!If [IsDev, !If [IsProd, a, b], c]", Some("b")),
        ("{'Fn::If': [IsDev, {'Fn::Sub': '${Stage}!'}, c]}", Some("dev!")),
    ];
    for (value, expected) in cases {
        assert_eq!(value_of(value, &[]).unwrap().as_deref(), *expected, "{value}");
    }
}

#[test]
fn overrides_take_the_place_of_defaults_and_of_pseudo_parameters() {
    let cases: &[(&str, (&str, &str), &str)] = &[
        ("!Ref Stage", ("Stage", "prod"), "prod"),
        ("!Ref Stage", ("Stage", ""), ""),
        ("!Ref Unused", ("Unused", "now used"), "now used"),
        ("!Ref Host", ("Host", "127.0.0.1"), "127.0.0.1"),
        ("!Join ['+', !Ref Names]", ("Names", "x , y"), "x+y"),
        ("!Join ['+', !Ref Hosts]", ("Hosts", "h1,h2"), "h1+h2"),
        ("!Ref AWS::Region", ("AWS::Region", "eu-west-1"), "eu-west-1"),
        ("!If [IsProd, 1, 2]", ("Stage", "prod"), "1"),
        ("!If [WithSubnets, 1, 2]", ("Subnets", ""), "2"),
        ("!FindInMap [Sizes, !Ref Stage, memory]", ("Stage", "prod"), "512"),
    ];
    for (value, override_, expected) in cases {
        assert_eq!(value_of(value, &[*override_]).unwrap().as_deref(), Some(*expected), "{value} with {override_:?}");
    }
}

#[test]
fn scalars_become_the_text_that_cloudformation_hands_on() {
    let cases = [
        ("300", "300"),
        ("1.50", "1.50"),
        ("0755", "0755"),
        ("true", "true"),
        ("True", "true"),
        ("no", "false"),
        ("'no'", "no"),
        ("!!str yes", "yes"),
        ("''", ""),
        ("\"a b\"", "a b"),
        ("'null'", "null"),
    ];
    for (value, expected) in cases {
        assert_eq!(value_of(value, &[]).unwrap().as_deref(), Some(expected), "{value}");
    }
}

#[test]
fn intrinsic_functions_name_the_line_of_a_mistake() {
    let cases = [
        ("!Ref Unused", "the parameter Unused has no default; give it a value"),
        ("!Sub '${Unused}'", "the parameter Unused has no default; give it a value"),
        ("!Ref Nobody", "Nobody is neither a parameter nor a resource"),
        ("!Sub '${Nobody}'", "Nobody is neither a parameter nor a resource"),
        ("!Sub '${Stage'", "has a ${ without }"),
        ("!Sub '${Names}'", "Names in Fn::Sub must be one text"),
        ("!Sub [a, b, c]", "Fn::Sub takes a text, or a text and a mapping"),
        ("!GetAtt Nobody.Arn", "Nobody is no resource"),
        ("!GetAtt F", "takes Resource.Attribute, not F"),
        ("!Join [a]", "Fn::Join takes a delimiter and a list, and has 1 arguments here"),
        ("!Join ['', text]", "the list of Fn::Join must be a list"),
        ("!Select [3, [a, b]]", "no item 3 in a list of 2"),
        ("!Select [-1, [a, b]]", "no item -1 in a list of 2"),
        ("!Split ['', text]", "the delimiter of Fn::Split is empty"),
        ("!If [Nowhere, 1, 2]", "there is no condition Nowhere"),
        ("!If [IsDev, 1]", "Fn::If takes a condition and two values"),
        ("!FindInMap [Sizes, test, memory]", "there is no Sizes / test / memory under Mappings"),
        ("!ImportValue other", "the local cloud does not know !ImportValue; take the value from a parameter"),
        ("!Ref", "the name in Ref has no value"),
        ("", "the variable V of F has no value; write '' for an empty one"),
        ("[a, b]", "the variable V of F must be one text"),
    ];
    let lines = format!("{HEAD}{}", function("Environment:\n  Variables:\n    V:")).lines().count();
    for (value, expected) in cases {
        let message = format!("{:#}", value_of(value, &[]).expect_err(value));
        assert!(message.contains(expected), "{value}: {message}");
        assert!(message.contains(&format!("line {lines}: ")), "{value} stands on line {lines}: {message}");
    }
}

#[test]
fn conditions_name_their_mistakes() {
    let cases = [
        ("{C: !Condition C}", "the condition C depends on itself"),
        ("{C: !Not [!Condition D], D: !And [!Condition C, !Condition C]}", "the condition C depends on itself"),
        ("{C: !Condition Gone}", "there is no condition Gone"),
        ("{C: !Equals [a]}", "Fn::Equals takes two values, and has 1 arguments here"),
        ("{C: !Not [!Equals [a, a], !Equals [a, a]]}", "Fn::Not takes a list of one condition"),
        ("{C: !And [!Equals [a, a]]}", "Fn::And takes 2 to 10 conditions, and has 1 here"),
        ("{C: !Select [0, [a]]}", "Fn::Select is no function that a condition may use"),
        ("{C: 'true'}", "a condition must be one of Condition, Fn::And"),
    ];
    for (conditions, expected) in cases {
        let text = format!("Conditions: {conditions}\n{}", function("MemorySize: !If [C, 128, 256]"));
        let message = format!("{:#}", parse(&text, &[]).expect_err(conditions));
        assert!(message.contains(expected), "{conditions}: {message}");
    }
}
