-- Who had sessions of the functions ended, why, and how many.
--
-- The row is there before the first session ends, and says that the reset is complete once it is: one that is not began and broke off.

set local role thaw_migrate;

create table resets (
    id              uuid        not null,
    asked_at        timestamptz not null,
    operator_arn    text        not null, -- of the IAM user or role whose signature the API verified
    request_id      text        not null, -- the function's log has the request under it
    scope           text        not null,
    reason          text        not null,
    include_busy    boolean     not null,
    path            text        not null, -- whether a proxy stood between
    terminated_idle integer     not null,
    terminated_busy integer     not null,
    left_busy       integer     not null,
    is_complete     boolean     not null,

    constraint resets_pkey primary key (id),
    constraint resets_id_version check (get_byte(uuid_send(id), 6) >> 4 = 7),
    constraint resets_operator_arn_length check (char_length(operator_arn) between 1 and 2048),
    constraint resets_request_id_length check (char_length(request_id) between 1 and 255),
    constraint resets_scope_known check (scope in ('environment', 'fleet')),
    constraint resets_reason_length check (char_length(reason) between 1 and 500),
    constraint resets_path_known check (path in ('direct', 'proxy')),
    constraint resets_terminated_idle_range check (terminated_idle >= 0),
    constraint resets_terminated_busy_range check (terminated_busy >= 0),
    constraint resets_left_busy_range check (left_busy >= 0)
);

grant select, insert, update on resets to thaw_ops;

reset role;
