//! CloudFormation's intrinsic functions, as far as functions and routes can need them.
//!
//! Evaluated on demand: a function that the local cloud does not know stands in nobody's way until a value that it reads depends on it.
//! Meaning: <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html>

use std::cell::RefCell;

use anyhow::{Context, Result, bail};

use super::parameters::Parameters;
use super::yaml::{Node, Value};

/// A template together with the values that its intrinsic functions take theirs from.
pub(super) struct Resolver<'t> {
    pub(super) template: &'t Node,
    pub(super) parameters: Parameters,
    /// Conditions whose evaluation has begun and not ended: meeting one again is a circle.
    pub(super) open_conditions: RefCell<Vec<String>>,
}

impl<'t> Resolver<'t> {
    pub(super) fn new(template: &'t Node, parameters: Parameters) -> Self {
        Self { template, parameters, open_conditions: RefCell::default() }
    }

    /// The node with every intrinsic function replaced by its value. `None` is `AWS::NoValue`, which takes its key or item away.
    pub(super) fn resolve(&self, node: &Node) -> Result<Option<Node>> {
        if let Some((name, argument)) = node.intrinsic() {
            return self.call(name, argument);
        }
        let value = match &node.value {
            Value::Null | Value::Text(_) => node.value.clone(),
            Value::List(items) => Value::List(self.resolve_items(items)?),
            Value::Map(entries) => {
                let mut resolved = Vec::with_capacity(entries.len());
                for (key, entry) in entries {
                    if let Some(entry) = self.resolve(entry)? {
                        resolved.push((key.clone(), entry));
                    }
                }
                Value::Map(resolved)
            }
        };
        Ok(Some(Node { line: node.line, value }))
    }

    fn resolve_items(&self, items: &[Node]) -> Result<Vec<Node>> {
        items.iter().filter_map(|item| self.resolve(item).transpose()).collect()
    }

    fn call(&self, name: &str, argument: &Node) -> Result<Option<Node>> {
        let line = argument.line;
        let text = |text: String| Ok(Some(Node::text(line, text)));
        match name {
            "Ref" => self.reference(argument),
            "Fn::If" => self.choose(argument),
            "Fn::GetAtt" => text(self.attribute(argument)?),
            "Fn::Sub" => text(self.substitute(argument)?),
            "Fn::Join" => {
                let [delimiter, items] = self.arguments(argument, "Fn::Join takes a delimiter and a list")?;
                let items = items.items("the list of Fn::Join")?;
                let texts = items.iter().map(|item| item.as_text("an item of Fn::Join")).collect::<Result<Vec<_>>>()?;
                text(texts.join(delimiter.as_text("the delimiter of Fn::Join")?))
            }
            "Fn::Split" => {
                let [delimiter, source] = self.arguments(argument, "Fn::Split takes a delimiter and a text")?;
                let delimiter = delimiter.as_text("the delimiter of Fn::Split")?;
                if delimiter.is_empty() {
                    bail!("line {line}: the delimiter of Fn::Split is empty");
                }
                let items = source.as_text("the text of Fn::Split")?.split(delimiter).map(|item| Node::text(line, item)).collect();
                Ok(Some(Node { line, value: Value::List(items) }))
            }
            "Fn::Select" => {
                let [index, items] = self.arguments(argument, "Fn::Select takes an index and a list")?;
                let index = index.as_text("the index of Fn::Select")?;
                let items = items.items("the list of Fn::Select")?;
                let chosen = index.parse::<usize>().ok().and_then(|index| items.get(index));
                match chosen {
                    Some(item) => Ok(Some(item.clone())),
                    None => bail!("line {line}: Fn::Select has no item {index} in a list of {}", items.len()),
                }
            }
            "Fn::FindInMap" => {
                let [map, first, second] = self.arguments(argument, "Fn::FindInMap takes a map and two keys")?;
                let keys = [map.as_text("the map's name")?, first.as_text("the first key")?, second.as_text("the second key")?];
                let found = keys.iter().try_fold(self.template.get("Mappings"), |node, key| Some(node?.get(key)));
                match found.flatten() {
                    Some(found) => Ok(Some(found.clone())),
                    None => bail!("line {line}: there is no {} under Mappings", keys.join(" / ")),
                }
            }
            other => bail!("line {line}: the local cloud does not know {}; take the value from a parameter", short(other)),
        }
    }

