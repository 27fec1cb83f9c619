-- What operators watch: one function that makes one check, whatever becomes of it.
--
-- A check that fails says its SQLSTATE in the place of its value, so that others asked by the same statement still answer; only a whole
-- statement that takes too long takes all of its checks along. It has the rights of whoever calls it: thaw_ops, by pg_monitor. Numbers that
-- can pass 2^53 are written as texts, because a JavaScript client would round them.

set local role thaw_migrate;

create function monitor_check(which text) returns jsonb
language plpgsql stable set search_path = pg_catalog, public, pg_temp
as $$
declare
    found jsonb;
    statements regclass;
begin
    case which
        when 'server:version' then
            found := jsonb_build_object('value', split_part(current_setting('server_version'), ' ', 1));
        when 'connections:total' then
            select jsonb_build_object(
                'value', count(*),
                'limit', current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                    - coalesce(current_setting('reserved_connections', true)::int, 0)
            ) into found
            from pg_stat_activity where backend_type = 'client backend';
        when 'connections:by' then
            select jsonb_build_object('value', coalesce(jsonb_agg(c order by c.connections desc), '[]')) into found
            from (
                select coalesce(state, 'unknown') as state, usename as "user", application_name as application, count(*) as connections
                from pg_stat_activity where backend_type = 'client backend'
                group by 1, 2, 3 order by 4 desc limit 50
            ) c;
        when 'activity:longest_query' then
            select jsonb_build_object('value', coalesce(max(a.seconds), 0), 'detail', (array_agg(to_jsonb(a) order by a.seconds desc))[1]) into found
            from (
                select extract(epoch from clock_timestamp() - query_start)::float8 as seconds, pid, usename as "user",
                       application_name as application, left(query, 500) as query
                from pg_stat_activity
                where state = 'active' and backend_type = 'client backend' and pid <> pg_backend_pid()
            ) a;
        when 'activity:longest_transaction' then
            select jsonb_build_object('value', coalesce(max(a.seconds), 0), 'detail', (array_agg(to_jsonb(a) order by a.seconds desc))[1]) into found
            from (
                select extract(epoch from clock_timestamp() - xact_start)::float8 as seconds, pid, usename as "user",
                       application_name as application, state, left(query, 500) as query
                from pg_stat_activity
                where xact_start is not null and backend_type = 'client backend' and pid <> pg_backend_pid()
            ) a;
        when 'activity:blocked' then
            select jsonb_build_object('value', coalesce(jsonb_agg(b order by b.seconds desc), '[]')) into found
            from (
                select extract(epoch from clock_timestamp() - coalesce(state_change, query_start))::float8 as seconds, pid,
                       pg_blocking_pids(pid) as blocked_by, usename as "user", application_name as application, left(query, 500) as query
                from pg_stat_activity
                where wait_event_type = 'Lock' and cardinality(pg_blocking_pids(pid)) > 0
                order by 1 desc limit 50
            ) b;
        when 'cache:hit_ratio' then
            -- Of a database that has hardly read anything the ratio says nothing.
            select jsonb_build_object('value', case when blks_hit + blks_read >= 10000 then round(blks_hit::numeric / (blks_hit + blks_read), 4) end)
            into found
            from pg_stat_database where datname = current_database();
        when 'database:commits' then
            select jsonb_build_object('value', xact_commit::text) into found from pg_stat_database where datname = current_database();
        when 'database:rollbacks' then
            select jsonb_build_object('value', xact_rollback::text) into found from pg_stat_database where datname = current_database();
        when 'database:deadlocks' then
            select jsonb_build_object('value', deadlocks::text) into found from pg_stat_database where datname = current_database();
        when 'database:temp_bytes' then
            select jsonb_build_object('value', temp_bytes::text) into found from pg_stat_database where datname = current_database();
        when 'database:size' then
            select jsonb_build_object('value', pg_database_size(current_database())::text) into found;
        when 'tables:size' then
            select jsonb_build_object('value', coalesce(jsonb_agg(jsonb_build_object(
                'table', t.name, 'bytes', t.bytes::text, 'index_bytes', t.index_bytes::text, 'live_rows', t.live_rows::text
            ) order by t.bytes desc), '[]')) into found
            from (
                select relid::regclass::text as name, pg_table_size(relid) as bytes, pg_indexes_size(relid) as index_bytes, n_live_tup as live_rows
                from pg_stat_user_tables order by 2 desc limit 20
            ) t;
        when 'indexes:size' then
            select jsonb_build_object('value', coalesce(jsonb_agg(jsonb_build_object(
                'index', i.name, 'table', i.of_table, 'bytes', i.bytes::text, 'scans', i.scans::text
            ) order by i.bytes desc), '[]')) into found
            from (
                select indexrelid::regclass::text as name, relid::regclass::text as of_table, pg_relation_size(indexrelid) as bytes,
                       idx_scan as scans
                from pg_stat_user_indexes order by 3 desc limit 20
            ) i;
        when 'tables:dead_tuples' then
            select jsonb_build_object(
                -- The worst of the tables that are not small.
                'value', coalesce(max(t.share) filter (where t.dead >= 10000), 0),
                'detail', coalesce(jsonb_agg(jsonb_build_object(
                    'table', t.name, 'dead', t.dead::text, 'live', t.live::text, 'share', t.share, 'vacuumed_at', t.vacuumed_at
                ) order by t.dead desc), '[]')
            ) into found
            from (
                select relid::regclass::text as name, n_dead_tup as dead, n_live_tup as live,
                       round(n_dead_tup::numeric / greatest(n_dead_tup + n_live_tup, 1), 4) as share,
                       greatest(last_vacuum, last_autovacuum) as vacuumed_at
                from pg_stat_user_tables order by 2 desc limit 20
            ) t;
        when 'statements:slowest' then
            select format('%I.pg_stat_statements', n.nspname)::regclass into statements
            from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_stat_statements';
            if statements is null then
                return jsonb_build_object('value', null, 'note', 'The extension pg_stat_statements is not there.');
            end if;
            execute format(
                $statement$
                select jsonb_build_object('value', coalesce(jsonb_agg(jsonb_build_object(
                    'query', left(s.query, 500), 'calls', s.calls::text, 'mean_ms', round(s.mean_exec_time::numeric, 3),
                    'max_ms', round(s.max_exec_time::numeric, 3), 'total_ms', round(s.total_exec_time::numeric, 3)
                ) order by s.mean_exec_time desc), '[]'))
                from (
                    select * from %s where dbid = (select oid from pg_database where datname = current_database())
                    order by mean_exec_time desc limit 10
                ) s
                $statement$, statements
            ) into found;
        when 'replication:lag' then
            if pg_is_in_recovery() then
                select jsonb_build_object(
                    'value', coalesce(extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8, 0),
                    'note', 'This server is a standby.'
                ) into found;
            else
                select jsonb_build_object(
                    'value', max(coalesce(r.seconds, 0)),
                    'detail', coalesce(jsonb_agg(r order by r.seconds desc nulls last), '[]'),
                    'note', case when count(*) = 0 then 'No standby follows this server.' end
                ) into found
                from (
                    select application_name as standby, state, extract(epoch from replay_lag)::float8 as seconds,
                           pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::text as bytes
                    from pg_stat_replication
                ) r;
            end if;
        when 'keys:oldest' then
            select jsonb_build_object('value', extract(epoch from clock_timestamp() - min(expires_at))::float8,
                'note', case when min(expires_at) is null then 'There is no key.' end) into found
            from idempotency_keys;
        else
            raise undefined_object;
    end case;
    return found;
exception
    when others then
        return jsonb_build_object('sqlstate', sqlstate);
end
$$;

revoke execute on function monitor_check from public;
grant execute on function monitor_check to thaw_ops;
grant select (expires_at) on idempotency_keys to thaw_ops;

reset role;
