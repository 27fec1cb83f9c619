//! YAML as CloudFormation writes it: a tree whose scalars are text, and whose short tags (`!Ref`) stand in their long form (`Ref:`).

use anyhow::{Context, Result, bail};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

/// Deeper nesting than a real template has; keeps a hostile one from overflowing the stack.
const MAX_DEPTH: usize = 100;

/// A node, and the line (from 1) on which it begins.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// A node's content. Keys keep the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Equal content; the line does not count.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    pub(super) fn text(line: usize, text: impl Into<String>) -> Self {
        Self { line, value: Value::Text(text.into()) }
    }

    /// The value under a key; `None` too where this is no mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The entries of a mapping; `what` names it in the error.
    pub(super) fn entries(&self, what: &str) -> Result<&[(String, Node)]> {
        match &self.value {
            Value::Map(entries) => Ok(entries),
            _ => bail!("line {}: {what} must be a mapping of names to values", self.line),
        }
    }

    /// The items of a list; `what` names it in the error.
    pub(super) fn items(&self, what: &str) -> Result<&[Node]> {
        match &self.value {
            Value::List(items) => Ok(items),
            _ => bail!("line {}: {what} must be a list", self.line),
        }
    }

    /// The text of a scalar; `what` names it in the error.
    pub(super) fn as_text(&self, what: &str) -> Result<&str> {
        match &self.value {
            Value::Text(text) => Ok(text),
            Value::Null => bail!("line {}: {what} has no value", self.line),
            Value::List(_) | Value::Map(_) => bail!("line {}: {what} must be one text, not a list or mapping", self.line),
        }
    }

    /// Name and argument, where this is a call of an intrinsic function.
    pub(super) fn intrinsic(&self) -> Option<(&str, &Node)> {
        match &self.value {
            Value::Map(entries) => match entries.as_slice() {
                [(name, argument)] if name == "Ref" || name.starts_with("Fn::") => Some((name, argument)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Reads the one document of a text.
///
/// Errors name the line: a syntax error, a key written twice, an alias or a second document (CloudFormation reads neither), an empty text.
pub(super) fn read(text: &str) -> Result<Node> {
    let mut reader = Reader { parser: Parser::new_from_str(text) };
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => bail!("the template is empty"),
            (Event::DocumentStart(_), _) => break,
            _ => {}
        }
    }
    let (event, span) = reader.next()?;
    let root = reader.node(event, span, 0)?;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(root),
            (Event::DocumentStart(_), span) => bail!("line {}: a template is one document, and a second one begins here", span.start.line()),
            _ => {}
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span)> {
        let event = self.parser.next_event().context("the template ends in the middle")?;
        event.map_err(|error| {
            let at = error.marker();
            anyhow::anyhow!("line {}, column {}: this is not YAML: {}", at.line(), at.col() + 1, error.info())
        })
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node> {
        let line = span.start.line();
        if depth > MAX_DEPTH {
            bail!("line {line}: nested deeper than {MAX_DEPTH} levels");
        }
        let (value, tag) = match event {
            Event::Scalar(text, style, _, tag) => {
                let untyped = style == ScalarStyle::Plain && (tag.is_none() || text.is_empty());
                (if untyped { plain(&text) } else { Value::Text(text.into_owned()) }, tag)
            }
            Event::SequenceStart(_, tag) => (self.list(depth)?, tag),
            Event::MappingStart(_, tag) => (self.map(depth)?, tag),
            Event::Alias(_) => bail!("line {line}: CloudFormation does not read YAML aliases; write the value out"),
            other => bail!("line {line}: a value is missing before {other:?}"),
        };
        Ok(match tag.as_deref().and_then(intrinsic_name) {
            Some(name) => Node { line, value: Value::Map(vec![(name, Node { line, value })]) },
            None => Node { line, value },
        })
    }

    fn list(&mut self, depth: usize) -> Result<Value> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Value::Map(entries)),
                (Event::Scalar(key, ..), span) => {
                    if entries.iter().any(|(name, _)| *name == key) {
                        bail!("line {}: the key {key} stands twice in this mapping", span.start.line());
                    }
                    key.into_owned()
                }
                (_, span) => bail!("line {}: a key must be one text", span.start.line()),
            };
            let (event, span) = self.next()?;
            entries.push((key, self.node(event, span, depth + 1)?));
        }
    }
}

/// An unquoted scalar. CloudFormation reads YAML 1.1, where these words are booleans; it hands them on as `true` and `false`. Numbers keep
/// their digits.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Text("true".into()),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Text("false".into()),
        _ => Value::Text(text.into()),
    }
}

/// The long form of a short tag; `None` for YAML's own tags (`!!str`).
fn intrinsic_name(tag: &Tag) -> Option<String> {
    match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("!", name @ ("Ref" | "Condition")) => Some(name.into()),
        ("!", name) if !name.is_empty() => Some(format!("Fn::{name}")),
        _ => None,
    }
}
