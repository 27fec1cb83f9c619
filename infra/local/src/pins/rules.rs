//! The rules on the syntax tree. A kind of node says what a word is, so a column named "set" and a text that holds "nextval(" are nothing.

use squawk_syntax::ast::{self, AstNode};
use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::Reason;

/// The rules that a statement meets.
pub(super) fn of_statement(statement: &SyntaxNode) -> Vec<Reason> {
    let explained = statement.kind() == SyntaxKind::EXPLAIN && !analyzes(statement);
    let runs_calls = if statement.kind() == SyntaxKind::EXPLAIN { !explained } else { evaluates(statement.kind()) };
    let mut reasons = Vec::new();
    for node in statement.descendants() {
        reasons.extend(command(&node).map(|reason| if explained { Reason::NotCalled } else { reason }));
        reasons.extend(call(&node).map(|reason| if runs_calls { reason } else { Reason::NotCalled }));
    }
    reasons
}

/// What can be said of a statement that the parser does not know: how it begins, and which functions are called in it. Its other parts
/// are guesses of the parser, which may take the SET of an UPDATE for a command.
pub(super) fn of_fragments(fragments: &[SyntaxNode]) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = fragments.first().and_then(command).into_iter().collect();
    for fragment in fragments {
        let runs_calls = evaluates(fragment.kind());
        reasons.extend(fragment.descendants().filter_map(|node| call(&node)).map(|reason| if runs_calls { reason } else { Reason::NotCalled }));
    }
    if reasons.is_empty() {
        reasons.push(Reason::NotUnderstood);
    }
    reasons
}

/// The rule that a command meets as such.
fn command(node: &SyntaxNode) -> Option<Reason> {
    match node.kind() {
        SyntaxKind::SET | SyntaxKind::SET_ROLE | SyntaxKind::SET_SESSION_AUTH if has(node, SyntaxKind::LOCAL_SCOPE) => Some(Reason::SetLocal),
        SyntaxKind::SET | SyntaxKind::SET_ROLE | SyntaxKind::SET_SESSION_AUTH => Some(Reason::SessionParameter),
        SyntaxKind::RESET | SyntaxKind::RESET_ROLE | SyntaxKind::RESET_SESSION_AUTH => Some(Reason::SessionParameter),
        SyntaxKind::SET_TRANSACTION if has(node, SyntaxKind::SESSION_CHARACTERISTICS) => Some(Reason::SessionParameter),
        SyntaxKind::SET_TRANSACTION | SyntaxKind::SET_CONSTRAINTS => Some(Reason::SetTransaction),
        SyntaxKind::PREPARE | SyntaxKind::EXECUTE | SyntaxKind::DEALLOCATE => Some(Reason::SqlPrepared),
        SyntaxKind::DISCARD => Some(Reason::Discard),
        SyntaxKind::CREATE_TABLE | SyntaxKind::CREATE_TABLE_AS | SyntaxKind::CREATE_VIEW | SyntaxKind::CREATE_SEQUENCE | SyntaxKind::INTO_CLAUSE => {
            is_temporary(node).then_some(Reason::TemporaryObject)
        }
        SyntaxKind::DECLARE | SyntaxKind::FETCH | SyntaxKind::MOVE | SyntaxKind::CLOSE => Some(Reason::Cursor),
        SyntaxKind::LISTEN => Some(Reason::Listen),
        SyntaxKind::UNLISTEN => Some(Reason::Unlisten),
        SyntaxKind::LOAD => Some(Reason::LoadLibrary),
        SyntaxKind::DO => is_suspect(&ast::Do::cast(node.clone())?).then_some(Reason::DoBlock),
        _ => None,
    }
}

/// The rule that a call of a function of Postgres meets.
fn call(node: &SyntaxNode) -> Option<Reason> {
    let call = ast::CallExpr::cast(node.clone())?;
    match function_name(&call)?.as_str() {
        "nextval" | "setval" => Some(Reason::SequenceFunction),
        "currval" | "lastval" => Some(Reason::SequenceState),
        "pg_advisory_lock" | "pg_advisory_lock_shared" | "pg_try_advisory_lock" | "pg_try_advisory_lock_shared" => Some(Reason::AdvisoryLock),
        "pg_advisory_unlock" | "pg_advisory_unlock_shared" | "pg_advisory_unlock_all" => Some(Reason::AdvisoryLock),
        "set_config" if is_false(&call) => Some(Reason::SetConfig),
        "set_config" => Some(Reason::SetConfigLocal),
        _ => None,
    }
}

