-- Feeds that were never taken over, that are no longer followed, and whose clock is not ours.

alter table feeds alter column position drop not null;
alter table feeds add column stopped_at timestamptz;
alter table feeds add column problem_since timestamptz;
alter table feeds add column clock_ahead double precision not null default 0;

comment on column feeds.position is 'End of the last transaction whose effects stand here; null: it was never taken over.';
comment on column feeds.snapshots is 'How often it was taken over whole; 0: never.';
comment on column feeds.stopped_at is 'When its slot and publication were removed, as twin.toml follows it no longer; null: it is followed.';
comment on column feeds.problem_since is 'When the problem was seen first; null: there is none.';
comment on column feeds.clock_ahead is 'Seconds by which its server''s clock was ahead of ours at the last look.';
