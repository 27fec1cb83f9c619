//! Models for sale, the way to them, and the account of what became of wishes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use uuid::Uuid;

use crate::api::{Api, Options};
use crate::client::Answer;
use crate::database::Database;
use crate::fault_proxy::FaultProxy;
use crate::wish::Wish;

/// Owns all models.
pub const SELLER: &str = "seller";
/// Is a user already.
pub const BUYER: &str = "buyer-------";

/// What a wish is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `POST` of a purchase: by turns of somebody who is a user and of somebody who was not seen before.
    Purchase,
    /// `POST` of a model.
    Publication,
    /// `PATCH` of a model.
    Change,
    /// `DELETE` of a model.
    Withdrawal,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Purchase, Self::Publication, Self::Change, Self::Withdrawal];

    /// Which function serves it.
    #[must_use]
    pub fn function(self) -> &'static str {
        if self == Self::Purchase { "purchased-models" } else { "user-models" }
    }
}

/// A database with models for sale, and the wishes of its clients.
pub struct Shop {
    /// Where they are.
    pub database: Database,
    models: Vec<Uuid>,
    wishes: AtomicUsize,
}

impl Shop {
    /// A shop for so many wishes.
    pub async fn of(wishes: usize) -> Self {
        let (database, models) = (Database::fresh().await, (0..wishes).map(|_| Uuid::now_v7()).collect::<Vec<_>>());
        let mut admin = database.connect_admin().await;
        for subject in [SELLER, BUYER] {
            let user = "insert into users (id, subject, created_at) values ($1, $2, now())";
            sqlx::query(user).bind(Uuid::now_v7()).bind(subject).execute(&mut admin).await.unwrap();
        }
        sqlx::query(
            "insert into models (id, owner_id, title, description, price_cents, currency, file_bytes, download_count, created_at, updated_at)
             select m.id, u.id, 'Fox', 'A fox.', 499, 'EUR', 1024, 0, now(), now() from unnest($1::uuid[]) m (id), users u where u.subject = $2",
        )
        .bind(&models)
        .bind(SELLER)
        .execute(&mut admin)
        .await
        .unwrap();
        Self { database, models, wishes: AtomicUsize::new(0) }
    }

    /// A new wish, under a key of its own and about a model of its own. All of a kind are equally long on the wire.
    #[must_use]
    pub fn wish(&self, kind: Kind) -> Wish {
        let number = self.wishes.fetch_add(1, Ordering::SeqCst);
        let (model, key) = (self.models[number], format!("wish-{number:06}"));
        match kind {
            Kind::Purchase if number.is_multiple_of(2) => Wish::purchase(BUYER, &key, model),
            Kind::Purchase => Wish::purchase(&format!("fresh-{number:06}"), &key, model),
            Kind::Publication => Wish::publication(SELLER, &key),
            Kind::Change => Wish::change(SELLER, &key, model),
            Kind::Withdrawal => Wish::withdrawal(SELLER, &key, model),
        }
    }

    /// Gives the functions' role a setting here, for sessions that begin from now on.
    pub async fn set(&self, name: &str, value: &str) {
        let set = format!("alter role thaw_app in database \"{}\" set {name} = '{value}'", self.database.name());
        sqlx::raw_sql(&set).execute(&mut self.database.connect_admin().await).await.unwrap();
    }

    /// How many sessions of the functions wait for a lock.
    pub async fn waiting(&self) -> i64 {
        let waiting =
            "select count(*) from pg_stat_activity where datname = current_database() and usename = 'thaw_app' and wait_event_type = 'Lock'";
        sqlx::query_scalar(waiting).fetch_one(&mut self.database.connect_admin().await).await.unwrap()
    }

