-- Writes that happen once, however often they are sent.
--
-- A write keeps its response under its key in the transaction of its effect: who finds the key finds the response, and nobody has the
-- effect without it. The response is made before the key is inserted, by the statement that has the effect; a second write under the same
-- key waits at the primary key until the first has ended, and is then told that there is a response.

set local role thaw_migrate;

-- What a strong ETag says; each change of a model adds one.
alter table models
    add column version bigint not null default 1,
    -- Up to 2^53 - 1, which a JavaScript client still reads exactly.
    add constraint models_version_range check (version between 1 and 9007199254740991);

create table idempotency_keys (
    principal    text        not null, -- the `sub` claim: two users may choose the same key
    key          text        not null,
    request_hash bytea       not null, -- SHA-256 of method, path and payload: the same key with another request is a mistake
    status       smallint    not null, -- of the response that is kept, with its headers and its body
    etag         text,
    location     text,
    body         bytea       not null,
    created_at   timestamptz not null,
    expires_at   timestamptz not null,

    constraint idempotency_keys_pkey primary key (principal, key),
    constraint idempotency_keys_principal_length check (char_length(principal) between 1 and 255),
    constraint idempotency_keys_key_form check (key collate "C" ~ '^[!-~]{1,255}$'),
    constraint idempotency_keys_request_hash_length check (octet_length(request_hash) = 32),
    constraint idempotency_keys_status_range check (status between 200 and 299), -- what was refused had no effect and is not kept
    constraint idempotency_keys_expires_at_order check (expires_at > created_at)
);

create index idempotency_keys_by_expiry on idempotency_keys (expires_at);

-- Keeps a response under a key. False where one is kept there already that has not expired: then whoever calls must have no effect.
--
-- Each call that keeps one forgets up to four that have expired, so the table needs no cron and does not grow without writes. A row that
-- somebody else is at is left for the next.
create function keep_response(
    for_principal text, under_key text, hash bytea, lifetime_s integer, with_status integer, with_etag text, with_location text, with_body text
) returns boolean
language plpgsql security definer set search_path = public, pg_temp
as $$
begin
    insert into idempotency_keys as kept (principal, key, request_hash, status, etag, location, body, created_at, expires_at)
    values (
        for_principal, under_key, hash, with_status, with_etag, with_location, convert_to(with_body, 'UTF8'),
        now(), now() + make_interval(secs => lifetime_s)
    )
    on conflict on constraint idempotency_keys_pkey do update
        set request_hash = excluded.request_hash, status = excluded.status, etag = excluded.etag, location = excluded.location,
            body = excluded.body, created_at = excluded.created_at, expires_at = excluded.expires_at
        where kept.expires_at <= now();
    if not found then
        return false;
    end if;
    delete from idempotency_keys
    where ctid = any (array(select ctid from idempotency_keys where expires_at <= now() order by expires_at limit 4 for update skip locked));
    return true;
end
$$;

-- Who has this subject; a subject that was not seen before becomes the user with the new id. Where another transaction makes the same one a
-- user at this moment, its end is waited for.
create function user_of(for_subject text, new_id uuid) returns uuid
language plpgsql set search_path = public, pg_temp
as $$
declare
    known uuid;
begin
    select id into known from users where subject = for_subject;
    if not found then
        insert into users (id, subject, created_at) values (new_id, for_subject, now())
        on conflict (subject) do nothing
        returning id into known;
        if not found then
            select id into strict known from users where subject = for_subject;
        end if;
    end if;
    return known;
end
$$;

revoke execute on function keep_response, user_of from public;
grant execute on function keep_response, user_of to thaw_app;
grant select on idempotency_keys to thaw_app;

reset role;