/// The name of a function that no other schema than Postgres's own is named for.
fn function_name(call: &ast::CallExpr) -> Option<String> {
    let callee = call.syntax().children().next()?;
    let names: Vec<String> = match callee.kind() {
        SyntaxKind::FIELD_EXPR => callee.children().map(|part| ast::NameRef::cast(part).map(|name| name.text())).collect::<Option<_>>()?,
        _ => vec![ast::NameRef::cast(callee)?.text()],
    };
    match names.as_slice() {
        [name] => Some(name.clone()),
        [schema, name] if schema == "pg_catalog" => Some(name.clone()),
        _ => None,
    }
}

/// Whether the last argument is false, as set_config's is_local for a setting that outlives the transaction.
fn is_false(call: &ast::CallExpr) -> bool {
    let last = call.syntax().children().filter(|child| child.kind() == SyntaxKind::ARG_LIST).flat_map(|list| list.children()).last();
    let Some(literal) = last.and_then(|argument| argument.descendants().find_map(ast::Literal::cast)) else { return false };
    let keyword = literal.syntax().text().to_string();
    is_off(&literal.string_value().filter(|string| !string.is_empty()).unwrap_or(keyword))
}

/// What Postgres reads as false.
fn is_off(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "false" | "fals" | "fal" | "fa" | "f" | "off" | "of" | "no" | "n" | "0")
}

/// Statements that evaluate what stands in them. The others define something, which is evaluated later or on a part of the rows.
fn evaluates(kind: SyntaxKind) -> bool {
    matches!(
        kind,
        SyntaxKind::SELECT
            | SyntaxKind::SELECT_INTO
            | SyntaxKind::COMPOUND_SELECT
            | SyntaxKind::PAREN_SELECT
            | SyntaxKind::VALUES
            | SyntaxKind::TABLE
            | SyntaxKind::INSERT
            | SyntaxKind::UPDATE
            | SyntaxKind::DELETE
            | SyntaxKind::MERGE
            | SyntaxKind::COPY
            | SyntaxKind::CALL
            | SyntaxKind::DECLARE
            | SyntaxKind::PREPARE
            | SyntaxKind::EXECUTE
            | SyntaxKind::CREATE_TABLE_AS
            | SyntaxKind::CREATE_MATERIALIZED_VIEW
    )
}

/// Whether an EXPLAIN runs its statement.
fn analyzes(explain: &SyntaxNode) -> bool {
    let option = |node: &SyntaxNode| {
        let mut parts = node.children();
        let name = parts.next().map(|name| name.text().to_string().to_ascii_lowercase());
        name.is_some_and(|name| matches!(name.as_str(), "analyze" | "analyse"))
            && !parts.next().is_some_and(|value| is_off(value.text().to_string().trim_matches('\'')))
    };
    explain.children().any(|child| match child.kind() {
        SyntaxKind::EXPLAIN_ANALYZE => true,
        SyntaxKind::EXPLAIN_OPTION_LIST => child.children().any(|node| option(&node)),
        _ => false,
    })
}

/// Said by a word, or by the schema that a session has for temporary things.
fn is_temporary(create: &SyntaxNode) -> bool {
    let named = |child: &SyntaxNode| {
        matches!(child.kind(), SyntaxKind::TABLE_NAME | SyntaxKind::VIEW | SyntaxKind::SEQUENCE)
            && child.descendants().find_map(ast::PathSegmentRef::cast).is_some_and(|schema| schema.text().starts_with("pg_temp"))
    };
    create.children().any(|child| child.kind() == SyntaxKind::TEMP || named(&child))
}

/// Whether a DO block does what pins outside one, or cannot be read.
fn is_suspect(block: &ast::Do) -> bool {
    let Some(body) = block.plpgsql() else { return true };
    let suspect = |node: SyntaxNode| {
        let runs_text = matches!(
            node.kind(),
            SyntaxKind::PLPGSQL_DYN_EXECUTE_STMT
                | SyntaxKind::PLPGSQL_FOR_DYN_STMT
                | SyntaxKind::PLPGSQL_OPEN_EXECUTE
                | SyntaxKind::PLPGSQL_RETURN_QUERY_EXECUTE_STMT
        );
        runs_text || command(&node).is_some() || call(&node).is_some()
    };
    !body.errors().is_empty() || body.syntax().descendants().any(suspect)
}

fn has(node: &SyntaxNode, kind: SyntaxKind) -> bool {
    node.children().any(|child| child.kind() == kind)
}
