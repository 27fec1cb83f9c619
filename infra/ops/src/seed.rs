//! `cargo ops seed`, and the progress bar of a seed.

use std::io::Write as _;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use local::address::Address;
use local::connect;
use local::seed::{Progress, SeedReport, Size, Table, seed};
use serde_json::json;

use crate::output;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo ops seed --database-url postgres://me:secret@127.0.0.1:5432/thaw --users 1000 --models 10000 --purchases 50000"
)]
pub(crate) struct Arguments {
    /// The database: migrated, without rows (postgres://user:password@host:port/name)
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// How many users; their subjects are user-1, user-2, …
    #[arg(long, value_name = "N", default_value_t = Size::default().users)]
    users: u64,
    /// How many models
    #[arg(long, value_name = "N", default_value_t = Size::default().models)]
    models: u64,
    /// How many purchases
    #[arg(long, value_name = "N", default_value_t = Size::default().purchases)]
    purchases: u64,
    /// As one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let address = Address::parse(&arguments.database_url)?;
    let mut connection = connect::connect(&address.options()?).await?;
    let began = Instant::now();
    let mut bar = Bar::new();
    let size = Size { users: arguments.users, models: arguments.models, purchases: arguments.purchases };
    let report = seed(&mut connection, size, &mut |progress| bar.show(progress)).await?;
    bar.finish();
    let took_s = began.elapsed().as_secs_f64();
    let document = json!({
        "database": address.shown(), "users": report.users, "models": report.models, "purchases": report.purchases, "took_s": took_s,
    });
    output::document_or(arguments.json, &document, &format!("{}: {} in {took_s:.1} s", address.shown(), describe(report)))
}

/// What a seed wrote, for people.
pub(crate) fn describe(report: SeedReport) -> String {
    let [users, models, purchases] = [report.users, report.models, report.purchases].map(HumanCount);
    format!("{users} users, {models} models, {purchases} purchases")
}

/// Names the table that is being filled.
pub(crate) fn announce(progress: Progress) {
    // A reader that went away must not end the seed.
    let _ = writeln!(std::io::stderr(), "{:<10} {} {}", "seeding", HumanCount(progress.total), progress.table.name());
}

/// How far a seed is, in a few words.
pub(crate) fn describe_progress(progress: Progress) -> String {
    format!("{} of {} {}", HumanCount(progress.rows), HumanCount(progress.total), progress.table.name())
}

/// Shows how far a seed has come, where somebody looks.
pub(crate) struct Bar {
    bar: ProgressBar,
    /// The table that was named last, where nobody sees a bar.
    named: Option<Table>,
}

impl Bar {
    pub(crate) fn new() -> Self {
        let style = ProgressStyle::with_template("  {msg:12} {bar:30} {human_pos}/{human_len}").unwrap_or_else(|_| ProgressStyle::default_bar());
        Self { bar: ProgressBar::no_length().with_style(style), named: None }
    }

    pub(crate) fn show(&mut self, progress: Progress) {
        if self.bar.is_hidden() && self.named.replace(progress.table) != Some(progress.table) {
            announce(progress);
        }
        self.bar.set_message(progress.table.name());
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.rows);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
