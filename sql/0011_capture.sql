-- Change capture: how far each source database was followed, what that touched, and what could not
-- be taken over.

create table feeds (
    feed           text primary key,
    location       text not null,
    tables         text[] not null,
    mapping        text not null,
    position       pg_lsn not null,
    snapshot       pg_snapshot,
    snapshot_until pg_lsn,
    snapshots      int not null default 1,
    rows           jsonb not null default '{}',
    committed_at   timestamptz,
    drained_at     timestamptz not null default clock_timestamp(),
    lag_bytes      bigint not null default 0,
    problem        text not null default ''
);
comment on table feeds is 'Source databases that are followed, one row each.';
comment on column feeds.feed is 'Name of the replication slot there.';
comment on column feeds.location is 'Which database, without a password.';
comment on column feeds.tables is 'Tables that were taken over whole and are followed since.';
comment on column feeds.mapping is 'Hash of how their columns are read; another one is taken over anew.';
comment on column feeds.position is 'End of the last transaction whose effects stand here.';
comment on column feeds.snapshot is 'What the taking over saw; transactions it saw are passed over. Null once all of them are.';
comment on column feeds.snapshot_until is 'Position from which on no transaction was seen by it.';
comment on column feeds.snapshots is 'How often it was taken over whole: 1, and one more for each slot that was lost.';
comment on column feeds.rows is 'Rows since the first: {table: {insert|update|delete|truncate: rows}}.';
comment on column feeds.committed_at is 'When the last transaction was committed there.';
comment on column feeds.drained_at is 'When it was last looked at.';
comment on column feeds.lag_bytes is 'Log that was not read then.';
comment on column feeds.problem is 'Why it cannot be followed, in a sentence; empty while it is.';

create table touched_days (
    day      date not null,
    feed     text not null references feeds (feed) on delete cascade,
    position pg_lsn not null,
    since    timestamptz not null default clock_timestamp(),
    primary key (day, feed)
);
comment on table touched_days is 'Days whose messages changed and whose derived tables do not know it yet.';
comment on column touched_days.day is 'The day: the partition.';
comment on column touched_days.feed is 'Which source database changed it.';
comment on column touched_days.position is 'Position of the last change.';
comment on column touched_days.since is 'When the first of them landed.';

create table touched_tables (
    table_name text not null,
    feed       text not null references feeds (feed) on delete cascade,
    position   pg_lsn not null,
    since      timestamptz not null default clock_timestamp(),
    primary key (table_name, feed)
);
comment on table touched_tables is 'Tables of memories that changed and were not imported again yet.';
comment on column touched_tables.table_name is 'As twin.toml writes it.';
comment on column touched_tables.feed is 'Which source database.';
comment on column touched_tables.position is 'Position of the last change.';
comment on column touched_tables.since is 'When the first of them was seen.';

create table dead_letters (
    letter_id   bigint generated always as identity primary key,
    feed        text not null references feeds (feed) on delete cascade,
    source      text not null,
    key         text not null,
    reason      text not null,
    excerpt     text not null,
    position    pg_lsn not null,
    seen_at     timestamptz not null default clock_timestamp(),
    replayed_at timestamptz,
    unique (source, key)
);
comment on table dead_letters is 'Rows of a source that break its mapping. The rest goes on without them.';
comment on column dead_letters.letter_id is 'Counter.';
comment on column dead_letters.feed is 'Which source database.';
comment on column dead_letters.source is 'The source of twin.toml.';
comment on column dead_letters.key is 'The row''s identity there; what cannot be told apart has its position.';
comment on column dead_letters.reason is 'What is wrong with it, in words.';
comment on column dead_letters.excerpt is 'Its first characters.';
comment on column dead_letters.position is 'Position of the change.';
comment on column dead_letters.seen_at is 'When it was seen.';
comment on column dead_letters.replayed_at is 'When it was taken over after all; null: it waits.';
