use std::collections::BTreeMap;
use std::path::Path;

use super::super::{Template, yaml};
use super::{function, parse};

fn message(text: &str, overrides: &[(&str, &str)]) -> String {
    format!("{:#}", parse(text, overrides).expect_err(text))
}

#[test]
fn a_missing_file_is_named() {
    let message = format!("{:#}", Template::read(Path::new("no-such-directory/template.yaml"), &BTreeMap::new()).unwrap_err());
    assert!(message.starts_with("cannot read the template no-such-directory/template.yaml: "), "{message}");
}

#[test]
fn text_that_is_no_template_names_the_line() {
    let deep = format!("a: {}{}", "[".repeat(200), "]".repeat(200));
    let cases = [
        ("", "the template is empty"),
        ("# only a comment\n", "the template is empty"),
        ("a: 1\nb: [1, 2\nc: 3\n", "line 3, column "),
        ("a: 1\n  b: 2\n", "line 2, column "),
        ("a: 'open\n", "this is not YAML"),
        ("a: 1\nb: 2\na: 3\n", "line 3: the key a stands twice in this mapping"),
        ("a: &x 1\nb: *x\n", "line 2: CloudFormation does not read YAML aliases; write the value out"),
        ("a: 1\n---\nb: 2\n", "line 2: a template is one document, and a second one begins here"),
        ("[a]: 1\n", "line 1: a key must be one text"),
        (deep.as_str(), "line 1: nested deeper than 100 levels"),
        ("just text\n", "the template has no Resources"),
        ("Resources: text\n", "line 1: Resources must be a mapping of names to values"),
        ("Resources:\n  F: {}\n", "line 2: the resource F has no Type"),
    ];
    for (text, expected) in cases {
        let message = message(text, &[]);
        assert!(message.contains(expected), "{text:.40}: {message}");
    }
}

#[test]
fn parameters_that_do_not_fit_the_template_are_named() {
    let declared = format!("Parameters:\n  Host: {{Type: String}}\n  Port: {{Type: Number, Default: 1}}\n{}", function("MemorySize: !Ref Host"));
    assert_eq!(
        message(&declared, &[("Hots", "x")]),
        "the parameter Hots is given a value, but the template does not declare it; it declares Host, Port"
    );
    assert_eq!(message(&declared, &[]), "MemorySize of F: line 12: the parameter Host has no default; give it a value");
    assert_eq!(
        message(&function(""), &[("Host", "x")]),
        "the parameter Host is given a value, but the template does not declare it; it declares none"
    );
    assert_eq!(message("Parameters:\n  Host: {Default: x}\nResources: {}\n", &[]), "line 2: the parameter Host has no Type");
}

#[test]
fn a_function_that_cannot_be_run_is_named() {
    let without_binary = "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties: {MemorySize: 128}\n";
    assert_eq!(
        message(without_binary, &[]),
        "line 3: the function F does not say which binary it is built from; add Metadata: BuildProperties: Binary"
    );
    let twins = "
Resources:
  One: {Type: AWS::Serverless::Function, Metadata: {BuildProperties: {Binary: f}}}
  Two: {Type: AWS::Serverless::Function, Metadata: {BuildProperties: {Binary: f}}}
";
    assert_eq!(message(twins, &[]), "line 4: One and Two are both built from the binary f, which names a function in the local cloud");
    let cases = [
        ("MemorySize: much", "MemorySize of F must be a whole number, not much"),
        ("Timeout: 1.5", "Timeout of F must be a whole number, not 1.5"),
        ("ReservedConcurrentExecutions: -1", "ReservedConcurrentExecutions of F must be a whole number, not -1"),
        ("Environment: {Variables: [A]}", "Environment.Variables of F must be a mapping"),
        ("Events: [A]", "Events of F must be a mapping"),
    ];
    for (properties, expected) in cases {
        let message = message(&function(properties), &[]);
        assert!(message.contains(expected) && message.starts_with("line 9: "), "{properties}: {message}");
    }
}

#[test]
fn short_tags_read_like_their_long_form() {
    let short = yaml::read("a: !Ref B\nb: !Sub [x, {y: !GetAtt C.D}]\nc: !If\n  - Cond\n  - 1\n  - !Condition E\n").unwrap();
    let long =
        yaml::read("a: {Ref: B}\nb: {'Fn::Sub': [x, {y: {'Fn::GetAtt': C.D}}]}\nc:\n  Fn::If:\n    - Cond\n    - 1\n    - {Condition: E}\n").unwrap();
    assert_eq!(short, long);
}
