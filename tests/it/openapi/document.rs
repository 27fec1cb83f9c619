//! `infra/openapi.yaml`, and whether it has what an answer says.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tests::Answer;

/// Headers that every answer of an HTTP server may have, or every one of API Gateway's.
const COMMON: [&str; 5] = ["apigw-requestid", "connection", "content-length", "content-type", "date"];

/// The document.
pub(crate) struct Document(Value);

/// One operation of the document.
pub(crate) struct Operation<'d> {
    pub(crate) method: String,
    pub(crate) path: &'d str,
    pub(crate) value: &'d Value,
}

impl Document {
    pub(crate) fn read() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/openapi.yaml");
        Self(serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap())
    }

    /// What stands at a JSON pointer.
    pub(crate) fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).map(|value| self.resolved(value)).unwrap_or_else(|| panic!("the document has no {pointer}"))
    }

    /// The schema of this name.
    pub(crate) fn schema(&self, name: &str) -> &Value {
        self.at(&format!("/components/schemas/{name}"))
    }

    /// What a `$ref` points to, or the value itself.
    pub(crate) fn resolved<'d>(&'d self, value: &'d Value) -> &'d Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.at(reference.strip_prefix('#').unwrap()),
            None => value,
        }
    }

    pub(crate) fn operations(&self) -> Vec<Operation<'_>> {
        let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
        let paths = self.0["paths"].as_object().unwrap();
        paths
            .iter()
            .flat_map(|(path, item)| {
                let operations = item.as_object().unwrap().iter().filter(|(method, _)| methods.contains(&method.as_str()));
                operations.map(move |(method, value)| Operation { method: method.to_ascii_uppercase(), path, value })
            })
            .collect()
    }

    pub(crate) fn operation(&self, method: &str, path: &str) -> Operation<'_> {
        let found = self.operations().into_iter().find(|operation| operation.method == method && operation.path == path);
        found.unwrap_or_else(|| panic!("the document has no {method} {path}"))
    }

    /// The parameters of an operation, with those of its path.
    pub(crate) fn parameters<'d>(&'d self, operation: &Operation<'d>) -> Vec<&'d Value> {
        let of_path = &self.0["paths"][operation.path]["parameters"];
        [of_path, &operation.value["parameters"]].into_iter().filter_map(Value::as_array).flatten().map(|value| self.resolved(value)).collect()
    }

    /// Every property of a schema, those of its parts included.
    pub(crate) fn properties(&self, schema: &Value) -> BTreeSet<String> {
        let schema = self.resolved(schema);
        let parts = schema["allOf"].as_array().into_iter().flatten().flat_map(|part| self.properties(part));
        let own = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone());
        parts.chain(own).collect()
    }

    /// The values that `type` of a problem may have, each with its status.
    pub(crate) fn problems(&self, schema: &Value) -> Vec<(String, u64)> {
        let schema = self.resolved(schema);
        let narrowed = schema["allOf"].as_array().into_iter().flatten().find(|part| part["properties"]["type"]["enum"].is_array());
        let properties = &narrowed.unwrap_or_else(|| panic!("{schema} does not say which problems it is"))["properties"];
        let status = properties["status"]["const"].as_u64().unwrap();
        properties["type"]["enum"].as_array().unwrap().iter().map(|kind| (kind.as_str().unwrap().to_owned(), status)).collect()
    }

    /// Fails where the answer has a status, a type, a header, a problem or a field that the operation does not have in the document.
    pub(crate) fn assert_has(&self, operation: &Operation<'_>, answer: &Answer) {
        let what = format!("{} {}: {answer:?}", operation.method, operation.path);
        let response = operation.value["responses"].get(answer.status.to_string());
        let response = self.resolved(response.unwrap_or_else(|| panic!("the status is not in the document: {what}")));
        for name in answer.headers.keys().map(|name| name.as_str()).filter(|name| !COMMON.contains(name)) {
            let mut documented = response["headers"].as_object().into_iter().flatten();
            assert!(documented.any(|(header, _)| header.eq_ignore_ascii_case(name)), "{name} is not in the document: {what}");
        }
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let required = self.resolved(header)["required"] == true;
            assert!(!required || answer.headers.contains_key(name.to_ascii_lowercase()), "{name} is missing: {what}");
        }
        if answer.body.is_empty() {
            assert!(response.get("content").is_none() || answer.status == 431, "there is no body: {what}");
            return;
        }
        let content_type = answer.header("content-type");
        let schema = &response["content"].get(content_type).unwrap_or_else(|| panic!("its type is not in the document: {what}"))["schema"];
        let documented = self.properties(schema);
        let body = answer.json();
        for field in body.as_object().unwrap().keys() {
            assert!(documented.contains(field), "{field} is not in the document: {what}");
        }
        if content_type == "application/problem+json" {
            let problem = (body["type"].as_str().unwrap().to_owned(), body["status"].as_u64().unwrap());
            assert!(self.problems(schema).contains(&problem) && problem.1 == u64::from(answer.status), "{problem:?} is not in the document: {what}");
        }
    }
}
