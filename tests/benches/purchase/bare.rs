//! The insert alone, and the function's statement, by another driver than the function's.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use tests::{BUYER, Shop};
use tokio_postgres::{Client, NoTls, Statement};
use uuid::Uuid;

/// What a purchase is without a key, a refusal and an answer.
const INSERT: &str = "insert into purchases (id, buyer_id, model_id, price_cents, currency, purchased_at)
                      select $1, $2, m.id, m.price_cents, m.currency, now() from models m where m.id = $3";

/// A connection with both statements prepared.
pub(crate) struct Bare {
    client: Client,
    insert: Statement,
    purchase: Statement,
    buyer: Uuid,
}

impl Bare {
    pub(crate) async fn connect(shop: &Shop) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(&shop.database.app_url(), NoTls).await?;
        tokio::spawn(connection);
        let insert = client.prepare(INSERT).await?;
        let purchase = client.prepare(&statement()?).await?;
        let buyer = client.query_one("select id from users where subject = $1", &[&BUYER]).await?.try_get(0)?;
        Ok(Self { client, insert, purchase, buyer })
    }

    /// Buys a model by the insert alone.
    pub(crate) async fn insert(&self, model: Uuid) -> Result<()> {
        let rows = self.client.execute(&self.insert, &[&Uuid::now_v7(), &self.buyer, &model]).await?;
        ensure!(rows == 1, "{rows} rows");
        Ok(())
    }

    /// Buys a model under a key.
    pub(crate) async fn purchase(&self, key: &str, model: Uuid) -> Result<()> {
        let hash = [0_u8; 32];
        let rows = self.client.query(&self.purchase, &[&BUYER, &key, &Uuid::now_v7(), &model, &&hash[..], &86_400_i32, &Uuid::now_v7()]).await?;
        ensure!(rows.len() == 1, "{} rows", rows.len());
        Ok(())
    }
}

/// The statement of the function `purchased-models`, as the compiler has described it.
fn statement() -> Result<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sqlx");
    for entry in std::fs::read_dir(&directory).context("the folder .sqlx is not there")? {
        let described: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(entry?.path())?)?;
        let query = described["query"].as_str().unwrap_or_default();
        if query.contains("insert into purchases") {
            return Ok(query.to_owned());
        }
    }
    anyhow::bail!("no file in .sqlx describes the purchase")
}
