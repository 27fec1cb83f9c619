//! No statement of any function pins its session, as RDS Proxy's documented rules and the stand-in have it.

use tests::{Api, Database, http_event};

#[tokio::test]
async fn no_statement_of_any_function_pins_or_may_pin() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    let requests = [("purchased-models", "purchased-models-get.json"), ("user-models", "user-models-get.json"), ("health", "health-get.json")];
    for (function, event) in requests {
        // Cold and warm.
        for _ in 0..2 {
            assert_eq!(api.respond(function, &http_event(event)).await["statusCode"], 200, "{function}");
        }
    }
    assert_eq!(api.pins(), [], "{:?}", api.pins());
    let report = api.proxy().report();
    assert_eq!((report.clients, report.borrowed), (requests.len(), 0), "{report:?}");
    // The same functions are the template's: a new one has to be asked here, too.
    let template = local::stack::functions(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml")).unwrap();
    assert_eq!(template.len(), requests.len(), "{template:?}");
    api.stop().await;
}
