//! The function `migrate`: brings schema and roles up when the stack is deployed, as a custom resource of CloudFormation, and whenever it is
//! invoked directly. It connects to the cluster itself as the master user, not through the proxy: what it does would pin every session.

mod custom_resource;
mod event;
mod handler;
mod rds_roots;
mod schema;

use std::process::ExitCode;

fn main() -> ExitCode {
    shared::telemetry::init();
    if let Err(error) = rds_roots::lay() {
        tracing::error!(variable = rds_roots::VARIABLE, "the roots of RDS could not be laid: {error}");
        return ExitCode::FAILURE;
    }
    shared::lambda::serve_invocations(handler::handle)
}
