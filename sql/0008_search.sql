-- The search index: one row for each turn and each memory, with its words weighted for BM25 and its
-- vectors, a queue of what must be indexed anew, and a version that changes with every change.

create table search_state (
    only_one      boolean primary key default true check (only_one),
    version       bigint not null default 0,
    model         text not null default '',
    weighing      int not null default 0,
    own_mean      double precision not null default 0,
    around_mean   double precision not null default 0,
    entries       bigint not null default 0,
    own_length    bigint not null default 0,
    around_length bigint not null default 0
);
insert into search_state default values;
comment on table search_state is 'One row: the version of all that a search reads, and the sums that BM25 needs. Kept by triggers.';
comment on column search_state.only_one is 'Always true; keeps the table at one row.';
comment on column search_state.version is 'Rises with every transaction that changes an entry or a memory: what was found under another version is stale.';
comment on column search_state.model is 'Embedding model of all entries; empty while there are none, and while they are embedded anew.';
comment on column search_state.weighing is 'Number of the present weighing: rises when the mean lengths that BM25 is made with are taken anew.';
comment on column search_state.own_mean is 'Mean own_length that the present weighing is made with; 0 before the first.';
comment on column search_state.around_mean is 'Its mean around_length.';
comment on column search_state.entries is 'Rows of search_entries.';
comment on column search_state.own_length is 'Sum of their own_length.';
comment on column search_state.around_length is 'Sum of their around_length.';

create table search_queue (
    kind      text not null check (kind in ('session', 'memory')),
    ref       uuid not null,
    queued_at timestamptz not null default clock_timestamp(),
    primary key (kind, ref)
);
comment on table search_queue is 'What changed since it was indexed: sessions with a turn that came, changed or went, and memories.';
comment on column search_queue.kind is 'session (cleaned_messages.session_id) or memory (memories.memory_id).';
comment on column search_queue.ref is 'Which one.';
comment on column search_queue.queued_at is 'Since when it waits; moved on when it changes once more.';

create table search_entries (
    entry_id      bigint generated always as identity primary key,
    message_id    uuid unique references cleaned_messages (id) deferrable initially deferred,
    memory_id     uuid unique references memories (memory_id) deferrable initially deferred,
    session_id    uuid,
    place         int,
    speaker       text not null,
    source        text,
    type          text not null,
    day           date not null,
    sent_at       timestamptz not null,
    ended_at      timestamptz not null,
    model         text not null,
    content_hash  text not null,
    own_length    int not null check (own_length >= 0),
    around_length int not null check (around_length >= own_length),
    weighing      int not null,
    words         int not null check (words >= 0),
    asks          boolean not null,
    answers       boolean not null,
    own_terms     int[] not null,
    terms         int[] not null,
    own           sparsevec not null,
    around        sparsevec not null,
    own_vector    halfvec not null,
    around_vector halfvec not null,
    check (num_nonnulls(message_id, memory_id) = 1),
    check ((message_id is null) = (session_id is null)),
    check ((message_id is null) = (place is null))
) with (toast_tuple_target = 8160);
create index search_entries_session on search_entries (session_id, place) where session_id is not null;
create index search_entries_terms on search_entries using gin (terms) with (fastupdate = off);
create index search_entries_day on search_entries (day);
comment on table search_entries is 'What can be found: a turn, in itself and with the turns around it, or a memory.';
comment on column search_entries.entry_id is 'Counter.';
comment on column search_entries.message_id is 'cleaned_messages.id of a turn.';
comment on column search_entries.memory_id is 'memories.memory_id of a memory.';
comment on column search_entries.session_id is 'The turn''s session; null for a memory.';
comment on column search_entries.place is 'The turn''s place in its session, from 0; null for a memory.';
comment on column search_entries.speaker is 'Who said it, or whom the memory is about.';
comment on column search_entries.source is 'The turn''s source; null for a memory.';
comment on column search_entries.type is 'message, or the memory''s type.';
comment on column search_entries.day is 'Day of the turn, or of what the memory was last said.';
comment on column search_entries.sent_at is 'When the turn began, or the memory was first said.';
comment on column search_entries.ended_at is 'When the turn ended, or the memory was last said.';
comment on column search_entries.model is 'Embedding model of both vectors.';
comment on column search_entries.content_hash is 'md5 of both texts that were indexed.';
comment on column search_entries.own_length is 'Terms of the entry itself.';
comment on column search_entries.around_length is 'Terms of the entry with the turns around it; of a memory the same.';
comment on column search_entries.weighing is 'search_state.weighing by which own and around are weighed.';
comment on column search_entries.words is 'Words of the text, by the spaces between them.';
comment on column search_entries.asks is 'Whether it asks something.';
comment on column search_entries.answers is 'Whether the turn before it asks something.';
comment on column search_entries.own_terms is 'Distinct terms of the entry itself, each a number (retrieval.ranking.lexical).';
comment on column search_entries.terms is 'Distinct terms of the entry with the turns around it.';
comment on column search_entries.own is 'By term what it adds to BM25 before its rarity, of the entry itself.';
comment on column search_entries.around is 'The same of the entry with the turns around it.';
comment on column search_entries.own_vector is 'Unit-length vector of the entry itself.';
comment on column search_entries.around_vector is 'Of the entry with the turns around it; of a memory the same. HNSW: a partial index for each model, over the sum of both vectors.';

