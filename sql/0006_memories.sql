-- Memories: what happened, what is known, how things are done, what was felt and what is dreamt of,
-- with a journal of every deliberate change, so that each can be explained and undone.

create table memory_runs (
    run_id      bigint generated always as identity primary key,
    kind        text not null check (kind in (
                    'consolidation', 'forgetting', 'dreaming', 'procedures', 'import', 'owner', 'undo')),
    words       text not null,
    settings    jsonb not null default '{}',
    counts      jsonb not null default '{}',
    started_at  timestamptz not null default clock_timestamp(),
    undone_by   bigint references memory_runs (run_id)
);
comment on table memory_runs is 'One row for each transaction that changed memories deliberately.';
comment on column memory_runs.run_id is 'Counter; `twin memory undo` takes it.';
comment on column memory_runs.kind is 'What was done.';
comment on column memory_runs.words is 'What was done, in one sentence.';
comment on column memory_runs.settings is 'The settings it was done with.';
comment on column memory_runs.counts is 'Memories made, changed and retired, by name.';
comment on column memory_runs.started_at is 'When.';
comment on column memory_runs.undone_by is 'The run that took it back; null while it stands.';

create table memories (
    memory_id        uuid primary key,
    type             text not null check (type in (
                         'short_term', 'episodic', 'emotional', 'knowledge', 'core', 'procedural', 'dream')),
    kind             text not null,
    title            text not null,
    content          text not null check (content ~ '\S'),
    about            text not null,
    people           text[] not null default '{}',
    language         text not null default 'none',
    importance       real not null check (importance between 0 and 1),
    importance_parts jsonb not null default '{}',
    confidence       real not null check (confidence between 0 and 1),
    sessions         int not null default 1 check (sessions >= 0),
    day              date,
    first_at         timestamptz not null,
    last_at          timestamptz not null,
    valid_from       timestamptz,
    valid_until      timestamptz,
    superseded_by    uuid,
    happens_on       date,
    status           text not null default 'active' check (status in (
                         'active', 'merged', 'archived', 'quarantined')),
    status_reason    text not null default '',
    pinned           boolean not null default false,
    imagined         boolean generated always as (type = 'dream') stored,
    origin           text not null check (origin in (
                         'extracted', 'llm', 'consolidated', 'imported', 'reflected', 'owner')),
    source_ref       text,
    message_ids      uuid[] not null default '{}',
    source_ids       uuid[] not null default '{}',
    details          jsonb not null default '{}',
    check (last_at >= first_at),
    check (valid_until is null or valid_from is null or valid_until >= valid_from),
    check (cardinality(message_ids) > 0 or cardinality(source_ids) > 0
           or source_ref is not null or origin = 'owner')
);
create index memories_day on memories (day, type) where day is not null;
create index memories_type on memories (type, status);
create index memories_messages on memories using gin (message_ids);
create index memories_sources on memories using gin (source_ids);
comment on table memories is 'Everything remembered, one row each, whatever its type.';
comment on column memories.memory_id is 'Stable identity: the same content from the same evidence keeps it.';
comment on column memories.type is 'short_term, episodic, emotional, knowledge, core, procedural or dream.';
comment on column memories.kind is 'Kind within the type, as Likes, Home, session, joy, hope, comforting.';
comment on column memories.title is 'A few words for a list.';
comment on column memories.content is 'What is remembered, in words; of the subject, in their own where that is possible.';
comment on column memories.about is 'Speaker whom it is about, as in cleaned_messages.';
comment on column memories.people is 'Speakers who took part.';
comment on column memories.language is 'Language of the content, as in cleaned_messages.';
comment on column memories.importance is 'Weighted sum of the parts, 0 to 1.';
comment on column memories.importance_parts is 'Named parts of the importance, 0 to 1 each.';
comment on column memories.confidence is 'How surely it is so, 0 to 1.';
comment on column memories.sessions is 'Distinct sessions it was said in.';
comment on column memories.day is 'The partition it was extracted from; null where it is made from the whole history.';
comment on column memories.first_at is 'First time it was said or happened.';
comment on column memories.last_at is 'Last time it was said or happened.';
comment on column memories.valid_from is 'Since when it is true; null: unknown.';
comment on column memories.valid_until is 'When it ceased to be true or, of a short-term memory, fades; null: still true.';
comment on column memories.superseded_by is 'The memory that replaced it when it ceased to be true.';
comment on column memories.happens_on is 'The day a plan or promise is about.';
comment on column memories.status is 'active: recalled; merged: part of another; archived: faded; quarantined: suspicious.';
comment on column memories.status_reason is 'Why it has this status, in words and numbers.';
comment on column memories.pinned is 'Whether the owner keeps it whatever happens.';
comment on column memories.imagined is 'Whether it never happened: dreams are no facts.';
comment on column memories.origin is 'extracted, llm, consolidated, imported, reflected or owner.';
comment on column memories.source_ref is 'Row of the table it was imported from, as table/id.';
comment on column memories.message_ids is 'raw_messages.id of every message it rests on.';
comment on column memories.source_ids is 'memories.memory_id of the memories it was made of.';
comment on column memories.details is 'What only its type has: emotion and intensity, steps, fulfilment.';

