-- Two-way sync of two of the application's databases: how it stood at the last look, and which
-- changes lost against another one. The rows that lost are kept where it happened, not here.

create table sync_looks (
    sync       text primary key,
    local      text not null,
    remote     text not null,
    tables     text[] not null,
    looked_at  timestamptz not null default clock_timestamp(),
    problems   text[] not null default '{}',
    lag_bytes  jsonb not null default '{}',
    skew_ms    double precision,
    compared_at timestamptz,
    differing  jsonb not null default '{}'
);
comment on table sync_looks is 'Databases that are kept the same, one row a pair: what was seen last.';
comment on column sync_looks.sync is 'Name of its publications and schema there.';
comment on column sync_looks.local is 'One database, without a password.';
comment on column sync_looks.remote is 'The other one.';
comment on column sync_looks.tables is 'Tables that are kept the same.';
comment on column sync_looks.looked_at is 'When it was looked at.';
comment on column sync_looks.problems is 'What keeps it from working, a sentence each with its remedy.';
comment on column sync_looks.lag_bytes is 'Log not brought over yet: {local|remote: bytes written there}.';
comment on column sync_looks.skew_ms is 'How far the remote clock is ahead of the local one, milliseconds.';
comment on column sync_looks.compared_at is 'When both sides were compared row by row; null: never.';
comment on column sync_looks.differing is 'Rows that lastingly differed then: {table: rows}.';

create table sync_conflicts (
    sync        text not null,
    side        text not null check (side in ('local', 'remote')),
    conflict_id bigint not null,
    table_name  text not null,
    key         text not null,
    kind        text not null check (kind in ('insert', 'update', 'delete')),
    lost_at     timestamptz,
    kept_at     timestamptz,
    seen_at     timestamptz not null,
    primary key (sync, side, conflict_id, seen_at)
);
create index sync_conflicts_seen on sync_conflicts (seen_at);
comment on table sync_conflicts is 'Changes of one row on both sides at once: which one lost. Without the row itself.';
comment on column sync_conflicts.sync is 'As in sync_looks.';
comment on column sync_conflicts.side is 'Where it was decided, and where the lost row is kept.';
comment on column sync_conflicts.conflict_id is 'Counter there.';
comment on column sync_conflicts.table_name is 'The table.';
comment on column sync_conflicts.key is 'The row''s primary key.';
comment on column sync_conflicts.kind is 'insert or update: an older one came and was left out; delete: a row was deleted although it had been changed here meanwhile.';
comment on column sync_conflicts.lost_at is 'Update time of what lost.';
comment on column sync_conflicts.kept_at is 'Update time of what was kept; of a deletion, when it happened.';
comment on column sync_conflicts.seen_at is 'When it was decided.';
