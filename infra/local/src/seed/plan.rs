//! Who owns, who buys and when: everything about the rows but their text.
//!
//! All of it follows from the size and a fixed seed. Times are milliseconds since 1970 and lie in
//! three windows after one another, so that no user is younger than their models or purchases:
//! users in the first quarter of 2024, models in the rest of that year, purchases up to the end of
//! 2025.

use std::ops::Range;

use fastrand::Rng;
use uuid::{Builder, Uuid};

use super::size::{PURCHASES_EACH, Size};

const SEED: u64 = 0x7468_6177;

const DAY_MS: u64 = 86_400_000;
/// 2024-01-01T00:00:00Z.
const USERS_FROM_MS: u64 = 1_704_067_200_000;
const MODELS_FROM_MS: u64 = USERS_FROM_MS + 91 * DAY_MS;
/// 2025-01-01T00:00:00Z.
const MODELS_UNTIL_MS: u64 = USERS_FROM_MS + 366 * DAY_MS;
const WITHDRAWN_FROM_MS: u64 = MODELS_UNTIL_MS + 181 * DAY_MS;
/// 2026-01-01T00:00:00Z.
const END_MS: u64 = MODELS_UNTIL_MS + 365 * DAY_MS;

/// Of the models that are not their owner's first, one in so many is withdrawn.
const WITHDRAWN_ONE_IN: u64 = 20;

const PRICES_CENTS: [u32; 12] = [0, 199, 299, 499, 499, 799, 999, 999, 1_499, 1_999, 2_999, 4_999];

/// A seller has one currency.
const CURRENCIES: [&str; 8] = ["EUR", "USD", "EUR", "USD", "GBP", "USD", "CHF", "EUR"];

/// Rows of all three tables, in the order of their time; other rows are named by position.
pub(super) struct Plan {
    pub(super) users: Vec<User>,
    pub(super) models: Vec<Model>,
    pub(super) purchases: Vec<Purchase>,
}

pub(super) struct User {
    pub(super) id: Uuid,
    pub(super) created_at_ms: u64,
}

pub(super) struct Model {
    pub(super) id: Uuid,
    pub(super) owner: usize,
    pub(super) price_cents: u32,
    pub(super) currency: &'static str,
    pub(super) file_bytes: u64,
    pub(super) download_count: u64,
    pub(super) created_at_ms: u64,
    pub(super) updated_at_ms: u64,
    pub(super) withdrawn_at_ms: Option<u64>,
}

/// Kept small, because there are many; sorts by time. Its key is made while it is written.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Purchase {
    pub(super) purchased_at_ms: u64,
    pub(super) buyer: u32,
    pub(super) model: u32,
}

impl Plan {
    /// # Errors
    /// When the size is impossible.
    pub(super) fn new(size: Size) -> anyhow::Result<Self> {
        size.check()?;
        let mut rng = Rng::with_seed(SEED);
        let users = users(size, &mut rng);
        let mut models = models(size, &mut rng);
        let purchases = purchases(size, &models, &mut rng);
        for purchase in &purchases {
            models[purchase.model as usize].download_count += 1;
        }
        Ok(Self { users, models, purchases })
    }
}

/// A UUIDv7 of that millisecond with its other bits from `rng` (RFC 9562, section 5.7).
pub(super) fn uuid_v7(at_ms: u64, rng: &mut Rng) -> Uuid {
    let mut random = [0; 10];
    rng.fill(&mut random);
    Builder::from_unix_timestamp_millis(at_ms, &random).into_uuid()
}

fn users(size: Size, rng: &mut Rng) -> Vec<User> {
    let times_ms = spread(USERS_FROM_MS..MODELS_FROM_MS, size.users, rng);
    let user = |created_at_ms| User { id: uuid_v7(created_at_ms, rng), created_at_ms };
    times_ms.into_iter().map(user).collect()
}

