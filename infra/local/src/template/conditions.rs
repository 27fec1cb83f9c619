//! The template's `Conditions`.

use anyhow::{Result, bail};

use super::intrinsics::Resolver;
use super::yaml::{Node, Value};

impl Resolver<'_> {
    /// Whether a condition holds; `line` is where it is asked for.
    pub(super) fn condition(&self, name: &str, line: usize) -> Result<bool> {
        let Some(expression) = self.template.get("Conditions").and_then(|section| section.get(name)) else {
            bail!("line {line}: there is no condition {name} under Conditions");
        };
        if self.open_conditions.borrow().iter().any(|open| open == name) {
            bail!("line {line}: the condition {name} depends on itself");
        }
        self.open_conditions.borrow_mut().push(name.to_owned());
        let holds = self.evaluate(expression);
        self.open_conditions.borrow_mut().pop();
        holds
    }

    fn evaluate(&self, expression: &Node) -> Result<bool> {
        let line = expression.line;
        let call = match &expression.value {
            Value::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        let [(name, argument)] = call else {
            bail!("line {line}: a condition must be one of Condition, Fn::And, Fn::Equals, Fn::Not, Fn::Or");
        };
        match name.as_str() {
            "Condition" => self.condition(argument.as_text("the name of a condition")?, line),
            "Fn::Equals" => {
                let [left, right] = self.arguments(argument, "Fn::Equals takes two values")?;
                Ok(left == right)
            }
            "Fn::Not" => match argument.items("the argument of Fn::Not")? {
                [inner] => Ok(!self.evaluate(inner)?),
                _ => bail!("line {line}: Fn::Not takes a list of one condition"),
            },
            // All are evaluated: an error in the second is one, whatever the first says.
            "Fn::And" => Ok(self.each(argument, "Fn::And")?.into_iter().all(|holds| holds)),
            "Fn::Or" => Ok(self.each(argument, "Fn::Or")?.into_iter().any(|holds| holds)),
            other => bail!("line {line}: {other} is no function that a condition may use"),
        }
    }

    fn each(&self, argument: &Node, name: &str) -> Result<Vec<bool>> {
        let items = argument.items(&format!("the argument of {name}"))?;
        // CloudFormation's own limits.
        if !(2..=10).contains(&items.len()) {
            bail!("line {}: {name} takes 2 to 10 conditions, and has {} here", argument.line, items.len());
        }
        items.iter().map(|item| self.evaluate(item)).collect()
    }
}
