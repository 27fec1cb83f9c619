//! Reads `template.yaml`, the only place where functions, routes and authorizers are written, so that the local cloud serves what SAM deploys.
//!
//! Read is what the local cloud needs: `AWS::Serverless::Function` with its `HttpApi` events, `AWS::Serverless::HttpApi` with its
//! authorizers and CORS, `Globals`, and the parameters, conditions and intrinsic functions that these depend on. Everything else is left unread.
//! A parameter's constraints (`AllowedPattern` and the like) are CloudFormation's to check, and not checked here: the local cloud's own
//! values, such as an issuer on the loopback interface, need not be fit for a deployment.

mod api;
mod conditions;
mod cors;
mod functions;
mod intrinsics;
mod parameters;
mod resources;
mod routes;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;

use anyhow::{Context, Result};

pub use cors::Cors;
use intrinsics::Resolver;
use parameters::Parameters;

/// What the local cloud needs to know of `template.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The functions, in the order of the template.
    pub functions: Vec<Function>,
    /// The routes of every HTTP API, in the order of the template. No two of them can match the same request equally well.
    pub routes: Vec<Route>,
    /// Which pages of other origins may call the API from a browser; none where the template says nothing.
    pub cors: Option<Cors>,
}

/// A Lambda function (`AWS::Serverless::Function`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name in the local cloud: the binary it is built from (`Metadata.BuildProperties.Binary`).
    pub name: String,
    /// Its name inside the template.
    pub logical_id: String,
    /// `MemorySize` in MiB; Lambda's default, 128, where the template says nothing.
    pub memory_mb: u32,
    /// `Timeout`, in milliseconds; Lambda's default, 3,000, where the template says nothing.
    pub timeout_ms: u64,
    /// `ReservedConcurrentExecutions`: the most environments that may run at once.
    pub reserved_concurrency: Option<u32>,
    /// `CapacityProviderConfig.PerExecutionEnvironmentMaxConcurrency`: how many invocations one environment takes at once on Lambda Managed
    /// Instances. Where the template says nothing Lambda chooses a number by the runtime, which the local cloud does not know.
    pub sandbox_concurrency: Option<NonZeroU32>,
    /// `Environment.Variables` with those of `Globals`, as the function would find them. Empty values are kept.
    pub environment: BTreeMap<String, String>,
}

/// A route of the API (an `HttpApi` event of a function).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// In upper case, or `ANY`.
    pub method: String,
    /// In API Gateway's syntax, such as `/api/models/{id}` or `/files/{proxy+}`; `$default` for the route that takes what no other does.
    pub path: String,
    /// [`Function::name`] of the function behind it.
    pub function: String,
    /// Who may call it.
    pub authorization: Authorization,
}

/// Who may call a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorization {
    /// Anybody.
    Open,
    /// Whoever brings a token that this authorizer accepts, in the `Authorization` header.
    Jwt(JwtAuthorizer),
    /// Whoever signs the request with AWS credentials.
    Iam,
}

/// A JWT authorizer as it applies to one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtAuthorizer {
    /// Its name under `Authorizers`.
    pub name: String,
    /// What the claim `iss` must be.
    pub issuer: String,
    /// Of which the claim `aud` (or `client_id`) must contain one.
    pub audience: Vec<String>,
    /// Of which the claim `scope` (or `scp`) must contain one; empty asks for none.
    pub scopes: Vec<String>,
}

impl Template {
    /// Reads a template file; `parameters` override the defaults under `Parameters`, and by the names `AWS::Region` and so on those of the
    /// pseudo parameters.
    ///
    /// A parameter without default needs an override only where a function or route depends on it.
    ///
    /// # Errors
    /// One sentence that names the file, the line and what to mend: a file that cannot be read, text that is not YAML, a parameter without a
    /// value or not declared, an unknown name or condition, a function without `Binary`, an authorizer that does not exist or that the local
    /// cloud cannot enforce, two routes that match the same requests.
    pub fn read(path: &Path, parameters: &BTreeMap<String, String>) -> Result<Template> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the template {}", path.display()))?;
        Self::parse(&text, parameters).with_context(|| format!("cannot use the template {}", path.display()))
    }

    /// Reads a template's text; otherwise as [`Template::read`].
    ///
    /// # Errors
    /// As [`Template::read`], without the file's name.
    pub fn parse(text: &str, parameters: &BTreeMap<String, String>) -> Result<Template> {
        let root = yaml::read(text)?;
        let parameters = Parameters::new(&root, parameters)?;
        let resolver = Resolver::new(&root, parameters);
        let (functions, events) = functions::read(&resolver)?;
        let routes = routes::read(&resolver, &events)?;
        let cors = cors::read(&resolver)?;
        Ok(Template { functions, routes, cors })
    }
}
