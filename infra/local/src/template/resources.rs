//! Resources of one type, with the template's `Globals` merged in as SAM merges them.

use anyhow::{Context, Result};

use super::intrinsics::Resolver;
use super::yaml::{Node, Value};

/// A resource whose condition holds.
pub(super) struct Resource<'t> {
    pub(super) logical_id: &'t str,
    pub(super) node: &'t Node,
    /// `Properties` over `Globals`, not resolved yet.
    pub(super) properties: Node,
}

impl<'t> Resolver<'t> {
    /// The resources of `AWS::Serverless::{kind}`, in the order of the file.
    pub(super) fn serverless(&self, kind: &str) -> Result<Vec<Resource<'t>>> {
        let template = self.template;
        let section = template.get("Resources").context("the template has no Resources")?;
        let globals = template.get("Globals").and_then(|globals| globals.get(kind));
        let mut resources = Vec::new();
        for (logical_id, node) in section.entries("Resources")? {
            let of_kind = match node.get("Type") {
                Some(found) => found.as_text(&format!("Type of {logical_id}"))? == format!("AWS::Serverless::{kind}"),
                None => anyhow::bail!("line {}: the resource {logical_id} has no Type", node.line),
            };
            if !of_kind || !self.exists(node)? {
                continue;
            }
            let empty = Node { line: node.line, value: Value::Map(Vec::new()) };
            let own = node.get("Properties").unwrap_or(&empty);
            resources.push(Resource { logical_id, node, properties: merged(globals.unwrap_or(&empty), own) });
        }
        Ok(resources)
    }

    fn exists(&self, resource: &Node) -> Result<bool> {
        match resource.get("Condition") {
            Some(name) => self.condition(name.as_text("Condition of a resource")?, name.line),
            None => Ok(true),
        }
    }
}

impl Resource<'_> {
    /// One property, resolved; `None` where it is absent or `AWS::NoValue`.
    pub(super) fn property(&self, resolver: &Resolver, name: &str) -> Result<Option<Node>> {
        match self.properties.get(name) {
            Some(node) => resolver.resolve(node).with_context(|| format!("{name} of {}", self.logical_id)),
            None => Ok(None),
        }
    }
}

/// SAM's rule: mappings merge key by key, lists append to the global one, anything else is replaced. An intrinsic function counts as one
/// value. <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html>
fn merged(global: &Node, own: &Node) -> Node {
    let value = match (&global.value, &own.value) {
        _ if global.intrinsic().is_some() || own.intrinsic().is_some() => own.value.clone(),
        (Value::List(first), Value::List(second)) => Value::List(first.iter().chain(second).cloned().collect()),
        (Value::Map(first), Value::Map(second)) => {
            let mut entries = first.clone();
            for (key, node) in second {
                match entries.iter_mut().find(|(name, _)| name == key) {
                    Some((_, entry)) => *entry = merged(entry, node),
                    None => entries.push((key.clone(), node.clone())),
                }
            }
            Value::Map(entries)
        }
        _ => own.value.clone(),
    };
    Node { line: own.line, value }
}
