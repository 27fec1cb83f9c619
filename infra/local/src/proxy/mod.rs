//! The stand-in of RDS Proxy.

pub mod iam;
