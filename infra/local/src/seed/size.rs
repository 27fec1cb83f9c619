//! How much to seed, and what is possible.

use anyhow::ensure;

/// Every demo user, and every user where the size allows it, buys at least this many models: enough
/// for a second page of a short list.
pub(super) const PURCHASES_EACH: u64 = 20;

/// `user-1` to `user-10` have that many purchases in every seed.
pub(super) const DEMO_USERS: u64 = 10;

/// How many rows each table gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Users, with the subjects `user-1`, `user-2` and so on; at most [`Size::LARGEST`].
    pub users: u64,
    /// Models; at most [`Size::LARGEST`].
    pub models: u64,
    /// Purchases; at most [`Size::LARGEST`].
    pub purchases: u64,
}

/// The size of the demo: 1,000 users, 10,000 models, 50,000 purchases.
impl Default for Size {
    fn default() -> Self {
        Self { users: 1_000, models: 10_000, purchases: 50_000 }
    }
}

impl Size {
    /// The most that a seed makes: it is planned in memory (about 16 bytes a purchase).
    pub const LARGEST: Self = Self { users: 100_000, models: 1_000_000, purchases: 5_000_000 };

    /// # Errors
    /// When no marketplace of this size can keep the rules: nobody buys an own model or one model
    /// twice, and each demo user has [`PURCHASES_EACH`] purchases.
    pub(super) fn check(self) -> anyhow::Result<()> {
        let Self { users, models, purchases } = self;
        for (name, asked, largest) in
            [("users", users, Self::LARGEST.users), ("models", models, Self::LARGEST.models), ("purchases", purchases, Self::LARGEST.purchases)]
        {
            ensure!(asked > 0, "a seed needs at least one of each, and {name} is 0");
            ensure!(asked <= largest, "{asked} {name} are too many; a seed has at most {largest}");
        }
        ensure!(users > 1, "a single user has nobody to buy from; ask for at least 2 users");

        let (demo_users, floor) = (self.demo_users(), self.demo_users() * PURCHASES_EACH);
        ensure!(
            purchases >= floor,
            "{purchases} purchases are too few, because user-1 to user-{demo_users} get at least \
             {PURCHASES_EACH} each; ask for at least {floor}"
        );
        // No user owns more than the first one.
        let buyable = models - self.owned_by(0);
        ensure!(
            buyable >= PURCHASES_EACH,
            "{models} models are too few, because {buyable} of them belong to others than user-1, \
             who is to buy {PURCHASES_EACH}; ask for more models"
        );
        let most = models * (users - 1);
        ensure!(
            purchases <= most,
            "{purchases} purchases are too many, because nobody buys an own model or one model \
             twice; ask for at most {most}, or for more users or models"
        );
        Ok(())
    }

    pub(super) fn demo_users(self) -> u64 {
        self.users.min(DEMO_USERS)
    }

    /// How many users publish much: a tenth of them, and always the demo users. They share one half
    /// of the models; the other half is spread over everybody.
    pub(super) fn publishers(self) -> u64 {
        self.users.div_ceil(10).max(self.demo_users())
    }

    /// Models in the half that is spread over everybody.
    pub(super) fn spread_models(self) -> u64 {
        self.models - self.models / 2
    }

    /// How many models the user at this position (from 0) owns.
    pub(super) fn owned_by(self, user: u64) -> u64 {
        let spread = share(self.spread_models(), self.users, user);
        if user < self.publishers() { spread + share(self.models / 2, self.publishers(), user) } else { spread }
    }
}

/// How many of `total` the taker at `position` gets when they are dealt out in turn.
fn share(total: u64, takers: u64, position: u64) -> u64 {
    total / takers + u64::from(position < total % takers)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    fn size(users: u64, models: u64, purchases: u64) -> Size {
        Size { users, models, purchases }
    }

    #[test]
    fn impossible_size_is_refused_with_its_reason() {
        for (asked, reason) in [
            (size(0, 1, 1), "users is 0"),
            (size(1, 0, 1), "models is 0"),
            (size(1, 1, 0), "purchases is 0"),
            (size(100_001, 50, 500), "100001 users are too many; a seed has at most 100000"),
            (size(10, 1_000_001, 500), "1000001 models are too many; a seed has at most 1000000"),
            (size(10, 50, u64::MAX), "purchases are too many; a seed has at most 5000000"),
            (size(1, 50, 20), "at least 2 users"),
            (size(50, 100, 199), "user-1 to user-10 get at least 20 each; ask for at least 200"),
            (size(3, 100, 59), "user-1 to user-3 get at least 20 each; ask for at least 60"),
            (size(2, 39, 40), "19 of them belong to others than user-1"),
            (size(2, 50, 51), "ask for at most 50"),
        ] {
            let error = asked.check().unwrap_err().to_string();
            assert!(error.contains(reason), "{asked:?}: {error}");
        }
    }

    #[test]
    fn size_at_its_limit_is_accepted() {
        for asked in [size(2, 40, 40), size(50, 100, 200), Size::default(), Size::LARGEST] {
            assert!(asked.check().is_ok(), "{asked:?}: {:?}", asked.check());
        }
    }

    #[test]
    fn every_model_has_one_owner() {
        for asked in [size(2, 41, 40), size(11, 97, 300), size(1_000, 10_000, 50_000)] {
            let owned: u64 = (0..asked.users).map(|user| asked.owned_by(user)).sum();
            assert_eq!(owned, asked.models, "{asked:?}");
        }
    }
}
