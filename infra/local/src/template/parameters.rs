//! The template's parameters and CloudFormation's pseudo parameters.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::yaml::{Node, Value};

/// What pseudo parameters are in the local cloud. An override may give another value.
///
/// Names: <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html>
const PSEUDO: [(&str, &str); 6] = [
    ("AWS::AccountId", "123456789012"),
    ("AWS::Partition", "aws"),
    ("AWS::Region", "us-east-1"),
    ("AWS::StackId", "arn:aws:cloudformation:us-east-1:123456789012:stack/local/local"),
    ("AWS::StackName", "local"),
    ("AWS::URLSuffix", "amazonaws.com"),
];

/// The values that `Ref` finds by a parameter's name.
pub(super) struct Parameters {
    /// `None`: neither a default nor an override, which is an error only where the value is used.
    values: BTreeMap<String, Option<Value>>,
}

impl Parameters {
    /// Takes the defaults under `Parameters` and puts the overrides over them.
    pub(super) fn new(template: &Node, overrides: &BTreeMap<String, String>) -> Result<Self> {
        let mut values: BTreeMap<String, Option<Value>> =
            PSEUDO.iter().map(|(name, value)| ((*name).to_owned(), Some(Value::Text((*value).to_owned())))).collect();
        let mut lists = Vec::new();
        if let Some(section) = template.get("Parameters") {
            for (name, declaration) in section.entries("Parameters")? {
                let kind = match declaration.get("Type") {
                    Some(kind) => kind.as_text(&format!("Type of the parameter {name}"))?,
                    None => bail!("line {}: the parameter {name} has no Type", declaration.line),
                };
                let list = is_list(kind);
                let default = match declaration.get("Default") {
                    Some(default) => Some(value(default.as_text(&format!("Default of the parameter {name}"))?, list)),
                    None => None,
                };
                if list {
                    lists.push(name.as_str());
                }
                values.insert(name.clone(), default);
            }
        }
        for (name, text) in overrides {
            if !values.contains_key(name) {
                bail!("the parameter {name} is given a value, but the template does not declare it; it declares {}", declared(template));
            }
            values.insert(name.clone(), Some(value(text, lists.contains(&name.as_str()))));
        }
        Ok(Self { values })
    }

    /// The value of a parameter, `None` if there is no parameter of this name.
    pub(super) fn get(&self, name: &str, line: usize) -> Result<Option<Node>> {
        match self.values.get(name) {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(Node { line, value: value.clone() })),
            Some(None) => bail!("line {line}: the parameter {name} has no default; give it a value"),
        }
    }
}

/// `List<…>`, `CommaDelimitedList`, and both as `AWS::SSM::Parameter::Value<…>`.
fn is_list(kind: &str) -> bool {
    kind.contains("List<") || kind.contains("CommaDelimitedList")
}

fn value(text: &str, list: bool) -> Value {
    if !list {
        return Value::Text(text.to_owned());
    }
    Value::List(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(|item| Node::text(0, item)).collect())
}

fn declared(template: &Node) -> String {
    match template.get("Parameters").map(|section| &section.value) {
        Some(Value::Map(entries)) if !entries.is_empty() => entries.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "),
        _ => "none".to_owned(),
    }
}
