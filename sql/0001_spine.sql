-- The spine: from landed messages to a promoted release.
-- Forward only. Never edit a migration that was applied: add the next number.

create extension if not exists vector;
create extension if not exists pg_trgm;

-- sources ------------------------------------------------------------------------------------

create table consents (
    source      text primary key,
    kind        text not null,
    location    text not null,
    granted     text not null,
    recorded_at timestamptz not null default now()
);
comment on table consents is 'One row a source: nothing is read without it.';
comment on column consents.source is 'Name of the source, as in raw_messages.source.';
comment on column consents.kind is 'chitchat, file or table.';
comment on column consents.location is 'Package, path or table; never a password.';
comment on column consents.granted is 'Who allowed the reading, in words.';
comment on column consents.recorded_at is 'When the consent was recorded.';

create table raw_messages (
    id                uuid generated always as (md5(source || chr(31) || source_message_id)::uuid) stored,
    source            text not null,
    source_message_id text not null,
    conversation_id   text not null,
    speaker           text not null,
    text              text not null,
    sent_at           timestamptz not null,
    day               date not null,
    reply_to          text,
    metadata          jsonb,
    primary key (id)
);
create index raw_messages_day on raw_messages (day, source);
comment on table raw_messages is 'Messages as they were written, one row each; lineage of everything ends here.';
comment on column raw_messages.id is 'Stable identity made of source and source_message_id.';
comment on column raw_messages.source is 'The source the message came from.';
comment on column raw_messages.source_message_id is 'Identity within the source.';
comment on column raw_messages.conversation_id is 'Conversation (chat, channel, thread) within the source.';
comment on column raw_messages.speaker is 'Who wrote it, as the source names them.';
comment on column raw_messages.text is 'The text, unchanged but for characters PostgreSQL cannot hold.';
comment on column raw_messages.sent_at is 'When it was sent; a file''s messages of one moment are kept in order by microseconds.';
comment on column raw_messages.day is 'Day of sent_at in the history''s time zone: the partition.';
comment on column raw_messages.reply_to is 'source_message_id this answers, when the source says so.';
comment on column raw_messages.metadata is 'What else the source gave.';

-- Stands for a foreign key to consents, which would cost as much as the rest of the import.
create function demand_consent() returns trigger language plpgsql as $$
declare
    lacking text;
begin
    select distinct source into lacking
    from landed where not exists (select from consents where consents.source = landed.source)
    limit 1;
    if found then
        raise foreign_key_violation using message = format('source %L has no consent', lacking);
    end if;
    return null;
end
$$;
comment on function demand_consent() is 'Refuses messages of a source without a consent.';
create trigger raw_messages_inserted after insert on raw_messages
    referencing new table as landed for each statement execute function demand_consent();
create trigger raw_messages_updated after update on raw_messages
    referencing new table as landed for each statement execute function demand_consent();

create function keep_consent() returns trigger language plpgsql as $$
begin
    if exists (select from raw_messages where source = old.source) then
        raise foreign_key_violation
            using message = format('source %L still has messages', old.source);
    end if;
    return old;
end
$$;
comment on function keep_consent() is 'Refuses to forget the consent of a source with messages.';
create trigger consents_deleted before delete on consents
    for each row execute function keep_consent();

create table imports (
    import_id   bigint generated always as identity primary key,
    source      text not null,
    location    text not null,
    sha256      text not null,
    day         date,
    rows_read   bigint not null,
    landed      bigint not null,
    rejected    bigint not null,
    repaired    bigint not null,
    reasons     jsonb not null,
    finished_at timestamptz not null default now()
);
create index imports_source on imports (source, sha256);
comment on table imports is 'What was read: one row a file, one row a day of a package or table.';
comment on column imports.import_id is 'Counter.';
comment on column imports.source is 'The source it fed.';
comment on column imports.location is 'File, package or table.';
comment on column imports.sha256 is 'Hash of the content and of what selects from it: the same content is not read twice.';
comment on column imports.day is 'Day of a package or table; null for a file, and for a table''s rows without a time.';
comment on column imports.rows_read is 'Rows or lines seen.';
comment on column imports.landed is 'Rows that are in raw_messages.';
comment on column imports.rejected is 'Rows left out; see import_problems.';
comment on column imports.repaired is 'Rows kept after a repair; see import_problems.';
comment on column imports.reasons is 'Rows by action and reason: {"rejected": {reason: rows}, "repaired": {reason: rows}}.';
comment on column imports.finished_at is 'When the reading ended.';