create table memory_changes (
    run_id    bigint not null references memory_runs (run_id) on delete cascade,
    memory_id uuid not null,
    before    jsonb,
    after     jsonb,
    place     bigint generated always as identity,
    primary key (run_id, place)
);
create index memory_changes_memory on memory_changes (memory_id);
comment on table memory_changes is 'What each run did to each memory: the row before and after.';
comment on column memory_changes.run_id is 'The run.';
comment on column memory_changes.memory_id is 'The memory.';
comment on column memory_changes.before is 'The row before; null: it was made.';
comment on column memory_changes.after is 'The row after; null: it was removed.';
comment on column memory_changes.place is 'Order of the changes.';

-- Writes the journal of the run named by the transaction's setting twin.memory_run. What is derived
-- from a day's messages alone (extraction) names none: deriving it again is its undo.
create function journal_memories() returns trigger language plpgsql as $$
declare
    run bigint := nullif(current_setting('twin.memory_run', true), '')::bigint;
begin
    if run is null then
        return null;
    end if;
    if tg_op = 'INSERT' then
        insert into memory_changes (run_id, memory_id, before, after)
        select run, memory_id, null, to_jsonb(fresh) - 'imagined' from fresh;
    elsif tg_op = 'DELETE' then
        insert into memory_changes (run_id, memory_id, before, after)
        select run, memory_id, to_jsonb(stale) - 'imagined', null from stale;
    else
        insert into memory_changes (run_id, memory_id, before, after)
        select run, stale.memory_id, to_jsonb(stale) - 'imagined', to_jsonb(fresh) - 'imagined'
        from stale join fresh using (memory_id) where stale is distinct from fresh;
    end if;
    return null;
end
$$;
create trigger journal_insert after insert on memories
    referencing new table as fresh for each statement execute function journal_memories();
create trigger journal_update after update on memories
    referencing old table as stale new table as fresh for each statement execute function journal_memories();
create trigger journal_delete after delete on memories
    referencing old table as stale for each statement execute function journal_memories();

create table memory_recalls (
    memory_id        uuid primary key references memories (memory_id) on delete cascade,
    recalls          int not null check (recalls > 0),
    last_recalled_at timestamptz not null
);
comment on table memory_recalls is 'How often a memory was recalled; apart from memories, because it changes with every answer.';
comment on column memory_recalls.memory_id is 'The memory.';
comment on column memory_recalls.recalls is 'How often.';
comment on column memory_recalls.last_recalled_at is 'Last time.';

create table memory_embeddings (
    memory_id    uuid not null references memories (memory_id) on delete cascade,
    model        text not null,
    content_hash text not null,
    embedding    halfvec not null,
    primary key (memory_id, model)
);
comment on table memory_embeddings is 'One vector a memory and model.';
comment on column memory_embeddings.memory_id is 'The memory.';
comment on column memory_embeddings.model is 'Model reference and the first digits of its hash.';
comment on column memory_embeddings.content_hash is 'md5 of the content that was embedded; a change is embedded again.';
comment on column memory_embeddings.embedding is 'Unit-length vector in half precision.';

create table memory_words (
    memory_id    uuid primary key references memories (memory_id) on delete cascade,
    content_hash text not null,
    words        tsvector not null,
    length       int not null
);
create index memory_words_words on memory_words using gin (words);
comment on table memory_words is 'The words a memory is found by: stems, and of Thai the words of the dictionary.';
comment on column memory_words.memory_id is 'The memory.';
comment on column memory_words.content_hash is 'md5 of the content they were taken from; a change is indexed again.';
comment on column memory_words.words is 'Each word once, without positions.';
comment on column memory_words.length is 'How many different words.';

create table consolidated_speakers (
    about       text primary key,
    fingerprint text not null
);
comment on table consolidated_speakers is 'What consolidation has seen of each speaker, so that only what changed is looked at again.';
comment on column consolidated_speakers.about is 'The speaker, as in memories.';
comment on column consolidated_speakers.fingerprint is 'Hash of all they said of themselves and of the settings.';
