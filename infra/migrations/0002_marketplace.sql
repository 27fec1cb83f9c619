-- The marketplace: users publish models, users buy models.
--
-- Keys are UUIDv7 made by the application: they order by time, which is what the lists page by, and
-- need no sequence (calling nextval pins an RDS Proxy session). No enum and no domain types: a
-- driver looks those up in the catalog once per connection. Nobody but the owner deletes: a model
-- that is no longer sold is withdrawn, and stays with those who bought it.

set local role thaw_migrate;

create table users (
    id         uuid        not null,
    subject    text        not null, -- the `sub` claim, unique within our one issuer
    created_at timestamptz not null,

    constraint users_pkey primary key (id),
    constraint users_subject_unique unique (subject),
    constraint users_id_version check (get_byte(uuid_send(id), 6) >> 4 = 7),
    constraint users_subject_length check (char_length(subject) between 1 and 255)
);

create table models (
    id             uuid        not null,
    owner_id       uuid        not null,
    title          text        not null,
    description    text        not null,
    price_cents    bigint      not null,
    currency       text        not null, -- ISO 4217
    file_bytes     bigint      not null,
    download_count bigint      not null,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    withdrawn_at   timestamptz,

    constraint models_pkey primary key (id),
    constraint models_owner_id_fkey foreign key (owner_id) references users (id),
    constraint models_id_version check (get_byte(uuid_send(id), 6) >> 4 = 7),
    constraint models_title_length check (char_length(title) between 1 and 200),
    constraint models_description_length check (char_length(description) <= 5000),
    constraint models_price_cents_range check (price_cents between 0 and 100000000),
    constraint models_currency_form check (currency collate "C" ~ '^[A-Z]{3}$'),
    constraint models_file_bytes_range check (file_bytes between 1 and 1099511627776), -- 1 TiB
    -- Up to 2^53 - 1, which a JavaScript client still reads exactly.
    constraint models_download_count_range check (download_count between 0 and 9007199254740991),
    constraint models_updated_at_order check (updated_at >= created_at),
    constraint models_withdrawn_at_order check (withdrawn_at >= created_at)
);

create table purchases (
    id           uuid        not null,
    buyer_id     uuid        not null,
    model_id     uuid        not null,
    price_cents  bigint      not null, -- what was paid; the model's price may change afterwards
    currency     text        not null, -- ISO 4217
    purchased_at timestamptz not null,

    constraint purchases_pkey primary key (id),
    constraint purchases_buyer_id_model_id_unique unique (buyer_id, model_id),
    constraint purchases_buyer_id_fkey foreign key (buyer_id) references users (id),
    constraint purchases_model_id_fkey foreign key (model_id) references models (id),
    constraint purchases_id_version check (get_byte(uuid_send(id), 6) >> 4 = 7),
    constraint purchases_price_cents_range check (price_cents between 0 and 100000000),
    constraint purchases_currency_form check (currency collate "C" ~ '^[A-Z]{3}$')
);

-- The lists, newest first. A b-tree reads backwards as well, so the order needs no `desc`.
create index purchases_by_buyer on purchases (buyer_id, id);
create index models_listed_by_owner on models (owner_id, id) where withdrawn_at is null;

-- The foreign keys: without these, removing a user or a model reads a whole table. The partial
-- index above cannot serve, because a withdrawn model has an owner too.
create index models_by_owner on models (owner_id);
create index purchases_by_model on purchases (model_id);

grant select, insert on users to thaw_app;
grant select, insert, update on models to thaw_app;
grant select, insert on purchases to thaw_app;
-- thaw_ops gets nothing here: what it watches is in the views that pg_monitor opens.

reset role;