create table search_terms (
    term   int primary key,
    own    int not null,
    around int not null
) with (fillfactor = 70);
comment on table search_terms is 'In how many entries a term stands. Kept by triggers.';
comment on column search_terms.term is 'The term''s number.';
comment on column search_terms.own is 'Entries that hold it themselves.';
comment on column search_terms.around is 'Entries that hold it with the turns around them.';

-- Whoever writes an entry locks the state's row first and waits for nothing else while holding it, so
-- that writers queue up there and never block each other crosswise.
create function entries_came() returns trigger language plpgsql as $$
begin
    update search_state set version = version + 1,
        entries = entries + came.number, own_length = search_state.own_length + came.own,
        around_length = search_state.around_length + came.around
    from (select count(*) as number, coalesce(sum(own_length), 0) as own,
                 coalesce(sum(around_length), 0) as around from fresh) as came
    where came.number > 0;
    insert into search_terms (term, own, around)
    select term, sum(own), sum(around) from (
        select unnest(own_terms) as term, 1 as own, 0 as around from fresh
        union all
        select unnest(terms), 0, 1 from fresh
    ) as counted group by term order by term
    on conflict (term) do update
    set own = search_terms.own + excluded.own, around = search_terms.around + excluded.around;
    return null;
end
$$;
comment on function entries_came() is 'Counts new entries, and new contents of entries.';
create function entries_went() returns trigger language plpgsql as $$
begin
    update search_state set version = version + 1,
        entries = entries - gone.number, own_length = search_state.own_length - gone.own,
        around_length = search_state.around_length - gone.around
    from (select count(*) as number, coalesce(sum(own_length), 0) as own,
                 coalesce(sum(around_length), 0) as around from stale) as gone
    where gone.number > 0;
    insert into search_terms (term, own, around)
    select term, -sum(own), -sum(around) from (
        select unnest(own_terms) as term, 1 as own, 0 as around from stale
        union all
        select unnest(terms), 0, 1 from stale
    ) as counted group by term order by term
    on conflict (term) do update
    set own = search_terms.own + excluded.own, around = search_terms.around + excluded.around;
    return null;
end
$$;
comment on function entries_went() is 'Takes entries that went, and former contents of entries, out of the counts.';
create trigger entries_inserted after insert on search_entries
    referencing new table as fresh for each statement execute function entries_came();
create trigger entries_deleted after delete on search_entries
    referencing old table as stale for each statement execute function entries_went();
create trigger entries_updated_from after update on search_entries
    referencing old table as stale for each statement execute function entries_went();
create trigger entries_updated_to after update on search_entries
    referencing new table as fresh for each statement execute function entries_came();

