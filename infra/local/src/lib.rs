//! The local cloud: what AWS does around the functions, on one's own machine, for `cargo dev`, the tests and the benchmarks.
//!
//! | module | stands for |
//! |---|---|
//! | [`gateway`] | API Gateway's HTTP API: routes, JWT and IAM authorizers, payload format 2.0 |
//! | [`issuer`] | the identity provider whose tokens the authorizer checks |
//! | [`cloud`], [`sandbox`] | Lambda: sandboxes that freeze, Runtime API, Extensions API |
//! | [`template`] | `template.yaml`, the only place where a route is written |
//! | [`wire`] | Postgres's protocol, as far as a proxy reads it |
//! | [`proxy`] | RDS Proxy: TLS, IAM, database connections shared by transaction |
//! | [`pins`] | which statements would pin a session there |
//! | [`forward`] | the same, of a program that connects to a database of its own |
//! | [`postgres`] | a server, found or fetched |
//! | [`sigv4`] | credentials that only this machine knows, and signatures made with them |
//! | [`database`], [`migrate`], [`seed`] | databases, their schema, their demonstration data |
//! | [`build`] | the functions' binaries |
//! | [`guard`], [`group`] | nothing outlives its owner |
//! | [`stack`] | all of it together; [`provision`] makes its database, [`roles`] sign in there, [`control`] is the port beside the API |
//! | [`dashboard`] | a page on which all of it can be watched; [`drill`] has the faults that it injects |
//! | [`workspace`], [`running`], [`address`] | the checkout, what runs of it, and the server that a person names |

mod accept;
pub mod address;
pub mod build;
pub mod cloud;
pub mod connect;
pub mod control;
pub mod dashboard;
pub mod database;
pub mod drill;
mod fleet;
pub mod forward;
pub mod gateway;
pub mod group;
pub mod guard;
pub mod invoke;
pub mod issuer;
pub mod loopback;
pub mod migrate;
pub mod pins;
pub mod postgres;
pub mod provision;
pub mod proxy;
pub mod roles;
pub mod running;
pub mod sandbox;
mod scram;
mod secret;
pub mod seed;
pub mod sigv4;
pub mod stack;
pub mod template;
mod traffic;
pub mod wire;
pub mod workspace;