create table import_problems (
    import_id bigint not null references imports (import_id) on delete cascade,
    line      bigint not null,
    action    text not null check (action in ('rejected', 'repaired')),
    reason    text not null,
    excerpt   text not null
);
create index import_problems_import on import_problems (import_id);
comment on table import_problems is 'Rows that were left out or mended, with the reason: the first thousand of a reading.';
comment on column import_problems.import_id is 'The reading.';
comment on column import_problems.line is 'Line or row number in the file, from 1.';
comment on column import_problems.action is 'rejected (left out) or repaired (kept, changed).';
comment on column import_problems.reason is 'What was wrong, in words.';
comment on column import_problems.excerpt is 'The first characters of the row.';

create table subjects (
    only_one  boolean primary key default true check (only_one),
    speaker   text not null,
    name      text not null,
    chosen_by text not null
);
comment on table subjects is 'Whose voice this twin learns: exactly one row.';
comment on column subjects.only_one is 'Always true; keeps the table at one row.';
comment on column subjects.speaker is 'As in raw_messages.speaker.';
comment on column subjects.name is 'How the twin calls itself.';
comment on column subjects.chosen_by is 'settings, rank or one-voice test.';

create table voice_tests (
    speaker      text not null,
    fingerprint  text not null,
    own_share    double precision,
    other_share  double precision,
    own_windows  int not null,
    passed       boolean,
    note         text not null,
    tested_at    timestamptz not null default now(),
    primary key (speaker, fingerprint)
);
comment on table voice_tests is 'Is the subject one person? docs/figures.md.';
comment on column voice_tests.speaker is 'The tested speaker.';
comment on column voice_tests.fingerprint is 'Hash of the texts and of the test''s settings.';
comment on column voice_tests.own_share is 'Share of windows of own unseen text attributed to the speaker.';
comment on column voice_tests.other_share is 'Share of windows of unseen other people attributed to the speaker.';
comment on column voice_tests.own_windows is 'How many windows of own unseen text there were.';
comment on column voice_tests.passed is 'Null when there was too little text to tell.';
comment on column voice_tests.note is 'The verdict in words.';
comment on column voice_tests.tested_at is 'When it was tested.';

-- features -----------------------------------------------------------------------------------

create table cleaned_messages (
    id              uuid primary key,
    source          text not null,
    conversation_id text not null,
    session_id      uuid not null,
    speaker         text not null,
    text            text not null,
    sent_at         timestamptz not null,
    ended_at        timestamptz not null,
    day             date not null,
    place           int not null,
    language        text not null,
    words           int not null,
    content_hash    text not null,
    raw_ids         uuid[] not null
);
create index cleaned_messages_day on cleaned_messages (day);
create index cleaned_messages_session on cleaned_messages (session_id, sent_at);
comment on table cleaned_messages is 'Turns: cleaned text, the messages of one burst merged.';
comment on column cleaned_messages.id is 'Identity of the burst''s first raw message.';
comment on column cleaned_messages.source is 'The source.';
comment on column cleaned_messages.conversation_id is 'The conversation.';
comment on column cleaned_messages.session_id is 'Run of messages without a long pause; identity of its first message.';
comment on column cleaned_messages.speaker is 'Who wrote it.';
comment on column cleaned_messages.text is 'Cleaned text; merged messages are separated by line breaks.';
comment on column cleaned_messages.sent_at is 'Time of the first message.';
comment on column cleaned_messages.ended_at is 'Time of the last message.';
comment on column cleaned_messages.day is 'Day of sent_at: the partition.';
comment on column cleaned_messages.place is 'Place among the conversation''s turns of the day, from 0: the order where times are equal.';
comment on column cleaned_messages.language is 'th, en, th+en, other or none (no letters).';
comment on column cleaned_messages.words is 'Words: runs of letters and digits; Thai and its like by length, four letters a word.';
comment on column cleaned_messages.content_hash is 'md5 of the text.';
comment on column cleaned_messages.raw_ids is 'raw_messages.id of every message in the turn, in order.';

create table dropped_messages (
    raw_id  uuid primary key,
    day     date not null,
    reason  text not null,
    kept_id uuid
);
create index dropped_messages_day on dropped_messages (day);
comment on table dropped_messages is 'Raw messages that cleaning left out, and why.';
comment on column dropped_messages.raw_id is 'raw_messages.id.';
comment on column dropped_messages.day is 'Its day: the partition.';
comment on column dropped_messages.reason is 'empty, system, exact_duplicate or near_duplicate.';
comment on column dropped_messages.kept_id is 'The message kept instead of a duplicate.';

-- embeddings ---------------------------------------------------------------------------------

