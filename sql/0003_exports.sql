-- Files made of an adapter for other programs, and whether they behave as it does.

create table exports (
    adapter_id text not null references adapters (adapter_id) on delete cascade,
    kind       text not null,
    path       text not null,
    sha256     text not null,
    bytes      bigint not null,
    parity     jsonb not null,
    passed     boolean,
    created_at timestamptz not null default now(),
    chosen_at  timestamptz not null default clock_timestamp(),
    primary key (adapter_id, kind)
);
comment on table exports is 'Files made of an adapter for other programs to serve.';
comment on column exports.adapter_id is 'The adapter.';
comment on column exports.kind is 'safetensors, gguf_adapter, or gguf_ and the level of quantisation.';
comment on column exports.path is 'File, or folder of safetensors, relative to the state folder.';
comment on column exports.sha256 is 'Hash of the file; of the listing of hashes, for a folder.';
comment on column exports.bytes is 'Size.';
comment on column exports.parity is 'How it compares with the trained model: verdict, why, figures, tolerance.';
comment on column exports.passed is 'Whether it behaves as the trained model; null when nothing could run it.';
comment on column exports.created_at is 'When it was made.';
comment on column exports.chosen_at is 'When the export was last made or found made; the latest is the current one.';
