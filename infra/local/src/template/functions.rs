//! `AWS::Serverless::Function`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::num::NonZeroU32;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

use super::Function;
use super::intrinsics::Resolver;
use super::resources::Resource;
use super::yaml::{Node, Value};

/// What Lambda takes where the template says nothing.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-function.html>
const DEFAULT_MEMORY_MB: u32 = 128;
const DEFAULT_TIMEOUT_S: u64 = 3;

/// A function's `Events` beside its names. Not resolved: what a schedule or queue refers to is not the local cloud's concern.
pub(super) struct Events {
    pub(super) function: String,
    pub(super) logical_id: String,
    pub(super) events: Option<Node>,
}

/// Every function, and the events of each for the routes.
pub(super) fn read(resolver: &Resolver) -> Result<(Vec<Function>, Vec<Events>)> {
    let mut functions: Vec<Function> = Vec::new();
    let mut all_events = Vec::new();
    for resource in resolver.serverless("Function")? {
        let function = function(resolver, &resource)?;
        if let Some(twin) = functions.iter().find(|other| other.name == function.name) {
            bail!(
                "line {}: {} and {} are both built from the binary {}, which names a function in the local cloud",
                resource.node.line,
                twin.logical_id,
                function.logical_id,
                function.name
            );
        }
        let events = resource.properties.get("Events").cloned();
        all_events.push(Events { function: function.name.clone(), logical_id: function.logical_id.clone(), events });
        functions.push(function);
    }
    Ok((functions, all_events))
}

fn function(resolver: &Resolver, resource: &Resource) -> Result<Function> {
    Ok(Function {
        name: binary(resolver, resource)?,
        logical_id: resource.logical_id.to_owned(),
        memory_mb: number(resolver, resource, "MemorySize")?.unwrap_or(DEFAULT_MEMORY_MB),
        timeout_ms: number::<u64>(resolver, resource, "Timeout")?.unwrap_or(DEFAULT_TIMEOUT_S).saturating_mul(1000),
        reserved_concurrency: number(resolver, resource, "ReservedConcurrentExecutions")?,
        sandbox_concurrency: sandbox_concurrency(resolver, resource)?,
        environment: environment(resolver, resource)?,
    })
}

fn binary(resolver: &Resolver, resource: &Resource) -> Result<String> {
    let id = resource.logical_id;
    let found = resource.node.get("Metadata").and_then(|metadata| metadata.get("BuildProperties")?.get("Binary"));
    let Some(node) = found else {
        bail!("line {}: the function {id} does not say which binary it is built from; add Metadata: BuildProperties: Binary", resource.node.line);
    };
    let name = resolver.resolve(node)?.with_context(|| format!("line {}: Binary of {id} is AWS::NoValue", node.line))?;
    Ok(name.as_text(&format!("Binary of {id}"))?.to_owned())
}

fn number<N: FromStr<Err: Display>>(resolver: &Resolver, resource: &Resource, property: &str) -> Result<Option<N>> {
    let Some(node) = resource.property(resolver, property)? else { return Ok(None) };
    whole_number(&node, &format!("{property} of {}", resource.logical_id)).map(Some)
}

fn whole_number<N: FromStr<Err: Display>>(node: &Node, what: &str) -> Result<N> {
    let text = node.as_text(what)?;
    match text.parse() {
        Ok(number) => Ok(number),
        Err(error) => bail!("line {}: {what} must be a whole number, not {text}: {error}", node.line),
    }
}

/// Of a function on Lambda Managed Instances. SAM's name for it; its sibling `Arn` names a resource that is not the local cloud's concern, so
/// the rest of the mapping is not resolved.
fn sandbox_concurrency(resolver: &Resolver, resource: &Resource) -> Result<Option<NonZeroU32>> {
    let what = format!("PerExecutionEnvironmentMaxConcurrency of {}", resource.logical_id);
    let config = match resource.properties.get("CapacityProviderConfig") {
        Some(config) if config.intrinsic().is_some() => resource.property(resolver, "CapacityProviderConfig")?,
        config => config.cloned(),
    };
    let Some(node) = config.as_ref().and_then(|config| config.get("PerExecutionEnvironmentMaxConcurrency")) else { return Ok(None) };
    let Some(node) = resolver.resolve(node).with_context(|| what.clone())? else { return Ok(None) };
    whole_number(&node, &what).map(Some)
}

fn environment(resolver: &Resolver, resource: &Resource) -> Result<BTreeMap<String, String>> {
    let id = resource.logical_id;
    let Some(environment) = resource.property(resolver, "Environment")? else { return Ok(BTreeMap::new()) };
    let Some(variables) = environment.get("Variables") else { return Ok(BTreeMap::new()) };
    let mut found = BTreeMap::new();
    for (name, node) in variables.entries(&format!("Environment.Variables of {id}"))? {
        if node.value == Value::Null {
            bail!("line {}: the variable {name} of {id} has no value; write '' for an empty one", node.line);
        }
        found.insert(name.clone(), node.as_text(&format!("the variable {name} of {id}"))?.to_owned());
    }
    Ok(found)
}