    /// Resolves the argument list of a function that takes exactly `N`.
    pub(super) fn arguments<const N: usize>(&self, argument: &Node, usage: &str) -> Result<[Node; N]> {
        let items = self.resolve_items(argument.items(usage)?)?;
        let count = items.len();
        items.try_into().map_err(|_| anyhow::anyhow!("line {}: {usage}, and has {count} arguments here", argument.line))
    }

    fn reference(&self, argument: &Node) -> Result<Option<Node>> {
        let name = argument.as_text("the name in Ref")?;
        if name == "AWS::NoValue" {
            return Ok(None);
        }
        self.named(name, argument.line).map(Some)
    }

    /// A parameter's value, else the logical id of a resource, which stands for its physical one: nothing is created here.
    fn named(&self, name: &str, line: usize) -> Result<Node> {
        if let Some(value) = self.parameters.get(name, line)? {
            return Ok(value);
        }
        if !self.is_resource(name) {
            bail!("line {line}: {name} is neither a parameter nor a resource of this template");
        }
        Ok(Node::text(line, name))
    }

    /// Also what SAM makes of a resource, whose ids begin with that resource's (`HealthFunctionRole`).
    fn is_resource(&self, name: &str) -> bool {
        let resources = self.template.get("Resources").map(|section| &section.value);
        name == "ServerlessHttpApi" || matches!(resources, Some(Value::Map(entries)) if entries.iter().any(|(id, _)| name.starts_with(id.as_str())))
    }

    fn choose(&self, argument: &Node) -> Result<Option<Node>> {
        let usage = "Fn::If takes a condition and two values";
        let [condition, yes, no] = argument.items(usage)? else {
            bail!("line {}: {usage}", argument.line);
        };
        let holds = self.condition(condition.as_text("the condition of Fn::If")?, condition.line)?;
        self.resolve(if holds { yes } else { no })
    }

    /// `Resource.Attribute`, written as one text or as a list of two.
    fn attribute(&self, argument: &Node) -> Result<String> {
        let path = match &argument.value {
            Value::List(_) => {
                let [resource, attribute] = self.arguments(argument, "Fn::GetAtt takes a resource and an attribute")?;
                format!("{}.{}", resource.as_text("the resource of Fn::GetAtt")?, attribute.as_text("the attribute of Fn::GetAtt")?)
            }
            _ => argument.as_text("the argument of Fn::GetAtt")?.to_owned(),
        };
        match path.split_once('.') {
            Some((resource, _)) if self.is_resource(resource) => Ok(path),
            Some((resource, _)) => bail!("line {}: {resource} is no resource of this template", argument.line),
            None => bail!("line {}: Fn::GetAtt takes Resource.Attribute, not {path}", argument.line),
        }
    }

    /// Both forms: a text, or a text and a mapping of names that only this text knows.
    fn substitute(&self, argument: &Node) -> Result<String> {
        let line = argument.line;
        let (pattern, own) = match &argument.value {
            Value::List(items) => match items.as_slice() {
                [pattern, own] => (pattern, Some(own.entries("the second argument of Fn::Sub")?)),
                _ => bail!("line {line}: Fn::Sub takes a text, or a text and a mapping"),
            },
            _ => (argument, None),
        };
        let mut rest = pattern.as_text("the text of Fn::Sub")?;
        let mut out = String::new();
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, tail)) = after.split_once('}') else {
                bail!("line {line}: Fn::Sub has a ${{ without }}");
            };
            out.push_str(before);
            rest = tail;
            if let Some(literal) = name.strip_prefix('!') {
                out.push_str(&format!("${{{literal}}}"));
            } else if let Some((_, value)) = own.and_then(|own| own.iter().find(|(key, _)| key == name)) {
                let value = self.resolve(value)?.with_context(|| format!("line {line}: {name} is AWS::NoValue"))?;
                out.push_str(value.as_text(&format!("{name} in Fn::Sub"))?);
            } else if name.contains('.') {
                out.push_str(&self.attribute(&Node::text(line, name))?);
            } else {
                out.push_str(self.named(name, line)?.as_text(&format!("{name} in Fn::Sub"))?);
            }
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// The name as most people write it.
fn short(name: &str) -> String {
    format!("!{}", name.strip_prefix("Fn::").unwrap_or(name))
}
