-- What the twin should rather have said: the owner's corrections, and the preference pairs that
-- were made for a dataset.

create table corrections (
    id         uuid primary key default gen_random_uuid(),
    prompt     jsonb not null check (jsonb_array_length(prompt) > 0),
    rejected   text not null check (btrim(rejected) <> ''),
    chosen     text not null check (btrim(chosen) <> '' and chosen <> rejected),
    adapter_id text,
    made_by    text not null,
    made_at    timestamptz not null default clock_timestamp()
);
comment on table corrections is 'Answers of the twin that its owner corrected; the strongest preference pairs.';
comment on column corrections.id is 'Identity of the correction.';
comment on column corrections.prompt is 'The conversation as the twin saw it, chat messages that end with the user.';
comment on column corrections.rejected is 'What the twin said.';
comment on column corrections.chosen is 'What the owner says it should have said.';
comment on column corrections.adapter_id is 'The adapter that answered; null when not known.';
comment on column corrections.made_by is 'Where it was made, for example the chat page.';
comment on column corrections.made_at is 'When it was made.';

create table preference_pairs (
    version       text not null references datasets (version) on delete cascade,
    number        int not null,
    kind          text not null
                  check (kind in ('correction', 'base', 'other_person', 'style')),
    pair_id       uuid,
    correction_id uuid references corrections (id) on delete cascade,
    primary key (version, number),
    check ((kind = 'correction') = (correction_id is not null)),
    check ((kind = 'correction') = (pair_id is null))
);
comment on table preference_pairs is 'Lineage of the rows of a dataset''s preferences.jsonl.';
comment on column preference_pairs.version is 'The dataset.';
comment on column preference_pairs.number is 'Line of the file, from 0.';
comment on column preference_pairs.kind is 'What was rejected: the twin''s corrected answer, the base''s, another person''s, or a rewrite against the style.';
comment on column preference_pairs.pair_id is 'instruct_pairs.id of the real reply; null for a correction.';
comment on column preference_pairs.correction_id is 'The correction; null for the others.';
