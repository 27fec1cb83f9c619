//! The plan's rows, one table after another, in their binary form.

use fastrand::Rng;

use super::copy::CopyRows;
use super::plan::{Plan, uuid_v7};
use super::words;

const SEED: u64 = 0x7261_7773;

/// One purchase in so many was made at a discount.
const DISCOUNTED_ONE_IN: u8 = 8;
const DISCOUNTED_PERCENT: u32 = 80;

/// A table of the seed, in the order in which foreign keys allow to fill them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// `users`.
    Users,
    /// `models`.
    Models,
    /// `purchases`.
    Purchases,
}

impl Table {
    pub(super) const ALL: [Self; 3] = [Self::Users, Self::Models, Self::Purchases];

    /// The table's name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Models => "models",
            Self::Purchases => "purchases",
        }
    }

    pub(super) fn copy_statement(self) -> &'static str {
        match self {
            Self::Users => "copy users (id, subject, created_at) from stdin (format binary)",
            Self::Models => {
                "copy models (id, owner_id, title, description, price_cents, currency, file_bytes, \
                 download_count, created_at, updated_at, withdrawn_at) from stdin (format binary)"
            }
            Self::Purchases => {
                "copy purchases (id, buyer_id, model_id, price_cents, currency, purchased_at) \
                 from stdin (format binary)"
            }
        }
    }
}

/// Writes the rows of one table, each once and in order: what is random about them is drawn on the
/// way.
pub(super) struct TableRows<'a> {
    table: Table,
    plan: &'a Plan,
    rng: Rng,
    next: usize,
}

impl<'a> TableRows<'a> {
    pub(super) fn new(table: Table, plan: &'a Plan) -> Self {
        Self { table, plan, rng: Rng::with_seed(SEED), next: 0 }
    }

    pub(super) fn table(&self) -> Table {
        self.table
    }

    pub(super) fn total(&self) -> usize {
        match self.table {
            Table::Users => self.plan.users.len(),
            Table::Models => self.plan.models.len(),
            Table::Purchases => self.plan.purchases.len(),
        }
    }

    pub(super) fn written(&self) -> usize {
        self.next
    }

    /// Writes the next row; false when there was none left.
    pub(super) fn write(&mut self, rows: &mut CopyRows) -> bool {
        if self.next == self.total() {
            return false;
        }
        match self.table {
            Table::Users => self.user(rows),
            Table::Models => self.model(rows),
            Table::Purchases => self.purchase(rows),
        }
        self.next += 1;
        true
    }

    fn user(&self, rows: &mut CopyRows) {
        let user = &self.plan.users[self.next];
        rows.row(3);
        rows.uuid(user.id);
        rows.text(&format!("user-{}", self.next + 1));
        rows.timestamptz(user.created_at_ms);
    }

    fn model(&mut self, rows: &mut CopyRows) {
        let model = &self.plan.models[self.next];
        rows.row(11);
        rows.uuid(model.id);
        rows.uuid(self.plan.users[model.owner].id);
        rows.text(&words::title(&mut self.rng));
        rows.text(&words::description(&mut self.rng));
        rows.bigint(model.price_cents.into());
        rows.text(model.currency);
        rows.bigint(model.file_bytes);
        rows.bigint(model.download_count);
        rows.timestamptz(model.created_at_ms);
        rows.timestamptz(model.updated_at_ms);
        match model.withdrawn_at_ms {
            Some(withdrawn_at_ms) => rows.timestamptz(withdrawn_at_ms),
            None => rows.null(),
        }
    }

    fn purchase(&mut self, rows: &mut CopyRows) {
        let purchase = &self.plan.purchases[self.next];
        let model = &self.plan.models[purchase.model as usize];
        let discounted = self.rng.u8(..DISCOUNTED_ONE_IN) == 0;
        let percent = if discounted { DISCOUNTED_PERCENT } else { 100 };
        rows.row(6);
        rows.uuid(uuid_v7(purchase.purchased_at_ms, &mut self.rng));
        rows.uuid(self.plan.users[purchase.buyer as usize].id);
        rows.uuid(model.id);
        rows.bigint((model.price_cents * percent / 100).into());
        rows.text(model.currency);
        rows.timestamptz(purchase.purchased_at_ms);
    }
}
