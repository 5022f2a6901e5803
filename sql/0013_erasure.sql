-- Erasure: what was asked to be forgotten, what keeps it from coming back, and what came back and was
-- kept out. Nothing here names anybody or says what was said, but `erasing`, which is empty unless an
-- erasure is on its way.

create table erasure_salt (
    only_one boolean primary key default true check (only_one),
    salt     bytea not null
);
insert into erasure_salt (salt) values (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
comment on table erasure_salt is 'One row: what is hashed with every value that an erasure keeps.';
comment on column erasure_salt.only_one is 'Always true; keeps the table at one row.';
comment on column erasure_salt.salt is 'Random bytes, made with the database.';

create function erasure_hash(salt bytea, kind text, said text) returns bytea
language sql stable parallel safe
return sha256(salt || convert_to(kind || chr(31) || said, 'UTF8'));
comment on function erasure_hash(bytea, text, text) is 'A value as an erasure keeps it.';

create function message_hash(salt bytea, speaker text, said text, sent_at timestamptz) returns bytea
language sql stable parallel safe
return sha256(salt || convert_to(concat_ws(
    chr(31), 'message', speaker, floor(date_part('epoch', sent_at))::bigint, btrim(said)), 'UTF8'));
comment on function message_hash(bytea, text, text, timestamptz) is 'A message as an erasure keeps it: whatever its source calls it, and to the second.';

create table erasures (
    erasure_id   uuid primary key default gen_random_uuid(),
    kind         text not null check (kind in ('message', 'conversation', 'person', 'source', 'range')),
    request_hash text not null,
    reason       text not null default '',
    asked_by     text not null,
    keep_serving boolean not null default false,
    stage        text not null default 'removed' check (stage in ('removed', 'cleansed', 'derived', 'done')),
    days         date[] not null default '{}',
    removed      jsonb not null default '{}',
    before       jsonb not null default '{}',
    affected     jsonb not null default '{}',
    asked_at     timestamptz not null default clock_timestamp(),
    finished_at  timestamptz,
    verified     boolean
);
create unique index erasures_unfinished on erasures ((true)) where stage <> 'done';
comment on table erasures is 'What was erased at somebody''s request; at most one is unfinished.';
comment on column erasures.erasure_id is 'Identity; the receipt carries it.';
comment on column erasures.kind is 'message, conversation, person, source or range: the first of what was named.';
comment on column erasures.request_hash is 'Salted hash of all that was named, hexadecimal.';
comment on column erasures.reason is 'Why, in the words of who asked; never what was named.';
comment on column erasures.asked_by is 'Who ran it.';
comment on column erasures.keep_serving is 'Whether models that saw it may go on serving, by the owner''s word.';
comment on column erasures.stage is 'removed: all rows are gone; cleansed: the files too; derived: the days are derived anew; done: searched for and receipted.';
comment on column erasures.days is 'Days that are derived anew.';
comment on column erasures.removed is 'Rows removed or rewritten, by table.';
comment on column erasures.before is 'Rows of these tables before.';
comment on column erasures.affected is '{"datasets": [version], "adapters": [adapter_id], "releases": [release_id], "retrievers": [id]}';
comment on column erasures.asked_at is 'When.';
comment on column erasures.finished_at is 'When the receipt was written.';
comment on column erasures.verified is 'Whether nothing of it was found afterwards; null before the search.';

create table erasing (
    erasure_id uuid not null references erasures (erasure_id) on delete cascade,
    kind       text not null check (kind in ('message', 'pair', 'session', 'text')),
    ref        uuid,
    text       text,
    check (num_nonnulls(ref, text) = 1)
);
create index erasing_kind on erasing (erasure_id, kind);
alter table erasing alter column text set statistics 0; -- else its words would stay in pg_statistic
comment on table erasing is 'What an unfinished erasure still has to look for in files; empty once it is done.';
comment on column erasing.erasure_id is 'The erasure.';
comment on column erasing.kind is 'message (raw_messages.id), pair (instruct_pairs.id), session (cleaned_messages.session_id) or text.';
comment on column erasing.ref is 'Which one; null of a text.';
comment on column erasing.text is 'A text that is erased; null of the others.';

create table tombstones (
    ref        uuid primary key,
    erasure_id uuid not null references erasures (erasure_id),
    content    bytea,
    words      bytea
);
create index tombstones_content on tombstones (content) where content is not null;
create index tombstones_words on tombstones (words) where words is not null;
comment on table tombstones is 'What was erased and may not come back: identities and salted hashes.';
comment on column tombstones.ref is 'raw_messages.id, or memories.memory_id of an imported memory.';
comment on column tombstones.erasure_id is 'The erasure.';
comment on column tombstones.content is 'message_hash: the same message under another name; null of a memory, and of what a rule kept out.';
comment on column tombstones.words is 'erasure_hash of what it says (spoken_words), where that is long enough to be nobody else''s.';

create table erasure_rules (
    erasure_id   uuid primary key references erasures (erasure_id),
    speaker      bytea,
    source       bytea,
    conversation bytea,
    first_day    date,
    last_day     date,
    check (num_nonnulls(speaker, source, conversation, first_day, last_day) > 0)
);
comment on table erasure_rules is 'What is erased should it come later: a row that fits all that a rule names.';
comment on column erasure_rules.erasure_id is 'The erasure.';
comment on column erasure_rules.speaker is 'erasure_hash of a speaker; null: whoever.';
comment on column erasure_rules.source is 'erasure_hash of a source; null: any.';
comment on column erasure_rules.conversation is 'erasure_hash of a conversation; null: any.';
comment on column erasure_rules.first_day is 'First day; null: from the beginning.';
comment on column erasure_rules.last_day is 'Last day; null: to the end.';

create table kept_out (
    erasure_id uuid not null references erasures (erasure_id),
    came_at    timestamptz not null default clock_timestamp(),
    rows       int not null check (rows > 0)
);
create index kept_out_erasure on kept_out (erasure_id);
comment on table kept_out is 'Rows that came back after an erasure and were not let in, one row each time.';
comment on column kept_out.erasure_id is 'The erasure.';
comment on column kept_out.came_at is 'When.';
comment on column kept_out.rows is 'How many.';

-- Whatever lands a message, an import, a takeover, a change, a chat or a row set aside, ends here.
create function keep_out_messages() returns trigger language plpgsql as $$
declare
    key bytea;
begin
    if not exists (select from tombstones) and not exists (select from erasure_rules) then
        return null;
    end if;
    select salt into key from erasure_salt;
    with named as materialized (
        select source, conversation_id, speaker, erasure_hash(key, 'speaker', speaker) as speaker_hash,
               erasure_hash(key, 'source', source) as source_hash,
               erasure_hash(key, 'conversation', conversation_id) as conversation_hash
        from (select distinct source, conversation_id, speaker from landed) as names
        where exists (select from erasure_rules)
    ), caught as (
        select landed.id, tombstones.erasure_id from landed join tombstones on ref = landed.id
        union all
        select landed.id, tombstones.erasure_id from landed
        join tombstones on content = message_hash(key, speaker, text, sent_at)
        union all
        select landed.id, rule.erasure_id
        from erasure_rules as rule join named
          on (rule.speaker is null or rule.speaker = named.speaker_hash)
         and (rule.source is null or rule.source = named.source_hash)
         and (rule.conversation is null or rule.conversation = named.conversation_hash)
        join landed on landed.source = named.source and landed.speaker = named.speaker
                   and landed.conversation_id = named.conversation_id
        where (rule.first_day is null or landed.day >= rule.first_day)
          and (rule.last_day is null or landed.day <= rule.last_day)
    ), one as (
        select distinct on (id) id, erasure_id from caught order by id, erasure_id
    ), gone as (
        delete from raw_messages using one where raw_messages.id = one.id
        returning one.id, one.erasure_id
    ), known as (
        insert into tombstones (ref, erasure_id) select id, erasure_id from gone order by id
        on conflict (ref) do nothing
    )
    insert into kept_out (erasure_id, rows) select erasure_id, count(*) from gone group by erasure_id;
    return null;
end
$$;
comment on function keep_out_messages() is 'Takes out what was erased and came again, in the same statement.';
create trigger raw_messages_inserted_erased after insert on raw_messages
    referencing new table as landed for each statement execute function keep_out_messages();
create trigger raw_messages_updated_erased after update on raw_messages
    referencing new table as landed for each statement execute function keep_out_messages();

create function keep_out_memory() returns trigger language plpgsql as $$
declare
    key bytea;
    erased uuid;
begin
    if not exists (select from tombstones) and not exists (select from erasure_rules) then
        return new;
    end if;
    select salt into key from erasure_salt;
    select erasure_id into erased from tombstones
    where ref = new.memory_id or ref = any(new.message_ids)
       or words in (
           erasure_hash(key, 'words', spoken_words(new.content)),
           erasure_hash(key, 'words', spoken_words(regexp_replace(new.content, '^[^:]*: ', ''))))
    limit 1;
    if erased is null then
        select erasure_id into erased from erasure_rules as rule
        where rule.conversation is null
          and (rule.speaker is null or rule.speaker in (
              select erasure_hash(key, 'speaker', name) from unnest(new.about || new.people) as name))
          and (rule.source is null or rule.source in (
              erasure_hash(key, 'source', split_part(new.source_ref, '/', 1)),
              erasure_hash(key, 'source', 'memories:' || split_part(new.source_ref, '/', 1))))
          and (rule.first_day is null or (new.first_at at time zone 'UTC')::date >= rule.first_day)
          and (rule.last_day is null or (new.first_at at time zone 'UTC')::date <= rule.last_day)
        limit 1;
    end if;
    if erased is null then
        return new;
    end if;
    insert into tombstones (ref, erasure_id) values (new.memory_id, erased) on conflict do nothing;
    insert into kept_out (erasure_id, rows) values (erased, 1);
    return null;
end
$$;
comment on function keep_out_memory() is 'Keeps out a memory that is imported again after it was erased, or says what was, be it after its title.';
create trigger imported_after_erasure before insert or update on memories
    for each row when (new.origin = 'imported') execute function keep_out_memory();