create table message_embeddings (
    message_id   uuid not null references cleaned_messages (id) on delete cascade deferrable initially deferred,
    model        text not null,
    content_hash text not null,
    embedding    halfvec not null,
    primary key (message_id, model)
);
create index message_embeddings_content on message_embeddings (content_hash, model);
comment on table message_embeddings is 'One vector a turn and model. HNSW: a partial index for each model.';
comment on column message_embeddings.message_id is 'cleaned_messages.id.';
comment on column message_embeddings.model is 'Model reference and the first digits of its hash.';
comment on column message_embeddings.content_hash is 'Of the text that was embedded; a change is embedded again.';
comment on column message_embeddings.embedding is 'Unit-length vector in half precision.';

-- instruct -----------------------------------------------------------------------------------

create table instruct_pairs (
    id              uuid primary key,
    day             date not null,
    source          text not null,
    conversation_id text not null,
    session_id      uuid not null,
    partner         text not null,
    replied_at      timestamptz not null,
    context         jsonb not null,
    input           text not null,
    reply           text not null,
    language        text not null,
    quality         real not null,
    quality_parts   jsonb not null,
    excluded        text,
    message_ids     uuid[] not null
);
create index instruct_pairs_day on instruct_pairs (day);
comment on table instruct_pairs is 'Context, the partner''s message and the subject''s real reply.';
comment on column instruct_pairs.id is 'Identity of the reply''s turn.';
comment on column instruct_pairs.day is 'Day of the reply: the partition.';
comment on column instruct_pairs.source is 'The source.';
comment on column instruct_pairs.conversation_id is 'The conversation.';
comment on column instruct_pairs.session_id is 'The session; splits never cut one.';
comment on column instruct_pairs.partner is 'Pseudonym of who wrote the input.';
comment on column instruct_pairs.replied_at is 'When the reply was sent.';
comment on column instruct_pairs.context is 'Previous turns, oldest first: [{"role": "user"|"assistant", "content": text}].';
comment on column instruct_pairs.input is 'The partner''s message.';
comment on column instruct_pairs.reply is 'The subject''s reply.';
comment on column instruct_pairs.language is 'Language of the reply.';
comment on column instruct_pairs.quality is 'Sum of the parts, 0 to 10.';
comment on column instruct_pairs.quality_parts is 'Named parts of the score, 0 to 2 each.';
comment on column instruct_pairs.excluded is 'Why it may not be trained on; null when it may.';
comment on column instruct_pairs.message_ids is 'raw_messages.id of every message in context, input and reply.';

create table datasets (
    version     text primary key,
    subject     text not null,
    settings    jsonb not null,
    train       int not null,
    validation  int not null,
    test        int not null,
    purged      jsonb not null,
    train_until timestamptz not null,
    test_from   timestamptz not null,
    path        text not null,
    created_at  timestamptz not null default now(),
    chosen_at   timestamptz not null default clock_timestamp()
);
comment on table datasets is 'Frozen versions of the instruct dataset.';
comment on column datasets.version is 'Hash of content and settings, 12 hexadecimal digits.';
comment on column datasets.subject is 'The subject''s speaker name.';
comment on column datasets.settings is 'The settings that shaped it.';
comment on column datasets.train is 'Pairs in the train split.';
comment on column datasets.validation is 'Pairs in the validation split.';
comment on column datasets.test is 'Pairs in the test split.';
comment on column datasets.purged is 'Pairs left out, counted by reason.';
comment on column datasets.train_until is 'Last reply of the train split.';
comment on column datasets.test_from is 'First reply of the test split.';
comment on column datasets.path is 'Folder with the files, relative to the state folder.';
comment on column datasets.created_at is 'When it was first made.';
comment on column datasets.chosen_at is 'When it last became the current one; the latest is.';

create table dataset_pairs (
    version text not null references datasets (version) on delete cascade,
    pair_id uuid not null,
    split   text not null check (split in ('train', 'validation', 'test')),
    primary key (version, pair_id)
);
comment on table dataset_pairs is 'Which pair stands in which split: lineage of a dataset.';
comment on column dataset_pairs.version is 'The dataset.';
comment on column dataset_pairs.pair_id is 'instruct_pairs.id.';
comment on column dataset_pairs.split is 'train, validation or test.';

-- training, evaluation, promotion --------------------------------------------------------------

create table adapters (
    adapter_id      text primary key,
    dataset_version text not null references datasets (version),
    base_model      text not null,
    base_hash       text not null,
    config          jsonb not null,
    code_version    text not null,
    path            text not null,
    metrics         jsonb not null,
    mlflow_run_id   text not null,
    created_at      timestamptz not null default now(),
    chosen_at       timestamptz not null default clock_timestamp()
);
comment on table adapters is 'Trained LoRA adapters.';
comment on column adapters.adapter_id is 'Hash of dataset, base model, configuration and code version.';
comment on column adapters.dataset_version is 'What it was trained on.';
comment on column adapters.base_model is 'Model reference of the base.';
comment on column adapters.base_hash is 'Hash of the base''s weights.';
comment on column adapters.config is 'Training settings.';
comment on column adapters.code_version is 'Version of the training code.';
comment on column adapters.path is 'Folder, relative to the state folder.';
comment on column adapters.metrics is 'Losses, steps, tokens, seconds.';
comment on column adapters.mlflow_run_id is 'The MLflow run.';
comment on column adapters.created_at is 'When training ended.';
comment on column adapters.chosen_at is 'When it last became the current one; the latest is.';

