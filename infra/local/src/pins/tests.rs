//! Each rule, with what meets it and what looks like it.

use super::*;
use Reason::*;

fn reasons(sql: &str) -> Vec<Reason> {
    classify(sql).into_iter().map(|finding| finding.reason).collect()
}

/// One statement a line; `expected` for each.
fn each(expected: &[Reason], statements: &str) {
    for sql in statements.lines().map(str::trim).filter(|line| !line.is_empty()) {
        assert_eq!(reasons(sql), expected, "{sql}");
        if !sql.contains('"') {
            assert_eq!(reasons(&sql.to_uppercase()), expected, "{sql} in capitals");
        }
    }
}

#[test]
fn what_sets_a_parameter_pins() {
    each(
        &[SessionParameter],
        "set search_path to x
         set search_path = x, y;
         set session x.y = 'z'
         set time zone 'UTC'
         set names 'utf8'
         set role r
         set session authorization default
         set session characteristics as transaction isolation level serializable
         reset search_path
         reset all
         reset role
         reset session authorization
         /* first */ set x = 1 -- last",
    );
    each(
        &[SetConfig],
        "select set_config('a.b', $1, false)\n select pg_catalog.set_config('a', 'b', is_local => false)\n select set_config('a', 'b', 'f'::bool)",
    );
    each(&[SetLocal], "set local statement_timeout = 5\n set local role r\n set local time zone 'UTC'");
    each(&[SetConfigLocal], "select set_config('a.b', $1, true)\n select set_config('a', 'b', $2)\n select set_config('a', 'b', a = b) from t");
    each(&[SetTransaction], "set transaction isolation level serializable\n set transaction snapshot 'x'\n set constraints all deferred");
    each(
        &[],
        "begin isolation level serializable read only
         start transaction isolation level repeatable read, read only, deferrable
         commit and chain
         update t set a = 1, b = default
         alter role r set statement_timeout = 5
         alter database d set x = 1
         alter system set x = 1
         alter function f() set search_path = x
         create function f() returns int set x = 1 language sql as 'select 1'
         alter table t alter a set default 1
         insert into t values (1) on conflict (a) where b do update set a = excluded.a
         show search_path
         select other.set_config('a', 'b', false)
         select current_setting('a')",
    );
}

#[test]
fn prepared_statements_in_sql_and_discard_pin() {
    each(
        &[SqlPrepared],
        "prepare p (int) as select $1
         execute p (1)
         deallocate p
         deallocate prepare all
         explain analyze execute p",
    );
    each(&[Discard], "discard all\n discard temp\n discard plans\n discard sequences");
    each(
        &[],
        "prepare transaction 'x'
         commit prepared 'x'
         rollback prepared 'x'
         create trigger t before insert on t for each row execute function f()
         grant execute on function f() to r",
    );
}

#[test]
fn temporary_objects_pin() {
    each(
        &[TemporaryObject],
        "create temp table x (id int)
         create temporary table if not exists x (id int) on commit drop
         create local temp table x as select 1
         create table pg_temp.x (id int)
         create table pg_temp.x as select 1
         create temp view v as select 1
         create or replace temp view v as select 1
         create temp recursive view v (n) as select 1
         create view pg_temp.v as select 1
         create temp sequence s
         select 1 into temp x
         select 1 into temporary table x from y
         select 1 into pg_temp.x
         with a as (select 1) select * into temp x from a
         explain analyze create temp table x as select 1",
    );
    each(&[TemporaryObject, SequenceFunction], "create temp table x as select nextval('s')");
    each(
        &[],
        "create table x (id int)
         create unlogged table temp (temporary int)
         create sequence s
         select 1 into x
         drop table pg_temp.x
         select * from pg_temp.x",
    );
}

#[test]
fn cursors_pin() {
    each(
        &[Cursor],
        "declare c cursor for select 1
         declare c no scroll cursor with hold for select 1
         declare c binary cursor for select 1
         declare c no scroll binary cursor with hold for select 1
         fetch 10 from c
         move backward 3 from c
         close c
         close all",
    );
    each(&[Cursor, SequenceFunction], "declare c cursor for select nextval('s')");
    each(
        &[],
        "select * from t order by a fetch first 5 rows with ties\n select * from t for update skip locked\n select * from t for no key update nowait",
    );
}

