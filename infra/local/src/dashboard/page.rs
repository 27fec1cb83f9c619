//! The page's files, as they lie beside this one.

/// The page as it is sent, with the token of this start.
pub(super) fn html(token: &str) -> String {
    // A token is of letters, digits, - and _.
    include_str!("page/index.html").replace("{{TOKEN}}", token)
}

/// A file of the page: its content type and text.
pub(super) fn file(name: &str) -> Option<(&'static str, &'static str)> {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    Some(match name {
        "page.css" => ("text/css; charset=utf-8", include_str!("page/page.css")),
        "icon.svg" => ("image/svg+xml", include_str!("page/icon.svg")),
        "page.js" => (SCRIPT, include_str!("page/page.js")),
        "elements.js" => (SCRIPT, include_str!("page/elements.js")),
        "chart.js" => (SCRIPT, include_str!("page/chart.js")),
        "checks.js" => (SCRIPT, include_str!("page/checks.js")),
        "charts.js" => (SCRIPT, include_str!("page/charts.js")),
        "faults.js" => (SCRIPT, include_str!("page/faults.js")),
        "tables.js" => (SCRIPT, include_str!("page/tables.js")),
        "log.js" => (SCRIPT, include_str!("page/log.js")),
        _ => return None,
    })
}
