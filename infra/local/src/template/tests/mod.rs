#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cors;
mod errors;
mod functions;
mod intrinsics;
mod repository;
mod routes;

use std::collections::BTreeMap;

use super::Template;

/// Parses with overrides written as pairs.
fn parse(text: &str, overrides: &[(&str, &str)]) -> anyhow::Result<Template> {
    let overrides: BTreeMap<String, String> = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Template::parse(text, &overrides)
}

/// A function `F` built from the binary `f`, with these lines under `Properties` (six spaces of indentation are added).
fn function(properties: &str) -> String {
    let properties = properties.lines().map(|line| format!("      {line}\n")).collect::<String>();
    let head = "Resources:
  Api:
    Type: AWS::Serverless::HttpApi
  F:
    Type: AWS::Serverless::Function
    Metadata: {BuildProperties: {Binary: f}}
    Properties:
      Description: under test
";
    format!("{head}{properties}")
}