fn models(size: Size, rng: &mut Rng) -> Vec<Model> {
    let spread_models = size.spread_models();
    let mut owners: Vec<u64> = (0..spread_models)
        .map(|position| position % size.users)
        .chain((0..size.models - spread_models).map(|position| position % size.publishers()))
        .collect();
    rng.shuffle(&mut owners);

    let mut has_one = vec![false; size.users as usize];
    let mut further = 0;
    spread(MODELS_FROM_MS..MODELS_UNTIL_MS, size.models, rng)
        .into_iter()
        .zip(owners)
        .map(|(created_at_ms, owner)| {
            let owner = owner as usize;
            // The first one stays on sale, so that nobody's list is empty for this reason.
            let mut withdrawn_at_ms = None;
            if std::mem::replace(&mut has_one[owner], true) {
                if further % WITHDRAWN_ONE_IN == 0 {
                    withdrawn_at_ms = Some(rng.u64(WITHDRAWN_FROM_MS..END_MS));
                }
                further += 1;
            }
            let edited_at_ms = if rng.bool() { rng.u64(created_at_ms..END_MS) } else { created_at_ms };
            Model {
                id: uuid_v7(created_at_ms, rng),
                owner,
                price_cents: PRICES_CENTS[rng.usize(..PRICES_CENTS.len())],
                currency: CURRENCIES[owner % CURRENCIES.len()],
                // From 64 KiB to 512 MiB, every order of magnitude alike.
                file_bytes: rng.u64(1 << 15..1 << 16) << rng.u32(1..14),
                download_count: 0,
                created_at_ms,
                updated_at_ms: withdrawn_at_ms.unwrap_or(edited_at_ms),
                withdrawn_at_ms,
            }
        })
        .collect()
}

fn purchases(size: Size, models: &[Model], rng: &mut Rng) -> Vec<Purchase> {
    let mut purchases = Vec::with_capacity(size.purchases as usize);
    // Which buyer each model was last chosen for: a set that needs no clearing.
    let mut chosen_for = vec![usize::MAX; models.len()];
    for (buyer, count) in purchase_counts(size, rng).into_iter().enumerate() {
        for model in choose(models, buyer, count, &mut chosen_for, rng) {
            let Model { created_at_ms, withdrawn_at_ms, .. } = models[model];
            let until_ms = withdrawn_at_ms.unwrap_or(END_MS);
            purchases.push(Purchase { purchased_at_ms: rng.u64(created_at_ms + 1..until_ms), buyer: buyer as u32, model: model as u32 });
        }
    }
    purchases.sort_unstable();
    purchases
}

/// `count` different models that the buyer does not own, popular ones more often.
fn choose(models: &[Model], buyer: usize, count: u64, chosen_for: &mut [usize], rng: &mut Rng) -> Vec<usize> {
    let count = count as usize;
    // Drawing until enough different ones were met takes long when few are left over.
    if count > models.len() / 8 {
        let others = models.iter().enumerate().filter(|(_, model)| model.owner != buyer);
        let mut positions: Vec<usize> = others.map(|(position, _)| position).collect();
        rng.shuffle(&mut positions);
        positions.truncate(count);
        return positions;
    }
    let mut positions = Vec::with_capacity(count);
    while positions.len() < count {
        // Squared, a uniform number prefers the low end: the older models.
        let position = (rng.f64().powi(2) * models.len() as f64) as usize;
        if models[position].owner != buyer && chosen_for[position] != buyer {
            chosen_for[position] = buyer;
            positions.push(position);
        }
    }
    positions
}

/// How many purchases each user makes: at least [`PURCHASES_EACH`] for the demo users, and for all
/// where there are enough; never more than there are models of others; in sum exactly the size's.
fn purchase_counts(size: Size, rng: &mut Rng) -> Vec<u64> {
    let buyable = |user: usize| size.models - size.owned_by(user as u64);
    let for_all = size.purchases >= size.users * PURCHASES_EACH;
    let with_floor = if for_all { size.users } else { size.demo_users() } as usize;

    let mut counts = vec![0; size.users as usize];
    counts[..with_floor].fill(PURCHASES_EACH);
    let mut left = size.purchases - with_floor as u64 * PURCHASES_EACH;
    while left > 0 {
        let open: Vec<usize> = (0..counts.len()).filter(|&u| counts[u] < buyable(u)).collect();
        let share = (left / open.len() as u64).max(1);
        for user in open {
            let more = share.min(buyable(user) - counts[user]).min(left);
            counts[user] += more;
            left -= more;
        }
    }

    // Neighbours trade a part, because real users differ.
    for giver in (0..counts.len() - 1).step_by(2) {
        let taker = giver + 1;
        let floor = if taker < with_floor { PURCHASES_EACH } else { 0 };
        let spare = counts[giver].saturating_sub(floor.max(1));
        let traded = rng.u64(..=spare.min(buyable(taker) - counts[taker]));
        counts[giver] -= traded;
        counts[taker] += traded;
    }
    counts
}

/// `count` times over the window, one in each of its equal parts, so in order.
fn spread(window_ms: Range<u64>, count: u64, rng: &mut Rng) -> Vec<u64> {
    let part_ms = (window_ms.end - window_ms.start) / count;
    (0..count).map(|part| window_ms.start + part * part_ms + rng.u64(..part_ms)).collect()
}
