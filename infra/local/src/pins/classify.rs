//! From the text of one message to its findings.

use std::thread;

use squawk_syntax::ast::SourceFile;
use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::{Finding, Reason, rules};

/// RDS Proxy pins on more text than this ("greater than 16 KB").
pub const STATEMENT_LIMIT_BYTES: usize = 16 * 1024;

/// The parser's time grows with the square of the depth: 0.1 s here, 10 s at 3,200, in a debug build. People nest less. Long chains of
/// operators take squared time too, which the length bounds: 1,000 terms 20 ms, the worst text known 5 s.
const NESTING_LIMIT: usize = 200;
/// The parser recurses. Without brackets the worst text found (a chain of minus signs) takes 939 bytes of stack for each of its own in a
/// debug build, 15 MiB at the limit, and 200 brackets take another 1 MiB. Pages that are not used cost nothing.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// What a message says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// How many statements it holds; empty ones do not count.
    pub statements: usize,
    /// What pins, or may, in the order of the text; each rule once per statement.
    pub findings: Vec<Finding>,
}

/// The statements of `sql` that pin a session, or may. Time and memory are bounded, whatever the text is.
#[must_use]
pub fn classify(sql: &str) -> Vec<Finding> {
    read(sql).findings
}

/// As [`classify`], and counts the statements. Text over [`STATEMENT_LIMIT_BYTES`] pins as a whole and is not looked into: it counts as
/// one statement.
#[must_use]
pub fn read(sql: &str) -> Text {
    let whole = |reason| Text { statements: 1, findings: vec![Finding::new(reason, sql)] };
    if sql.len() > STATEMENT_LIMIT_BYTES {
        return whole(Reason::TooLong);
    }
    if nesting(sql) > NESTING_LIMIT {
        return whole(Reason::NotUnderstood);
    }
    // A parser that gives up takes only its own thread with it.
    let parsed = thread::scope(|scope| {
        let parser = thread::Builder::new().name("sql-parser".to_owned()).stack_size(STACK_BYTES).spawn_scoped(scope, || parse(sql));
        parser.ok().and_then(|parser| parser.join().ok())
    });
    parsed.unwrap_or_else(|| whole(Reason::NotUnderstood))
}

/// How deep brackets stand within each other, at most. Those in strings count: the body of a DO block is a string.
fn nesting(sql: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in sql.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn parse(sql: &str) -> Text {
    let parsed = SourceFile::parse(sql);
    let errors = parsed.errors();
    let mut text = Text::default();
    for chunk in chunks(&parsed.syntax_node()) {
        let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else { continue };
        let (start, end) = (first.text_range().start(), last.text_range().end());
        let understood = !errors.iter().any(|error| (start..=end).contains(&error.range().start()));
        let reasons = if understood { chunk.iter().flat_map(rules::of_statement).collect() } else { rules::of_fragments(&chunk) };
        let statement = &sql[start.into()..end.into()];
        text.statements += 1;
        let mut met = Vec::new();
        for reason in reasons {
            if !met.contains(&reason) {
                met.push(reason);
                text.findings.push(Finding::new(reason, statement));
            }
        }
    }
    text
}

/// What stands between two semicolons: one statement, or what the parser made of one that it does not know.
fn chunks(file: &SyntaxNode) -> Vec<Vec<SyntaxNode>> {
    let mut chunks = vec![Vec::new()];
    for node in file.children() {
        let ends = node.last_token().is_some_and(|token| token.kind() == SyntaxKind::SEMICOLON);
        if node.kind() != SyntaxKind::EMPTY_STMT
            && let Some(chunk) = chunks.last_mut()
        {
            chunk.push(node);
        }
        if ends {
            chunks.push(Vec::new());
        }
    }
    chunks
}
