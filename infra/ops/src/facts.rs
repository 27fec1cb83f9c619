//! A JSON document for people: one line for each fact.

use serde_json::Value;

use crate::output;

/// One line for each value, after its name, in the order of the names. A list of plain values is one fact.
pub(crate) fn describe(document: &Value) -> String {
    let mut facts = Vec::new();
    collect(document, &mut Vec::new(), &mut facts);
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    facts.iter().map(|(name, value)| format!("{name:<width$}  {value}").trim().to_owned()).collect::<Vec<_>>().join("\n")
}

fn collect(value: &Value, path: &mut Vec<String>, facts: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                path.push(output::plain(name).replace('_', " "));
                collect(value, path, facts);
                path.pop();
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (number, item) in (1_usize..).zip(items) {
                path.push(number.to_string());
                collect(item, path, facts);
                path.pop();
            }
        }
        value => facts.push((path.join(" "), text(value))),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => output::plain(text),
        Value::Number(number) => number.to_string(),
        Value::Array(items) if !items.is_empty() => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Array(_) | Value::Object(_) => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::describe;

    #[test]
    fn each_value_is_a_line_after_its_name() {
        let document = json!({
            "scope": "fleet",
            "generation": 7,
            "sessions": {"ended": 4, "left_busy": 1},
            "include_busy": false,
            "by_function": [{"name": "health", "ended": 1}, {"name": "user-models", "ended": 3}],
            "roles": ["thaw_app", "thaw_ops"],
            "warnings": [],
            "until": null,
        });
        let expected = "\
by function 1 ended  1
by function 1 name   health
by function 2 ended  3
by function 2 name   user-models
generation           7
include busy         no
roles                thaw_app, thaw_ops
scope                fleet
sessions ended       4
sessions left busy   1
until                -
warnings             none";
        assert_eq!(describe(&document), expected);
    }

    #[test]
    fn a_document_that_is_no_object_is_a_line_too() {
        assert_eq!(describe(&json!("done")), "done");
        assert_eq!(describe(&json!({})), "none");
        assert_eq!(describe(&json!([1, 2])), "1, 2");
    }

    #[test]
    fn nothing_of_the_answer_reaches_the_terminal_as_a_command() {
        assert_eq!(describe(&json!({"a\u{1b}[2J": "x\u{1b}]0;title\u{7}\nnext\u{9b}1m"})), "a\\u{1b}[2J  x\\u{1b}]0;title\\u{7}\\nnext\\u{9b}1m");
    }
}