    /// Goes through the books: each wish has had its effect exactly once, its key is kept once, and all its acknowledgements are the
    /// response that is kept. Nothing else has happened.
    pub async fn account(&self, outcomes: &[(Wish, Vec<Answer>)]) {
        let mut books = Books::of(&self.database).await;
        for (wish, answers) in outcomes {
            let acknowledged: Vec<_> = answers.iter().filter(|answer| answer.status < 300).collect();
            let first = acknowledged.first().unwrap_or_else(|| panic!("{wish:?} was never acknowledged: {answers:?}"));
            for other in &acknowledged {
                assert_eq!(other.acknowledgement(), first.acknowledgement(), "{wish:?}");
            }
            let kept = books.kept.remove(&wish.name()).unwrap_or_else(|| panic!("no key of {wish:?}"));
            assert_eq!((kept.0, &*kept.1), (first.status, &*first.body), "{wish:?}");
            let id = |name: &str| first.json()[name].as_str().unwrap().parse::<Uuid>().unwrap();
            match wish.kind() {
                Kind::Purchase => {
                    let purchase = books.purchases.remove(&id("id"));
                    assert_eq!(purchase, Some((wish.name().0, id("model_id"))), "{wish:?}");
                }
                Kind::Publication => assert_eq!(books.published.remove(&id("id")), Some((1, "Fox".to_owned(), false)), "{wish:?}"),
                Kind::Change => assert_eq!(books.touched.remove(&id("id")), Some((2, "Vixen".to_owned(), false)), "{wish:?}"),
                Kind::Withdrawal => assert_eq!(books.touched.remove(&wish.model()), Some((2, "Fox".to_owned(), true)), "{wish:?}"),
            }
        }
        // What is left was wished by nobody.
        assert!(books.kept.is_empty() && books.purchases.is_empty(), "{books:?}");
        books.published.retain(|id, _| !self.models.contains(id));
        assert!(books.published.is_empty() && books.touched.is_empty(), "{books:?}");
    }
}

/// What a shop's database says.
#[derive(Debug)]
struct Books {
    /// The status and the body under each key of each principal.
    kept: HashMap<(String, String), (u16, String)>,
    /// Who bought what.
    purchases: HashMap<Uuid, (String, Uuid)>,
    /// The models of the first version, and those of others: version, title, whether it is withdrawn.
    published: HashMap<Uuid, (i64, String, bool)>,
    touched: HashMap<Uuid, (i64, String, bool)>,
}

impl Books {
    async fn of(database: &Database) -> Self {
        let mut admin = database.connect_admin().await;
        let kept: Vec<(String, String, i32, String)> =
            sqlx::query_as("select principal, key, status::int, convert_from(body, 'UTF8') from idempotency_keys")
                .fetch_all(&mut admin)
                .await
                .unwrap();
        let purchases: Vec<(Uuid, String, Uuid)> =
            sqlx::query_as("select p.id, u.subject, p.model_id from purchases p join users u on u.id = p.buyer_id")
                .fetch_all(&mut admin)
                .await
                .unwrap();
        let models: Vec<(Uuid, i64, String, bool)> =
            sqlx::query_as("select id, version, title, withdrawn_at is not null from models").fetch_all(&mut admin).await.unwrap();
        let (published, touched): (Vec<_>, Vec<_>) = models.into_iter().partition(|(_, version, ..)| *version == 1);
        let by_id = |models: Vec<(Uuid, i64, String, bool)>| models.into_iter().map(|(id, v, title, gone)| (id, (v, title, gone))).collect();
        Self {
            kept: kept.into_iter().map(|(who, key, status, body)| ((who, key), (u16::try_from(status).unwrap(), body))).collect(),
            purchases: purchases.into_iter().map(|(id, buyer, model)| (id, (buyer, model))).collect(),
            published: by_id(published),
            touched: by_id(touched),
        }
    }
}

/// The bundle over a shop's database, behind a proxy of its own.
pub struct Counter {
    /// Where clients come.
    pub api: Api,
    /// Between functions and database.
    pub proxy: FaultProxy,
}

impl Counter {
    /// One more, with the functions' variables.
    pub async fn of(database: &Database, variables: &[(&str, &str)]) -> Self {
        let proxy = FaultProxy::to(database.address()).await;
        let options = Options::default().by_url(&database.app_url_at(proxy.address()));
        let options = variables.iter().fold(options, |options, (name, value)| options.with_variable(name, value));
        Self { api: Api::with(database, options).await, proxy }
    }
}
