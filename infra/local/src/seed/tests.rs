//! What holds for every seed, whatever its size.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::copy::CopyRows;
use super::plan::Plan;
use super::rows::{Table, TableRows};
use super::size::Size;

/// Sizes that lie at an edge (dense, sparse, few users, an odd count) and the default.
const SIZES: [Size; 8] = [
    Size { users: 2, models: 40, purchases: 40 },
    Size { users: 3, models: 61, purchases: 122 },
    Size { users: 7, models: 80, purchases: 300 },
    Size { users: 10, models: 24, purchases: 207 },
    Size { users: 12, models: 100, purchases: 1_000 },
    Size { users: 300, models: 50, purchases: 200 },
    Size { users: 501, models: 997, purchases: 9_999 },
    Size { users: 1_000, models: 10_000, purchases: 50_000 },
];

fn digest(size: Size) -> String {
    let plan = Plan::new(size).unwrap();
    let mut sum = Sha256::new();
    for table in Table::ALL {
        let (mut rows, mut bytes) = (TableRows::new(table, &plan), CopyRows::new());
        while rows.write(&mut bytes) {}
        sum.update(bytes.bytes());
    }
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn same_size_gives_the_same_bytes_on_every_machine() {
    let size = Size { users: 12, models: 100, purchases: 1_000 };
    assert_eq!(
        digest(size),
        "499865adca232b671ea78e075bdd77b0e312cb75c6b7e7c55ca6ca35fc0da8c3",
        "the seeded rows have changed: if that was meant, put the new digest here"
    );
}

#[test]
fn each_table_has_as_many_rows_as_asked() {
    for size in SIZES {
        let plan = Plan::new(size).unwrap();
        let counts = Table::ALL.map(|table| TableRows::new(table, &plan).total() as u64);
        assert_eq!(counts, [size.users, size.models, size.purchases], "{size:?}");
    }
}

#[test]
fn nobody_buys_an_own_model_or_one_model_twice() {
    for size in SIZES {
        let plan = Plan::new(size).unwrap();
        let mut met = HashSet::new();
        for purchase in &plan.purchases {
            let owner = plan.models[purchase.model as usize].owner;
            assert_ne!(owner, purchase.buyer as usize, "{size:?}");
            assert!(met.insert((purchase.buyer, purchase.model)), "{size:?}");
        }
    }
}

#[test]
fn purchase_comes_after_the_model_and_before_its_withdrawal() {
    for size in SIZES {
        let plan = Plan::new(size).unwrap();
        for purchase in &plan.purchases {
            let model = &plan.models[purchase.model as usize];
            let buyer = &plan.users[purchase.buyer as usize];
            let at_ms = purchase.purchased_at_ms;
            assert!(at_ms > model.created_at_ms && at_ms > buyer.created_at_ms, "{size:?}");
            assert!(model.withdrawn_at_ms.is_none_or(|withdrawn| at_ms < withdrawn), "{size:?}");
        }
    }
}

#[test]
fn model_comes_after_its_owner_and_its_update_after_it() {
    for size in SIZES {
        let plan = Plan::new(size).unwrap();
        for model in &plan.models {
            assert!(model.created_at_ms > plan.users[model.owner].created_at_ms, "{size:?}");
            assert!(model.updated_at_ms >= model.created_at_ms, "{size:?}");
            assert!(model.withdrawn_at_ms.is_none_or(|at| at == model.updated_at_ms), "{size:?}");
        }
    }
}

#[test]
fn some_models_are_withdrawn_and_most_are_not() {
    for size in SIZES {
        let plan = Plan::new(size).unwrap();
        let withdrawn = plan.models.iter().filter(|m| m.withdrawn_at_ms.is_some()).count();
        assert!(withdrawn > 0 && withdrawn * 10 < plan.models.len(), "{size:?}: {withdrawn}");
    }
}

#[test]
fn download_count_is_the_number_of_purchases() {
    for size in SIZES {
        let plan = Plan::new(size).unwrap();
        let mut counts = vec![0; plan.models.len()];
        plan.purchases.iter().for_each(|purchase| counts[purchase.model as usize] += 1);
        let stated: Vec<u64> = plan.models.iter().map(|model| model.download_count).collect();
        assert_eq!(stated, counts, "{size:?}");
    }
}

#[test]
fn first_ten_users_have_twenty_purchases_and_a_model_on_sale() {
    for size in SIZES {
        let plan = Plan::new(size).unwrap();
        let for_all = size.purchases >= size.users * 20;
        let buyers = if for_all { size.users } else { size.users.min(10) } as usize;
        for user in 0..buyers {
            let bought = plan.purchases.iter().filter(|p| p.buyer as usize == user).count();
            assert!(bought >= 20, "{size:?}: user-{} bought {bought}", user + 1);
        }
        for user in 0..size.users.min(10) as usize {
            let mut own = plan.models.iter().filter(|model| model.owner == user);
            assert!(own.any(|m| m.withdrawn_at_ms.is_none()), "{size:?}: user-{}", user + 1);
        }
    }
}

#[test]
fn every_key_is_a_version_7_uuid_of_its_rows_time() {
    for size in SIZES {
        let plan = Plan::new(size).unwrap();
        let users = plan.users.iter().map(|user| (user.id, user.created_at_ms));
        let models = plan.models.iter().map(|model| (model.id, model.created_at_ms));
        let mut met = HashSet::new();
        for (id, created_at_ms) in users.chain(models) {
            assert_eq!(id.get_version_num(), 7, "{size:?}");
            assert_eq!((id.as_u128() >> 80) as u64, created_at_ms, "{size:?}");
            assert!(met.insert(id), "{size:?}: {id} twice");
        }
    }
}
