-- How soon the server lets go of a client that is gone. A destroyed micro-VM sends nothing, not even the end of its connection, and by the
-- system's own settings its session would stay for two hours. Role settings, for the same reason as the time limits.
--
-- A frozen micro-VM answers no keepalive either, so a session of a sandbox that nobody used for three minutes ends too. Its next request
-- then connects anew; without this, each sandbox that is destroyed would hold a session for hours. Behind RDS Proxy neither is seen: there
-- the server's client is the proxy, and the proxy's own idle timeout (1,800 s by default) bounds a client that is gone.

do $$
declare
    wanted text[] := array[
        -- Three minutes for one that is idle: 120 s of silence, then four questions 15 s apart.
        'tcp_keepalives_idle=120',
        'tcp_keepalives_interval=15',
        'tcp_keepalives_count=4',
        -- The same for an answer that nobody acknowledges. On Linux this also takes the place of the count of questions.
        'tcp_user_timeout=180s'
    ];
    wish text;
    role_name text;
begin
    if current_setting('server_version_num')::int >= 140000 then
        -- A statement whose client has closed its connection ends within a second.
        wanted := wanted || 'client_connection_check_interval=1s'::text;
    end if;
    for attempt in 1 .. 10 loop
        begin
            foreach role_name in array array['thaw_app', 'thaw_ops'] loop
                if not exists (
                    select from pg_db_role_setting
                    where setrole = to_regrole(role_name) and setdatabase = 0 and setconfig @> wanted
                ) then
                    foreach wish in array wanted loop
                        execute format('alter role %I set %I = %L', role_name, split_part(wish, '=', 1), split_part(wish, '=', 2));
                    end loop;
                end if;
            end loop;
            exit;
        exception
            -- As in the first migration: another database's did the same in this moment.
            when unique_violation or internal_error then
                if attempt = 10 then
                    raise;
                end if;
        end;
    end loop;
end
$$;
