-- Alerts leave the machine: what was told by which channel; and files found in the drop folder.

create table alert_deliveries (
    alert_id     bigint not null references alerts (alert_id) on delete cascade,
    channel      text not null check (channel in ('webhook', 'email')),
    state        text not null check (state in ('open', 'cleared')),
    attempts     int not null default 0,
    next_at      timestamptz not null default clock_timestamp(),
    delivered_at timestamptz,
    problem      text not null default '',
    primary key (alert_id, channel, state)
);
create index alert_deliveries_delivered on alert_deliveries (channel, delivered_at);
comment on table alert_deliveries is 'What is told of an alert outside, once a channel: that it is open, later that it was cleared.';
comment on column alert_deliveries.alert_id is 'Which alert.';
comment on column alert_deliveries.channel is 'By which way: webhook or email.';
comment on column alert_deliveries.state is 'What is told: that it is open, or that it was cleared.';
comment on column alert_deliveries.attempts is 'How often it was tried in vain.';
comment on column alert_deliveries.next_at is 'When it is to be tried; later after each failure.';
comment on column alert_deliveries.delivered_at is 'When it arrived; null while it waits.';
comment on column alert_deliveries.problem is 'Why the last attempt failed, without address or key.';

create table dropped_files (
    file_id    bigint generated always as identity primary key,
    content    text not null unique,
    name       text not null,
    source     text not null default '',
    reason     text not null default '',
    messages   int not null default 0,
    first_day  date,
    last_day   date,
    seen_at    timestamptz not null default clock_timestamp()
);
comment on table dropped_files is 'Files of the drop folder that were landed or set aside, one row a content.';
comment on column dropped_files.file_id is 'Counter; days are derived in this order.';
comment on column dropped_files.content is 'SHA-256 of the content; of name, size and time where it could not be read.';
comment on column dropped_files.name is 'Name within the folder when it was looked at.';
comment on column dropped_files.source is 'The source its messages landed under.';
comment on column dropped_files.reason is 'Why it was set aside, in words; empty: it was landed.';
comment on column dropped_files.messages is 'How many of its rows landed.';
comment on column dropped_files.first_day is 'First day it touched.';
comment on column dropped_files.last_day is 'Last day it touched.';
comment on column dropped_files.seen_at is 'When it was landed or set aside.';
