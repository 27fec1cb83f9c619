use super::*;

fn log(text: &str) -> LogLine {
    LogLine { function: "user-models".into(), pid: 1, text: text.into() }
}

fn answer(record: &Record, status: u16) {
    record.request(StatusCode::from_u16(status).ok(), Duration::from_millis(2));
}

#[test]
fn a_second_has_what_happened_in_it_and_the_totals_have_all() {
    let record = Record::default();
    for status in [200, 201, 404, 503, 304] {
        answer(&record, status);
    }
    record.request(None, Duration::from_millis(9));
    record.line(&log(r#"{"level":"INFO","message":"served","request":"GET /a","status":200,"resends":1,"reconnects":2}"#));
    record.end_second(Standing { drill: Some("freeze"), ..Standing::default() });
    answer(&record, 200);
    record.end_second(Standing::default());
    record.end_second(Standing::default());
    let seconds = record.seconds_after(0);
    assert_eq!(seconds[0].counts, Totals { requests: 6, refused: 1, failed: 1, left: 1, resends: 1, reconnects: 2 });
    assert_eq!((seconds[0].p50_ms, seconds[0].p99_ms, seconds[0].standing.drill), (Some(2.0), Some(9.0), Some("freeze")));
    assert_eq!((seconds[1].counts.requests, seconds[1].p50_ms), (1, Some(2.0)));
    assert_eq!((seconds[2].counts, seconds[2].p50_ms), (Totals::default(), None));
    assert_eq!(record.totals(), Totals { requests: 7, refused: 1, failed: 1, left: 1, resends: 1, reconnects: 2 });
    assert_eq!(record.seconds_after(2).iter().map(|second| second.number).collect::<Vec<_>>(), [3]);
}

#[test]
fn seconds_and_lines_are_kept_up_to_their_number_and_the_newest_stay() {
    let record = Record::default();
    for number in 0..10 * LINES {
        record.line(&log(&format!("line {number}")));
    }
    for _ in 0..2 * SECONDS {
        record.end_second(Standing::default());
    }
    let (lines, seconds) = (record.lines_after(0), record.seconds_after(0));
    assert_eq!((lines.len(), lines[0].text.as_str()), (LINES, &*format!("line {}", 9 * LINES)));
    assert_eq!((seconds.len(), seconds[0].number), (SECONDS, SECONDS as u64 + 1));
    assert_eq!(record.lines_after(10 * LINES as u64 - 3).len(), 3);
}

#[test]
fn a_line_is_read_shortened_and_otherwise_kept_as_it_is() {
    let record = Record::default();
    record.line(&log(r#"{"level":"WARN","message":"<script>alert(1)</script>","request":"GET /a","status":503,"duration_ms":1.26}"#));
    record.line(&log(&"é".repeat(3 * LINE_CHARS)));
    let lines = record.lines_after(0);
    assert_eq!((lines[0].level.as_str(), lines[0].text.as_str()), ("WARN", "<script>alert(1)</script>: GET /a, 503, 1.3 ms"));
    assert_eq!((lines[1].level.as_str(), lines[1].text.chars().count()), ("", LINE_CHARS + 1));
}

#[test]
fn sandboxes_are_counted_by_what_they_do() {
    let sandbox = |condition| SandboxReport { function: "f".into(), pid: 1, condition, invocations: 1, thaws: 0 };
    let conditions = [Condition::Cold, Condition::Warm, Condition::Warm, Condition::Idle, Condition::Frozen, Condition::Ended];
    let standing = Standing::default().with_sandboxes(&conditions.map(sandbox));
    assert_eq!((standing.cold, standing.warm, standing.frozen), (1, 3, 1));
}
