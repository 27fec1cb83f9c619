//! The roles that functions sign in to the database as. A function says which of them is its own in the variable `DB_USER` of its template.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgConnection;

use crate::address::Address;
use crate::database;
use crate::workspace::Workspace;

/// The role of the routes.
pub const APP_ROLE: &str = "thaw_app";

/// The role of the functions that watch over the database.
pub const OPS_ROLE: &str = "thaw_ops";

/// The one that brings the schema up, past any proxy: here the administrator of the server by another name.
pub const MASTER_ROLE: &str = "thaw_master";

/// Those roles on one database, each with its password.
#[derive(Debug, Clone)]
pub struct Roles {
    address: Address,
    passwords: BTreeMap<String, SecretString>,
}

impl Roles {
    /// Both of them, on the database at `address`, with this person's passwords for its server.
    ///
    /// # Errors
    /// This person's secret cannot be read or made.
    pub fn of(workspace: &Workspace, address: &Address) -> Result<Self> {
        let password = |role: &str| Ok((role.to_owned(), workspace.password(role, &address.server())?.into()));
        Ok(Self { address: address.clone(), passwords: [APP_ROLE, OPS_ROLE].into_iter().map(password).collect::<Result<_>>()? })
    }

    /// One role with its password, on any database.
    #[must_use]
    pub fn one(role: &str, password: impl Into<SecretString>, address: Address) -> Self {
        Self { address, passwords: [(role.to_owned(), password.into())].into() }
    }

    /// The same roles on another database of the server.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        Self { address: self.address.with_database(database), passwords: self.passwords.clone() }
    }

    /// The same roles by way of something that stands before the server.
    #[must_use]
    pub fn by_way_of(&self, address: SocketAddr) -> Self {
        Self { address: self.address.by_way_of(address), passwords: self.passwords.clone() }
    }

    /// The database, with the credentials of its administrator.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Each role's password.
    #[must_use]
    pub fn passwords(&self) -> &BTreeMap<String, SecretString> {
        &self.passwords
    }

    /// How a function connects as this role, the value of `DATABASE_URL`: a secret.
    ///
    /// # Errors
    /// There is no such role.
    pub fn url(&self, role: &str) -> Result<String> {
        if role == MASTER_ROLE {
            return Ok(self.address.url());
        }
        let known = || self.passwords.keys().map(String::as_str).collect::<Vec<_>>().join(" or ");
        let password = self.passwords.get(role).with_context(|| format!("the role {role:?} has no password here: it must be {}", known()))?;
        self.address.url_as(role, password.expose_secret())
    }

    /// Gives each role its password. Roles belong to the whole cluster.
    ///
    /// # Errors
    /// As [`database::set_password`].
    pub async fn set_passwords(&self, admin: &mut PgConnection) -> Result<()> {
        for (role, password) in &self.passwords {
            database::set_password(admin, role, password.expose_secret()).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_a_url_of_its_own_and_an_unknown_one_is_named() {
        let address = Address::parse("postgres://postgres:hidden@127.0.0.1:6543/thaw").unwrap();
        let passwords = [(APP_ROLE, "one"), (OPS_ROLE, "two")].map(|(role, password)| (role.to_owned(), password.into()));
        let roles = Roles { address, passwords: passwords.into() };
        assert_eq!(roles.url(OPS_ROLE).unwrap(), "postgres://thaw_ops:two@127.0.0.1:6543/thaw?sslmode=disable");
        let elsewhere = roles.with_database("other").by_way_of(([127, 0, 0, 1], 7).into());
        assert_eq!(elsewhere.url(APP_ROLE).unwrap(), "postgres://thaw_app:one@127.0.0.1:7/other?sslmode=disable");
        let error = roles.url("postgres").unwrap_err().to_string();
        assert_eq!(error, r#"the role "postgres" has no password here: it must be thaw_app or thaw_ops"#);
        let shown = format!("{roles:?}");
        assert!(!shown.contains("hidden") && !shown.contains("one") && !shown.contains("two"), "{shown}");
    }
}
