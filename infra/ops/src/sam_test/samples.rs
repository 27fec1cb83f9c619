//! The sample events: for which function each is, and what a good answer to it is.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use local::template::{Function, Template};
use serde_json::Value;

/// An event of `infra/events`.
#[derive(Debug)]
pub(super) struct Sample {
    /// Its file's name.
    pub(super) name: String,
    pub(super) event: Value,
    pub(super) function: Function,
}

/// When an event is sent: what brings up the schema before what needs it, what takes a thing away after what looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    Deployment,
    Request,
    Removal,
}

/// All of them, in the order in which they are to be sent.
///
/// # Errors
/// A file is none, an event is for no function, or a function has none.
pub(super) fn read(folder: &Path, template: &Template) -> Result<Vec<Sample>> {
    let unreadable = || format!("cannot read {}", folder.display());
    let mut samples = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let file = entry.with_context(unreadable)?.path();
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let event: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
        let function = function(&name, &event, template)?.clone();
        samples.push(Sample { name, event, function });
    }
    samples.sort_by(|a, b| (a.turn(), &a.name).cmp(&(b.turn(), &b.name)));
    for function in &template.functions {
        ensure!(samples.iter().any(|sample| sample.function.name == function.name), "{} has no event for {}", folder.display(), function.name);
    }
    Ok(samples)
}

/// The one behind the event's route; else the one after which the file is named.
fn function<'a>(name: &str, event: &Value, template: &'a Template) -> Result<&'a Function> {
    let owner = match event["routeKey"].as_str() {
        Some(key) => template.routes.iter().find(|route| format!("{} {}", route.method, route.path) == key).map(|route| route.function.as_str()),
        None => name.split_once('-').map(|(owner, _)| owner),
    };
    match template.functions.iter().find(|function| Some(function.name.as_str()) == owner) {
        Some(function) => Ok(function),
        None => {
            bail!("the event {name} is for no function of the template: its routeKey has to be a route's, or its name to begin with a function's")
        }
    }
}

impl Sample {
    pub(super) fn turn(&self) -> Turn {
        if self.is_of_cloudformation() {
            Turn::Deployment
        } else if self.event["requestContext"]["http"]["method"] == "DELETE" {
            Turn::Removal
        } else {
            Turn::Request
        }
    }

    /// Whether it wants its answer by a PUT to the URL in it.
    pub(super) fn is_of_cloudformation(&self) -> bool {
        self.event.get("RequestType").is_some()
    }

    /// What the function answered to it, in a word, where that is good. `put` is what came by PUT meanwhile.
    ///
    /// # Errors
    /// What is not as it should be.
    pub(super) fn judge(&self, answer: &str, put: &[Value]) -> Result<String> {
        let answer: Value = serde_json::from_str(answer).with_context(|| format!("it answers no JSON: {answer:?}"))?;
        if let Some(message) = answer.get("errorMessage") {
            bail!("it fails: {message}");
        }
        if self.is_of_cloudformation() {
            let [told] = put else { bail!("CloudFormation is told {} times", put.len()) };
            ensure!(told["Status"] == "SUCCESS", "CloudFormation is told {told}");
            return Ok(match told["Data"]["applied"].as_u64() {
                Some(applied) => format!("PUT SUCCESS, {applied} migrations applied"),
                None => "PUT SUCCESS".to_owned(),
            });
        }
        if self.event["requestContext"].get("http").is_some() {
            let status = answer["statusCode"].as_u64().context("it answers without statusCode")?;
            ensure!((200..300).contains(&status), "it answers {status}: {}", answer["body"]);
            return Ok(status.to_string());
        }
        match answer["status"].as_str() {
            Some(status @ ("pass" | "warn")) => Ok(status.to_owned()),
            Some(status) => bail!("it answers {status}: {answer}"),
            // What migrate tells of a schema that is up by then.
            None => {
                let (present, known) = (answer["present"].as_u64(), answer["known"].as_u64());
                ensure!(present.is_some() && present == known, "it answers {answer}");
                Ok(format!("{} migrations present", known.unwrap_or_default()))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn template() -> Template {
        local::stack::template(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml")).unwrap()
    }

    fn events() -> Vec<Sample> {
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../events"), &template()).unwrap()
    }

    fn sample(name: &str) -> Sample {
        events().into_iter().find(|sample| sample.name == name).unwrap()
    }

    #[test]
    fn every_event_has_its_function_and_its_turn() {
        let samples = events();
        let place = |name: &str| samples.iter().position(|sample| sample.name == name).unwrap();
        assert!(place("migrate-update.json") < place("health-get.json"));
        assert!(place("user-model-patch.json") < place("user-model-delete.json"));
        for (name, function) in
            [("user-model-delete.json", "user-models"), ("health-schedule.json", "health"), ("purchased-models-post.json", "purchased-models")]
        {
            assert_eq!(samples[place(name)].function.name, function);
        }
    }

    #[test]
    fn an_event_without_function_and_a_function_without_event_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = read(folder.path(), &template()).unwrap_err().to_string();
        assert!(refused.contains("has no event for purchased-models"), "{refused}");
        for (name, text) in [("nobody-direct.json", "{}"), ("x.json", r#"{"routeKey":"GET /nowhere"}"#)] {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            let refused = read(folder.path(), &template()).unwrap_err().to_string();
            assert!(refused.contains(name) && refused.contains("for no function"), "{refused}");
            std::fs::remove_file(file).unwrap();
        }
    }

    #[test]
    fn only_a_good_answer_is_one() {
        let get = sample("user-models-get.json");
        assert_eq!(get.judge(r#"{"statusCode":200,"body":"{}"}"#, &[]).unwrap(), "200");
        for bad in ["", "null", "{}", r#"{"statusCode":503}"#, r#"{"statusCode":304}"#, r#"{"errorMessage":"timed out","statusCode":200}"#] {
            assert!(get.judge(bad, &[]).is_err(), "{bad}");
        }
        let health = sample("health-direct.json");
        assert_eq!(health.judge(r#"{"status":"pass"}"#, &[]).unwrap(), "pass");
        assert!(health.judge(r#"{"status":"fail"}"#, &[]).is_err());
        let status = sample("migrate-direct.json");
        assert_eq!(status.judge(r#"{"present":6,"known":6,"applied":0}"#, &[]).unwrap(), "6 migrations present");
        for bad in ["null", "{}", r#"{"present":5,"known":6}"#] {
            assert!(status.judge(bad, &[]).is_err(), "{bad}");
        }
        let create = sample("migrate-create.json");
        let told = json!({ "Status": "SUCCESS", "Data": { "applied": 6 } });
        assert_eq!(create.judge("null", std::slice::from_ref(&told)).unwrap(), "PUT SUCCESS, 6 migrations applied");
        for bad in [vec![], vec![told.clone(), told], vec![json!({ "Status": "FAILED" })]] {
            assert!(create.judge("null", &bad).is_err(), "{bad:?}");
        }
    }
}
