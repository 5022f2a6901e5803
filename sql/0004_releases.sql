-- A release as a whole: what it says of itself, how it looks things up, on which base and template
-- it stands, so that a rollback restores all of it; notes under forced promotions; alerts.

alter table releases
    add column persona        jsonb not null default '{}',
    add column retrieval      jsonb not null default '{}',
    add column template_hash  text not null default '',
    add column base_reference text not null default '',
    add column base_sha256    text not null default '',
    add column forced         boolean not null default false,
    add column in_force_since timestamptz;
comment on column releases.persona is 'Core identity it was judged with: {"system_prompt": text, "version": its hash}.';
comment on column releases.retrieval is 'Search settings and vector index it was judged with: {"settings": {}, "index_version": model@hash}.';
comment on column releases.template_hash is 'Hash of the adapter''s chat template; empty: not recorded.';
comment on column releases.base_reference is 'Model reference of the base.';
comment on column releases.base_sha256 is 'Hash of the base''s weights.';
comment on column releases.forced is 'Whether it served although the gate had refused it; see promotion_notes.';
comment on column releases.in_force_since is 'When it last came into force, by promotion or rollback.';

update releases
set persona = jsonb_build_object(
        'system_prompt', coalesce(datasets.settings ->> 'system_prompt', ''),
        'version', left(encode(sha256(convert_to(
            coalesce(datasets.settings ->> 'system_prompt', ''), 'UTF8')), 'hex'), 12)),
    retrieval = coalesce((
        select jsonb_build_object('settings', '{}'::jsonb, 'index_version', model)
        from message_embeddings group by model order by count(*) desc limit 1), '{}'),
    base_reference = adapters.base_model,
    base_sha256 = adapters.base_hash,
    in_force_since = promoted_at
from adapters join datasets on datasets.version = adapters.dataset_version
where adapters.adapter_id = releases.adapter_id;

create table promotion_notes (
    note_id    bigint generated always as identity primary key,
    release_id bigint not null references releases (release_id),
    signed_by  text not null check (btrim(signed_by) <> ''),
    reason     text not null check (btrim(reason) <> ''),
    signed_at  timestamptz not null,
    document   text not null,
    signature  text not null
);
create index promotion_notes_release on promotion_notes (release_id);
comment on table promotion_notes is 'Who let a refused challenger serve, and why: one signed note a forced promotion.';
comment on column promotion_notes.note_id is 'Counter.';
comment on column promotion_notes.release_id is 'The release that was forced.';
comment on column promotion_notes.signed_by is 'Who forced it.';
comment on column promotion_notes.reason is 'Why, in their words.';
comment on column promotion_notes.signed_at is 'When.';
comment on column promotion_notes.document is 'What was signed, as JSON: all of the above, the release it replaced and the gate''s verdict.';
comment on column promotion_notes.signature is 'HMAC-SHA256 of the document under the key of the state folder, hexadecimal.';

create table alerts (
    alert_id   bigint generated always as identity primary key,
    kind       text not null,
    release_id bigint references releases (release_id) on delete cascade,
    words      text not null,
    raised_at  timestamptz not null default now(),
    cleared_at timestamptz
);
create unique index alerts_open on alerts (kind) where cleared_at is null;
comment on table alerts is 'What the owner should look at; at most one open alert of a kind.';
comment on column alerts.alert_id is 'Counter.';
comment on column alerts.kind is 'What it is about, such as replacement_refused.';
comment on column alerts.release_id is 'The release it is about.';
comment on column alerts.words is 'What happened and what to do, in words.';
comment on column alerts.raised_at is 'When it was first raised.';
comment on column alerts.cleared_at is 'When its cause had gone; null while it is open.';