create table retrieval_figures (
    measured_at   timestamptz primary key default clock_timestamp(),
    index_version bigint not null,
    model         text not null,
    settings      jsonb not null,
    entries       bigint not null,
    questions     int not null,
    recall_at_10  double precision,
    ci_low        double precision,
    ci_high       double precision,
    evidence      double precision,
    p50_ms        double precision,
    p95_ms        double precision,
    p99_ms        double precision,
    words         text not null
);
comment on table retrieval_figures is 'How well and how fast this history is searched, each time it was measured.';
comment on column retrieval_figures.measured_at is 'When.';
comment on column retrieval_figures.index_version is 'search_state.version then.';
comment on column retrieval_figures.model is 'Embedding model.';
comment on column retrieval_figures.settings is 'The settings it was measured with.';
comment on column retrieval_figures.entries is 'What could be found.';
comment on column retrieval_figures.questions is 'Known-item questions that were asked.';
comment on column retrieval_figures.recall_at_10 is 'Share of them whose turn was among the first ten; null when none could be asked.';
comment on column retrieval_figures.ci_low is 'Lower end of its 95 % interval.';
comment on column retrieval_figures.ci_high is 'Upper end of its 95 % interval.';
comment on column retrieval_figures.evidence is 'Share whose turn stood in a context of 2,000 tokens.';
comment on column retrieval_figures.p50_ms is 'Median of the whole path from text to context, milliseconds.';
comment on column retrieval_figures.p95_ms is 'Its 95th percentile.';
comment on column retrieval_figures.p99_ms is 'Its 99th percentile.';
comment on column retrieval_figures.words is 'What was asked and what ran beside it, in words.';

create function queue_sessions() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into search_queue (kind, ref) select distinct 'session', session_id from fresh order by 2
        on conflict (kind, ref) do update set queued_at = excluded.queued_at;
    elsif tg_op = 'DELETE' then
        insert into search_queue (kind, ref) select distinct 'session', session_id from stale order by 2
        on conflict (kind, ref) do update set queued_at = excluded.queued_at;
        perform from search_state for update;
        delete from search_entries using stale where search_entries.message_id = stale.id;
    else
        insert into search_queue (kind, ref)
        select 'session', session_id from (select session_id from stale union select session_id from fresh) as touched
        order by 2
        on conflict (kind, ref) do update set queued_at = excluded.queued_at;
    end if;
    return null;
end
$$;
comment on function queue_sessions() is 'Queues the sessions of turns that came, changed or went; of those that went the entries go at once.';
create trigger turns_inserted after insert on cleaned_messages
    referencing new table as fresh for each statement execute function queue_sessions();
create trigger turns_updated after update on cleaned_messages
    referencing old table as stale new table as fresh for each statement execute function queue_sessions();
create trigger turns_deleted after delete on cleaned_messages
    referencing old table as stale for each statement execute function queue_sessions();

create function queue_memories() returns trigger language plpgsql as $$
begin
    update search_state set version = version + 1 where exists (select from fresh);
    insert into search_queue (kind, ref) select 'memory', memory_id from fresh order by 2
    on conflict (kind, ref) do update set queued_at = excluded.queued_at;
    delete from search_entries using fresh
    where search_entries.memory_id = fresh.memory_id and fresh.status <> 'active';
    return null;
end
$$;
comment on function queue_memories() is 'Queues memories that came or changed; what is known of them counts at once, and what is no longer active is no longer found.';
create function drop_memories() returns trigger language plpgsql as $$
begin
    update search_state set version = version + 1 where exists (select from stale);
    delete from search_entries using stale where search_entries.memory_id = stale.memory_id;
    return null;
end
$$;
comment on function drop_memories() is 'Takes the entries of memories that went out of the index.';
create trigger memories_inserted after insert on memories
    referencing new table as fresh for each statement execute function queue_memories();
create trigger memories_updated after update on memories
    referencing new table as fresh for each statement execute function queue_memories();
create trigger memories_deleted after delete on memories
    referencing old table as stale for each statement execute function drop_memories();

insert into search_queue (kind, ref) select distinct 'session', session_id from cleaned_messages;
insert into search_queue (kind, ref) select 'memory', memory_id from memories;
