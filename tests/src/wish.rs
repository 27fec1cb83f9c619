//! A write as a client means it: one wish, sent under its key until it is acknowledged.

use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::Api;
use crate::client::Answer;
use crate::shop::Kind;

const MODELS: &str = "/api/models/user-models";
const PURCHASES: &str = "/api/user/purchased-models";

/// How often a client sends one wish before it gives up. At 10 ms each it outlasts every timeout of the ladder.
const PATIENCE: u32 = 1_000;

/// One wish of one subject.
#[derive(Debug, Clone)]
pub struct Wish {
    method: &'static str,
    path: String,
    subject: String,
    key: Option<String>,
    if_match: Option<String>,
    body: Option<Value>,
}

impl Wish {
    /// To buy a model.
    #[must_use]
    pub fn purchase(subject: &str, key: &str, model: Uuid) -> Self {
        Self::new("POST", PURCHASES.to_owned(), subject, key, Some(json!({ "model_id": model })))
    }

    /// To publish a model.
    #[must_use]
    pub fn publication(subject: &str, key: &str) -> Self {
        let model = json!({ "title": "Fox", "description": "A fox.", "price_cents": 499, "currency": "EUR", "file_bytes": 1024 });
        Self::new("POST", MODELS.to_owned(), subject, key, Some(model))
    }

    /// To change the title of a model that is of its first version.
    #[must_use]
    pub fn change(subject: &str, key: &str, model: Uuid) -> Self {
        Self::new("PATCH", format!("{MODELS}/{model}"), subject, key, Some(json!({ "title": "Vixen" }))).if_match("\"1\"")
    }

    /// To withdraw a model that is of its first version.
    #[must_use]
    pub fn withdrawal(subject: &str, key: &str, model: Uuid) -> Self {
        Self::new("DELETE", format!("{MODELS}/{model}"), subject, key, None).if_match("\"1\"")
    }

    fn new(method: &'static str, path: String, subject: &str, key: &str, body: Option<Value>) -> Self {
        Self { method, path, subject: subject.to_owned(), key: Some(key.to_owned()), if_match: None, body }
    }

    /// With another `If-Match`; none where it is empty.
    #[must_use]
    pub fn if_match(mut self, tags: &str) -> Self {
        self.if_match = (!tags.is_empty()).then(|| tags.to_owned());
        self
    }

    /// With another body.
    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// As somebody who gives it no key.
    #[must_use]
    pub fn without_key(mut self) -> Self {
        self.key = None;
        self
    }

    /// Who has it, and what it is called.
    #[must_use]
    pub fn name(&self) -> (String, String) {
        (self.subject.clone(), self.key.clone().unwrap_or_default())
    }

    /// What it is about.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match (self.method, &*self.path) {
            ("POST", PURCHASES) => Kind::Purchase,
            ("POST", _) => Kind::Publication,
            ("PATCH", _) => Kind::Change,
            _ => Kind::Withdrawal,
        }
    }

    /// The model in its path.
    #[must_use]
    pub fn model(&self) -> Uuid {
        self.path.rsplit('/').next().unwrap().parse().unwrap()
    }

    /// Its request.
    pub fn request(&self, api: &Api) -> RequestBuilder {
        let mut request = api.request(self.method, &self.path).bearer_auth(api.token(&self.subject));
        for (name, value) in [("idempotency-key", &self.key), ("if-match", &self.if_match)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        match &self.body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        }
    }

    /// Sends it once.
    pub async fn send(&self, api: &Api) -> Answer {
        api.send(self.request(api)).await
    }

    /// Sends it until it is acknowledged. All answers, of which the last is 2xx and no other is.
    pub async fn until_acknowledged(&self, api: &Api) -> Vec<Answer> {
        let answers = self.until_decided(api).await;
        assert!(answers.last().is_some_and(|last| last.status < 300), "{self:?}: {answers:?}");
        answers
    }

    /// Sends it until it is acknowledged or refused, as the documentation tells a client to: again after 503, 504 and 409 `key-in-flight`,
    /// and after a 500 of the gateway's own, which is a function that was lost. All answers.
    pub async fn until_decided(&self, api: &Api) -> Vec<Answer> {
        let mut answers = Vec::new();
        for _ in 0..PATIENCE {
            let answer = self.send(api).await;
            let is_again = match answer.status {
                409 => answer.problem() == "/problems/key-in-flight",
                500 => answer.problem().is_empty(),
                status => matches!(status, 503 | 504),
            };
            answers.push(answer);
            if !is_again {
                return answers;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{self:?} is never decided: {:?}", answers.last());
    }
}
