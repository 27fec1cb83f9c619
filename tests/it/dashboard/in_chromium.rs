//! The page in a real browser.

use std::sync::Arc;
use std::time::Duration;

use local::dashboard::{self, Checks};
use local::postgres::account;
use nix::sys::signal::Signal;
use serde_json::json;
use tests::raw_client::RawClient;
use tests::{Browser, Command, Options, cluster_place};
use tokio::net::TcpListener;

const DRILLS: [&str; 6] = ["terminate", "restart", "stop", "silence", "freeze", "rotate"];
/// As HTML it would run, or be seen.
const HOSTILE: &str = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'><b id=bold>bold</b>";

fn idle() -> String {
    "![...document.querySelectorAll('#drills button')].some((button) => button.getAttribute('aria-disabled') === 'true')".to_owned()
}

#[tokio::test]
#[ignore = "needs chromium: cargo test-browser"]
async fn every_fault_button_strikes_and_the_error_counter_stays_zero() {
    let _place = cluster_place().await;
    let state = account::temporary_directory("thaw-test-page-").unwrap();
    let mut dev = Command::start(state.path(), &["dev", "--port", "0"], &[]).await;
    let page = dev.line("dashboard ").await.split_whitespace().last().unwrap().to_owned();
    dev.line("ready ").await;
    let mut browser = Browser::start().await;
    browser.look(400, 900, false).await;
    browser.open(&page).await;
    browser.until("document.querySelector('#score-line')?.innerText.includes('0 failed of 0')").await;
    browser.until("document.querySelector('#connection').textContent === 'Live'").await;

    // The load, by the keyboard: from the top, Tab leads to it and Space turns it.
    browser.press("Tab", 9, "").await;
    browser.until("document.activeElement.id === 'load'").await;
    browser.press(" ", 32, " ").await;
    browser.until("document.querySelector('#load').getAttribute('aria-checked') === 'true'").await;
    browser.until("Number(document.querySelector('#requests').textContent) > 40").await;

    for drill in DRILLS {
        browser.until(&idle()).await;
        browser.click(&format!("#drill-{drill}")).await;
        // What it says once it is over, with the status of the request that was sent meanwhile.
        browser.until(&format!("document.querySelector('#state-{drill}').innerText.startsWith('✓')")).await;
        let said = browser.text(&format!("#state-{drill}")).await;
        assert!(said.contains("A request sent meanwhile: 200 in "), "{drill}: {said}");
        // What is read aloud is what is seen.
        browser.until(&format!("document.querySelector('#news').textContent.endsWith({})", json!(said))).await;
    }
    // Whoever waited in the last fault is answered a moment later.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (failed, requests) = (browser.text("#failed").await, browser.text("#requests").await);
    assert_eq!(failed, "0", "of {requests}: {}", browser.text("#log").await);
    assert!(requests.replace(',', "").parse::<u64>().unwrap() > 46, "{requests}");
    assert!(browser.text("#score-sign").await == "✓" && browser.text("#complaint").await.is_empty());

    // Everything is there, drawn, and fits.
    assert_eq!(browser.value("document.querySelectorAll('.chart path').length > 8").await, true);
    let names = browser.value("[...document.querySelectorAll('#charts svg[role=img]')].map((chart) => chart.getAttribute('aria-label'))").await;
    assert!(
        names.as_array().unwrap().iter().all(|name| name.as_str().unwrap().contains(", now: ")) && names.as_array().unwrap().len() == 5,
        "{names}"
    );
    assert_eq!(browser.value("document.querySelectorAll('.band').length > 0").await, true, "the drills are marked in the charts");
    assert_eq!(browser.value("document.querySelectorAll('#sandboxes tbody tr').length > 1").await, true);
    browser.until("document.querySelectorAll('#checks .cards li').length > 5").await;
    assert_eq!(browser.value("document.querySelectorAll('#log li').length > 20").await, true);
    for width in [400, 1_280] {
        browser.look(width, 900, width == 400).await;
        browser.until(&format!("innerWidth === {width}")).await;
        assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth").await, true, "at {width} pixels");
    }

    // Another start has another token: the page notices, and is that one's.
    browser.click("#load").await;
    dev.signal(Signal::SIGTERM);
    assert_eq!(dev.end().await.code, Some(0));
    browser.until("document.querySelector('#connection').textContent.startsWith('No answer')").await;
    let port = page.trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
    let mut dev = Command::start(state.path(), &["dev", "--port", &port], &[]).await;
    dev.line("ready ").await;
    browser.until("document.querySelector('#connection')?.textContent === 'Live' && document.querySelector('#requests').textContent === '0'").await;
    browser.until(&format!("document.querySelector('#drills button') && {}", idle())).await;
    browser.click("#drill-terminate").await;
    browser.until("document.querySelector('#state-terminate').innerText.startsWith('✓')").await;

    let complaints: Vec<_> = browser.complaints().iter().filter(|complaint| !complaint.contains("net::ERR_")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    browser.close().await;
    dev.signal(Signal::SIGTERM);
    assert_eq!(dev.end().await.code, Some(0));
}

#[tokio::test]
#[ignore = "needs chromium: cargo test-browser"]
async fn text_from_the_database_stays_text() {
    let (_database, api) = super::api(Options::default()).await;
    let mut client = RawClient::signed_in(api.proxy(), &[("application_name", HOSTILE)]).await;
    client.query(&format!("set application_name = $${HOSTILE}$$")).await;
    let mut client = RawClient::signed_in(api.proxy(), &[("application_name", HOSTILE)]).await;
    client.query(&format!("select $${HOSTILE}$$, pg_sleep(0.15)")).await;
    let hostile = HOSTILE.to_owned();
    api.dashboard().show_checks(Checks::new(Arc::new(move || {
        let checks = json!([
            { "id": format!("{hostile}:{hostile}"), "status": hostile, "value": hostile, "unit": hostile, "threshold": hostile, "error": null },
            { "id": format!("g:{hostile}"), "status": "fail", "value": null, "error": hostile },
            { "id": "g:list", "status": "warn", "value": [{ hostile.clone(): hostile }, hostile] },
        ]);
        let body = json!({ "status": hostile, "version": "1", "time": hostile, "checks": checks }).to_string();
        Box::pin(async { Ok(body.into()) })
    })));
    let mut browser = Browser::start().await;
    browser.open(&format!("{}/", api.url())).await;
    for place in ["#pins tbody", "#statements tbody", "#checks-note", "#checks .cards", "#checks .list"] {
        browser.until(&format!("document.querySelector({})?.textContent.includes('<script>')", json!(place))).await;
    }
    assert_eq!(browser.value("window.pwned === undefined").await, true);
    assert_eq!(browser.value("document.querySelectorAll('script').length").await, 1, "the page's own");
    assert_eq!(browser.value("document.querySelectorAll('main img, #bold').length").await, 0);
    // Even a mistake in the page could make no HTML of it.
    let refused = "(() => { try { document.body.innerHTML = '<i>x</i>'; return 'made'; } catch (error) { return error.name; } })()";
    assert_eq!(browser.value(refused).await, "TypeError");
    browser.close().await;
    api.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium: cargo test-browser"]
async fn a_deployed_stack_is_watched_and_not_touched() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let page = format!("http://{}/", listener.local_addr().unwrap());
    let fetch = || {
        let checks = json!([
            { "id": "connections:used", "status": "pass", "value": 12, "unit": "1", "threshold": 180, "time": "x" },
            { "id": "statistics:commits", "status": "pass", "value": "9007199254740993", "time": "x" },
            { "id": "statements:slowest", "status": "warn", "value": [{ "query": "select 1", "mean_ms": 812.5 }], "time": "x" },
            { "id": "replication:lag", "status": "fail", "value": null, "error": "there is no replica", "time": "x" },
        ]);
        let body = json!({ "status": "warn", "version": "1", "time": "2026-01-01T00:00:00Z", "checks": checks }).to_string();
        Ok(body.into())
    };
    let checks = Checks::new(Arc::new(move || Box::pin(async move { fetch() })));
    let serving = tokio::spawn(dashboard::serve(listener, "https://api.example.com/prod".to_owned(), checks, std::future::pending()));
    let mut browser = Browser::start().await;
    browser.look(400, 900, true).await;
    browser.open(&page).await;
    browser.until("document.querySelector('#checks-note').textContent === '! warn'").await;
    assert_eq!(browser.text("#where").await, "https://api.example.com/prod");
    let cards = browser.text("#checks").await;
    for text in [
        "✓ pass connections: used",
        "12",
        "threshold 180",
        "9,007,199,254,740,993",
        "! warn statements: slowest",
        "812.5",
        "✗ fail replication: lag",
        "there is no replica",
    ] {
        assert!(cards.contains(text), "{text:?} is not in {cards}");
    }
    let visible =
        "[...document.querySelectorAll('button, #faults, #log-section, #charts-section, #score')].filter((element) => element.checkVisibility())";
    assert_eq!(browser.value(&format!("{visible}.length")).await, 0);
    assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth").await, true);
    let token = browser.value("document.querySelector('meta[name=thaw-token]').content").await;
    for path in ["drills/freeze", "load"] {
        let post = tests::http_client().post(format!("{page}_thaw/{path}")).header("x-thaw-token", token.as_str().unwrap());
        assert_eq!(post.body(r#"{"on":true}"#).send().await.unwrap().status().as_u16(), 404, "{path}");
    }
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
    browser.close().await;
    serving.abort();
}
