//! `cargo ops psql`.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use local::address::Address;
use local::proxy;
use local::roles::{APP_ROLE, OPS_ROLE, Roles};
use local::running::{self, DatabaseAccess};
use local::workspace::Workspace;
use secrecy::ExposeSecret as _;

use crate::output;

const AFTER_HELP: &str = "\
The role's timeouts apply: app and ops end a statement after two seconds, as for the functions.

Examples:
  cargo ops psql
  cargo ops psql --role app -- -c 'select count(*) from purchases'
  cargo ops psql --proxy
  cargo ops psql --print";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Who signs in; app where it is by way of the proxy, else admin
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// By way of the stand-in for RDS Proxy, with a token
    #[arg(long)]
    proxy: bool,
    /// Print the URL with its password, and start nothing
    #[arg(long)]
    print: bool,
    /// What psql gets besides the URL
    #[arg(last = true, value_name = "ARGUMENTS", conflicts_with = "print")]
    arguments: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// The routes' role, thaw_app
    App,
    /// The operators' role, thaw_ops
    Ops,
    /// The server's administrator
    Admin,
}

pub(crate) async fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let access = running::find_with_database(&workspace.state())?.context("no local database runs on this checkout: start it with cargo dev")?;
    let url = url(workspace, &access, arguments).await?;
    if arguments.print {
        return output::line(&url);
    }
    // In variables, because every user can read the arguments of a process.
    let mut psql = Command::new("psql");
    // They would lead elsewhere, or be refused by the stand-in.
    for name in ["PGHOSTADDR", "PGOPTIONS", "PGSERVICE"] {
        psql.env_remove(name);
    }
    let error = psql.args(&arguments.arguments).envs(variables(&url)?).exec();
    match error.kind() {
        ErrorKind::NotFound => bail!(
            "psql is not in PATH: install it (Debian, Ubuntu: apt-get install postgresql-client; macOS: brew install libpq), or use another \
             client with the URL of cargo ops psql --print"
        ),
        _ => Err(anyhow!(error).context("psql does not start")),
    }
}

async fn url(workspace: &Workspace, access: &DatabaseAccess, arguments: &Arguments) -> Result<String> {
    let address = Address::parse(&access.admin_url)?;
    let role = match (arguments.role, arguments.proxy) {
        (Some(Role::Admin), true) => {
            bail!("the administrator does not sign in by way of the proxy: say --role app or --role ops, or leave out --proxy")
        }
        (Some(Role::Admin), false) | (None, false) => return Ok(address.url()),
        (Some(Role::App), _) | (None, true) => APP_ROLE,
        (Some(Role::Ops), _) => OPS_ROLE,
    };
    if arguments.proxy {
        let environment = access.proxy.as_ref().context("the cargo dev that runs here has no stand-in for RDS Proxy")?;
        return Ok(proxy::sign_in_url(environment, role)?.expose_secret().to_owned());
    }
    let url = Roles::of(workspace, &address)?.url(role)?;
    // The drill rotate may have changed the password.
    local::connect::connect(&Address::parse(&url)?.options()?)
        .await
        .with_context(|| format!("{role} cannot sign in; after the drill rotate say --proxy, or start cargo dev anew"))?;
    Ok(url)
}

/// The URL as variables of libpq.
fn variables(url: &str) -> Result<Vec<(&'static str, String)>> {
    let url = reqwest::Url::parse(url).context("the database's URL is malformed")?;
    let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut variables = vec![
        ("PGHOST", plain(url.host_str().unwrap_or_default().trim_matches(['[', ']']))),
        ("PGPORT", url.port().unwrap_or(5432).to_string()),
        ("PGUSER", plain(url.username())),
        ("PGPASSWORD", plain(url.password().unwrap_or_default())),
        ("PGDATABASE", plain(url.path().trim_start_matches('/'))),
    ];
    for (name, value) in url.query_pairs() {
        match &*name {
            "sslmode" => {
                // Before version 15 libpq compares a certificate with names alone.
                if value == "verify-full" && url.host_str() == Some("127.0.0.1") {
                    variables.extend([("PGHOST", "localhost".to_owned()), ("PGHOSTADDR", "127.0.0.1".to_owned())]);
                }
                variables.push(("PGSSLMODE", value.into_owned()));
            }
            "sslrootcert" => variables.push(("PGSSLROOTCERT", value.into_owned())),
            _ => {}
        }
    }
    Ok(variables)
}