#[test]
fn listening_pins_and_notifying_does_not() {
    each(&[Listen], "listen channel");
    each(&[Unlisten], "unlisten channel\n unlisten *");
    each(&[], "notify channel, 'payload'\n select pg_notify('channel', 'payload')");
}

#[test]
fn loading_a_library_pins() {
    each(&[LoadLibrary], "load 'auto_explain'");
    each(&[], "create extension pg_trgm\n copy t from stdin");
}

#[test]
fn sequence_functions_pin_wherever_they_are_called() {
    each(
        &[SequenceFunction],
        "select nextval('s')
         select pg_catalog.nextval('s'::regclass)
         select setval('s', 1, false)
         select \"nextval\" ('s')
         select U&\"nextv\\0061l\"('s')
         insert into t (id) values (nextval('s'))
         insert into t (id, n) values (1, 2) returning nextval('s')
         with a as (insert into t values (nextval('s')) returning id) select * from a
         select * from (select (select nextval('s'))) x
         select a from t where a > nextval('s') or false
         select a from t order by nextval('s') limit (select nextval('s'))
         select * from nextval('s') as n
         select * from rows from (nextval('s'), generate_series(1, 2))
         select case when a then coalesce(nextval('s'), 1) end from t
         update t set a = nextval('s')
         delete from t using u where t.a = nextval('s')
         merge into t using u on t.a = u.a when not matched then insert values (nextval('s'))
         values (nextval('s'))
         select 1 union all (select nextval('s'))
         copy (select nextval('s')) to stdout
         create table x as select nextval('s')
         create materialized view x as select nextval('s')
         call f(nextval('s')::int)
         explain analyze select nextval('s')
         explain (analyze, buffers, format json) insert into t values (nextval('s'))
         explain (analyze true) select nextval('s')",
    );
    each(&[SequenceState], "select currval('s')\n insert into t values (lastval())");
    each(
        &[],
        "select nextval from t
         select t.nextval, \"NextVal\"('s') from t
         select other.nextval('s')
         select nextvalue('s')
         select 'nextval(''s'')'
         select $q$ nextval('s') $q$, e'\\'nextval(1)'
         select 1 -- nextval('s')
         select /* nextval('s') /* nested */ nextval('s') */ 1
         insert into t (id) values (default)
         create table t (id bigserial, n bigint generated always as identity)
         alter sequence s restart
         truncate t restart identity",
    );
}

#[test]
fn what_is_defined_or_explained_may_pin() {
    each(
        &[NotCalled],
        "create table t (id bigint default nextval('s'))
         alter table t alter a set default nextval('s')
         create view v as select nextval('s')
         create function f() returns bigint language sql return nextval('s')
         create function f() returns bigint language sql begin atomic select nextval('s'); end
         create rule r as on insert to t do also select nextval('s')
         explain select nextval('s')
         explain (analyze false) select pg_advisory_lock(1)
         explain (analyze off, verbose) create temp table x as select 1",
    );
    each(&[], "create function f() returns bigint language plpgsql as $$ begin return nextval('s'); end $$\n select f()\n call p(1)");
}

#[test]
fn advisory_locks_of_the_session_pin_and_those_of_the_transaction_do_not() {
    each(
        &[AdvisoryLock],
        "select pg_advisory_lock(1)
         select pg_advisory_lock_shared(1, 2)
         select pg_try_advisory_lock(hashtext($1))
         select pg_try_advisory_lock_shared(1)
         select pg_advisory_unlock(1)
         select pg_advisory_unlock_shared(1)
         select pg_advisory_unlock_all()",
    );
    each(
        &[],
        "select pg_advisory_xact_lock(1)
         select pg_advisory_xact_lock_shared(1, 2)
         select pg_try_advisory_xact_lock(1)
         select pg_try_advisory_xact_lock_shared(1)
         lock table t in access exclusive mode",
    );
}