create table evaluations (
    evaluation_id text primary key,
    adapter_id    text not null references adapters (adapter_id) on delete cascade,
    champion_id   text,
    metrics       jsonb not null,
    path          text not null,
    created_at    timestamptz not null default now(),
    chosen_at     timestamptz not null default clock_timestamp()
);
comment on table evaluations is 'What an adapter reaches on sessions nobody has trained on.';
comment on column evaluations.evaluation_id is 'Hash of adapter, champion, frozen test set and settings.';
comment on column evaluations.adapter_id is 'The evaluated adapter.';
comment on column evaluations.champion_id is 'The champion''s adapter it was compared with; null when there was none.';
comment on column evaluations.metrics is 'Every figure with its interval, ceiling and controls.';
comment on column evaluations.path is 'Folder with replies and plots, relative to the state folder.';
comment on column evaluations.created_at is 'When it was measured.';
comment on column evaluations.chosen_at is 'When it last became the current one; the latest is.';

create table core_candidates (
    memory_id     uuid primary key,
    title         text not null,
    content       text not null,
    importance    real not null,
    parts         jsonb not null,
    sessions      int not null,
    first_said_at timestamptz not null,
    last_said_at  timestamptz not null,
    message_ids   uuid[] not null
);
comment on table core_candidates is 'Statements of the subject that may become core memories.';
comment on column core_candidates.memory_id is 'Identity made of the normalised content.';
comment on column core_candidates.title is 'What kind of statement it is.';
comment on column core_candidates.content is 'The statement, in the subject''s words.';
comment on column core_candidates.importance is 'Weighted sum of the parts, 0 to 1.';
comment on column core_candidates.parts is 'Named parts of the importance, 0 to 1 each.';
comment on column core_candidates.sessions is 'Distinct sessions it was said in.';
comment on column core_candidates.first_said_at is 'First time it was said.';
comment on column core_candidates.last_said_at is 'Last time it was said.';
comment on column core_candidates.message_ids is 'raw_messages.id of every message that says it.';

create table releases (
    release_id    bigint generated always as identity primary key,
    adapter_id    text not null references adapters (adapter_id),
    evaluation_id text not null references evaluations (evaluation_id),
    model_version int not null,
    status        text not null check (status in ('challenger', 'refused', 'champion', 'retired')),
    verdict       jsonb not null,
    created_at    timestamptz not null default now(),
    promoted_at   timestamptz,
    unique (evaluation_id)
);
create unique index releases_one_champion on releases (status) where status = 'champion';
comment on table releases is 'Adapter and core memories that serve, or ask to serve, together.';
comment on column releases.release_id is 'Counter.';
comment on column releases.adapter_id is 'The adapter.';
comment on column releases.evaluation_id is 'The evaluation the gate judged.';
comment on column releases.model_version is 'Version in the MLflow registry.';
comment on column releases.status is 'challenger, refused, champion or retired.';
comment on column releases.verdict is 'Each condition of the gate: passed, figure, limit, words.';
comment on column releases.created_at is 'When it was registered.';
comment on column releases.promoted_at is 'When it became champion.';

create table core_memories (
    release_id    bigint not null references releases (release_id) on delete cascade,
    memory_id     uuid not null,
    title         text not null,
    content       text not null,
    importance    real not null,
    parts         jsonb not null,
    sessions      int not null,
    first_said_at timestamptz not null,
    last_said_at  timestamptz not null,
    message_ids   uuid[] not null,
    primary key (release_id, memory_id)
);
comment on table core_memories is 'Core memories of a release; the champion''s are the ones in force.';
comment on column core_memories.release_id is 'The release they were promoted with.';
comment on column core_memories.memory_id is 'As in core_candidates.';
comment on column core_memories.title is 'What kind of statement it is.';
comment on column core_memories.content is 'The statement, in the subject''s words.';
comment on column core_memories.importance is 'Importance when promoted, 0 to 1.';
comment on column core_memories.parts is 'Named parts of the importance, 0 to 1 each.';
comment on column core_memories.sessions is 'Distinct sessions it was said in.';
comment on column core_memories.first_said_at is 'First time it was said.';
comment on column core_memories.last_said_at is 'Last time it was said.';
comment on column core_memories.message_ids is 'raw_messages.id of every message that says it.';
