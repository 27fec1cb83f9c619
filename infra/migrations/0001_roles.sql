-- The three roles of the design. Roles belong to the whole cluster, while migrations belong to a
-- database: this file meets clusters where the roles exist already, and runs in several databases
-- at once. So it looks first, changes only what differs, and looks again where another session
-- was quicker. It therefore also runs under a role that may create no roles, such as thaw_migrate,
-- once the roles stand.
--
-- No password is set here: an environment gives its own, or uses IAM.

do $$
declare
    -- `alter role … set` stores its text as written: this is what the catalog then says.
    time_limits constant text[] := array[
        'lock_timeout=1000ms',
        'statement_timeout=2000ms',
        'idle_in_transaction_session_timeout=3000ms'
    ];
    -- From PostgreSQL 16 on a membership may lack the right to `set role`.
    may_become constant text :=
        case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end;
begin
    for attempt in 1 .. 10 loop
        begin
            if to_regrole('thaw_migrate') is null then
                create role thaw_migrate login;
            end if;
            if to_regrole('thaw_app') is null then
                create role thaw_app login;
            end if;
            if to_regrole('thaw_ops') is null then
                create role thaw_ops login;
            end if;

            -- The time ladder's part of the server. A role setting, because RDS Proxy refuses
            -- startup options and pins a session on SET.
            if not exists (
                select from pg_db_role_setting
                where setrole = 'thaw_app'::regrole and setdatabase = 0 and setconfig @> time_limits
            ) then
                alter role thaw_app set lock_timeout = '1000ms';
                alter role thaw_app set statement_timeout = '2000ms';
                alter role thaw_app set idle_in_transaction_session_timeout = '3000ms';
            end if;
            if not exists (
                select from pg_db_role_setting
                where setrole = 'thaw_ops'::regrole and setdatabase = 0 and setconfig @> time_limits
            ) then
                alter role thaw_ops set lock_timeout = '1000ms';
                alter role thaw_ops set statement_timeout = '2000ms';
                alter role thaw_ops set idle_in_transaction_session_timeout = '3000ms';
            end if;

            if not pg_has_role('thaw_ops', 'pg_monitor', 'USAGE') then
                grant pg_monitor to thaw_ops;
            end if;
            if not pg_has_role('thaw_ops', 'pg_signal_backend', 'USAGE') then
                grant pg_signal_backend to thaw_ops;
            end if;

            -- A master user that is no superuser (RDS) must belong to the owner to create as it.
            if not pg_has_role(current_user, 'thaw_migrate', may_become) then
                grant thaw_migrate to current_user;
            end if;
            exit;
        exception
            -- Another database's migration did the same in this moment. internal_error is the
            -- class of "tuple concurrently updated". Both are raised once the other transaction
            -- has ended, so the next look sees its work.
            when duplicate_object or unique_violation or internal_error then
                if attempt = 10 then
                    raise;
                end if;
        end;
    end loop;
end
$$;

-- What the roles may do in this database. PUBLIC's right to connect is left as it is: the database
-- may be somebody's own, with other users; where it was taken away, our three get theirs.
do $$
declare
    role_name text;
begin
    foreach role_name in array array['thaw_migrate', 'thaw_app', 'thaw_ops'] loop
        if not has_database_privilege(role_name, current_database(), 'CONNECT') then
            execute format('grant connect on database %I to %I', current_database(), role_name);
        end if;
        if not has_schema_privilege(role_name, 'public', 'USAGE') then
            execute format('grant usage on schema public to %I', role_name);
        end if;
    end loop;

    -- Up to PostgreSQL 14 everybody may create tables here, so thaw_app could.
    if has_schema_privilege('public', 'public', 'CREATE') then
        revoke create on schema public from public;
    end if;
    if not has_schema_privilege('thaw_migrate', 'public', 'CREATE') then
        grant create on schema public to thaw_migrate;
    end if;
end
$$;

-- The record of migrations follows the owner, so that a later migration may run as thaw_migrate.
-- The routes read it: health says whether the schema is the one the code was built for.
alter table _sqlx_migrations owner to thaw_migrate;
grant select on _sqlx_migrations to thaw_app, thaw_ops;
