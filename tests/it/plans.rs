//! Every list is read by a range of an index, however the planner goes about it.
//!
//! The statements are the committed ones of `.sqlx`, so that what is proved is what runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{Row, raw_sql};
use tests::Database;

struct List {
    sql: String,
    parameter_types: Vec<String>,
}

impl List {
    /// The table that the list pages through: the first one that it reads from.
    fn table(&self) -> &str {
        let words: Vec<&str> = self.sql.split_whitespace().collect();
        let from = words.iter().position(|word| word.eq_ignore_ascii_case("from")).unwrap();
        words[from + 1]
    }

    fn declared_types(&self) -> String {
        self.parameter_types.join(", ").to_lowercase()
    }

    fn values(&self, subject: &str, before: &str, limit: u32) -> String {
        let value = |name: &String| match name.as_str() {
            "Text" => format!("'{subject}'"),
            "Uuid" => format!("'{before}'"),
            "Int8" => limit.to_string(),
            other => panic!("say here which value stands for a {other} in {}", self.sql),
        };
        self.parameter_types.iter().map(value).collect::<Vec<_>>().join(", ")
    }
}

/// The committed statements that have a `limit`.
fn lists() -> Vec<List> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sqlx");
    let mut lists = Vec::new();
    for entry in fs::read_dir(&directory).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let described: Value = serde_json::from_str(&text).unwrap();
        let sql = described["query"].as_str().unwrap().to_owned();
        if sql.to_lowercase().split_whitespace().any(|word| word == "limit") {
            let types = described["describe"]["parameters"]["Left"].as_array().unwrap();
            let parameter_types = types.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
            lists.push(List { sql, parameter_types });
        }
    }
    lists
}

fn collect<'a>(node: &'a Value, nodes: &mut Vec<&'a Value>) {
    nodes.push(node);
    for child in node["Plans"].as_array().into_iter().flatten() {
        collect(child, nodes);
    }
}

async fn explain(connection: &mut PgConnection, execute: &str) -> Value {
    let explained = raw_sql(&format!("explain (format json) {execute}")).fetch_one(connection).await.unwrap();
    let text: String = explained.try_get_unchecked(0).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn each_list_is_an_index_range_scan_at_fifty_thousand_purchases() {
    let lists = lists();
    let tables: BTreeSet<&str> = lists.iter().map(List::table).collect();
    assert!(tables.is_superset(&BTreeSet::from(["models", "purchases"])), "{tables:?}");

    let database = Database::seeded().await;
    let mut connection = database.connect_app().await;
    for mode in ["force_generic_plan", "force_custom_plan"] {
        raw_sql(&format!("set plan_cache_mode = {mode}")).execute(&mut connection).await.unwrap();
        for list in &lists {
            let prepare = format!("prepare list({}) as {}", list.declared_types(), list.sql);
            raw_sql(&prepare).execute(&mut connection).await.unwrap();
            for subject in ["user-1", "user-500", "nobody"] {
                for before in ["ffffffff-ffff-ffff-ffff-ffffffffffff", "01946000-0000-7000-8000-000000000000"] {
                    for limit in [1, 21, 101] {
                        let execute = format!("execute list({})", list.values(subject, before, limit));
                        let plan = explain(&mut connection, &execute).await;
                        check(list, &plan, &format!("{mode}: {execute}"));
                    }
                }
            }
            raw_sql("deallocate list").execute(&mut connection).await.unwrap();
        }
    }
}

fn check(list: &List, plan: &Value, case: &str) {
    let mut nodes = Vec::new();
    collect(&plan[0]["Plan"], &mut nodes);
    let kind = |node: &Value| node["Node Type"].as_str().unwrap_or_default().to_owned();
    for node in &nodes {
        let kind = kind(node);
        let reads_all = ["Seq Scan", "Sort", "Bitmap", "Hash", "Materialize"];
        assert!(!reads_all.iter().any(|word| kind.contains(word)), "{case}: {kind} in {plan:#}");
    }
    let ranges = nodes.iter().filter(|node| {
        let condition = node["Index Cond"].as_str().unwrap_or_default();
        ["Index Scan", "Index Only Scan"].contains(&&*kind(node))
            && node["Relation Name"] == list.table()
            && condition.contains("_id = ")
            && condition.contains("(id < ")
    });
    assert_eq!(ranges.count(), 1, "{case}: {} in {plan:#}", list.table());
}