#[test]
fn a_block_may_pin_for_what_it_does_and_when_it_cannot_be_read() {
    each(
        &[DoBlock],
        "do $$ begin perform nextval('s'); end $$
         do $$ begin set local x = 1; end $$
         do $$ declare a int := lastval(); begin null; end $$
         do $$ begin if true then create temp table x (id int); end if; end $$
         do 'begin execute ''set x = 1''; end'
         do language plperl $$ spi_exec_query('set x = 1') $$
         do $$ no block $$",
    );
    each(&[], "do $$ declare c cursor for select 1; begin open c; close c; update t set a = 1; end $$\n do language plpgsql $$ begin null; end $$");
}

#[test]
fn text_over_16_kb_pins() {
    let padded = |bytes: usize| format!("select '{}'", "x".repeat(bytes - "select ''".len()));
    assert_eq!(reasons(&padded(STATEMENT_LIMIT_BYTES)), []);
    assert_eq!(reasons(&padded(STATEMENT_LIMIT_BYTES + 1)), [TooLong]);
    assert_eq!(reasons(&"garbage ".repeat(100_000)), [TooLong]);
    let wide = padded(STATEMENT_LIMIT_BYTES - 1).replace("select 'x", "select 'é");
    assert_eq!((wide.len(), reasons(&wide)), (STATEMENT_LIMIT_BYTES, vec![]), "bytes count, not characters");
}

#[test]
fn every_statement_of_a_text_is_judged_by_itself() {
    let text = read("begin; set x = 1 ;; select nextval('s'), nextval('s'); -- set y = 2;\n commit; ");
    assert_eq!(text.statements, 4);
    let found: Vec<_> = text.findings.iter().map(|finding| (finding.verdict(), finding.reason, finding.statement.as_str())).collect();
    assert_eq!(found, [(Verdict::Pins, SessionParameter, "set x = 1"), (Verdict::Pins, SequenceFunction, "select nextval('s'), nextval('s')")]);
    for nothing in ["", " ; ;", "-- set x = 1", "/* */;"] {
        assert_eq!(read(nothing), Text::default(), "{nothing:?}");
    }
}

#[test]
fn names_that_look_like_commands_are_names() {
    each(
        &[],
        "select \"set\", \"reset\", \"discard\" from \"prepare\" as \"listen\"
         select set, listen, load, declare, temp from execute
         create table set (prepare int, discard text)
         select 'set x = 1; discard all'",
    );
}

#[test]
fn what_the_parser_does_not_know_may_pin() {
    each(&[NotUnderstood], "selec 1\n frobnicate table t\n update t frobnicate b set a = 1\n select (");
    assert_eq!(reasons("frobnicate t; set x = 1"), [NotUnderstood, SessionParameter], "the next statement is read all the same");
    assert_eq!(reasons("update t frobnicate b set a = nextval('s')"), [SequenceFunction], "a call is one, whatever stands around it");
}

#[test]
fn hostile_text_ends_in_a_finding_and_not_in_the_process() {
    let filled = |head: &str, part: &str| format!("{head}{}", part.repeat((STATEMENT_LIMIT_BYTES - head.len()) / part.len()));
    for part in ["(", "f(", "array[", "(select ", "- ", "case when ", "explain ", "'", "$$", "/*", "\u{0}", "\u{fffd}", ";"] {
        let found = classify(&filled("select ", part));
        assert!(found.len() <= 1, "{part}…: {found:?}");
    }
    for (head, part) in [("select * from ", "("), ("do $$ begin ", "begin "), ("", "with a as (")] {
        assert_eq!(reasons(&filled(head, part)).len(), 1, "{head}{part}…");
    }
}

#[test]
fn every_reason_has_a_sentence_of_its_own() {
    let mut sentences: Vec<_> = Reason::ALL.iter().map(|reason| reason.sentence()).collect();
    sentences.sort_unstable();
    sentences.dedup();
    assert_eq!(sentences.len(), Reason::ALL.len());
}

#[test]
fn no_statement_of_the_functions_pins_or_may() {
    #[derive(serde::Deserialize)]
    struct Described {
        query: String,
    }
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.sqlx");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let described: Described = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        assert_eq!(read(&described.query), Text { statements: 1, findings: Vec::new() });
        seen += 1;
    }
    assert!(seen >= 3, "the functions have more queries than {seen}");
}
