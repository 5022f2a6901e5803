-- What the owner decides about memory: what is never recalled again, and which words of a chat may
-- become messages of the history.

alter table memories drop constraint memories_status_check;
alter table memories add constraint memories_status_check check (status in (
    'active', 'merged', 'archived', 'quarantined', 'forgotten'));
comment on column memories.status is 'active: recalled; merged: part of another; archived: faded; quarantined: suspicious; forgotten: the owner wants it never recalled again.';

create table forgotten (
    forgotten_id bigint generated always as identity primary key,
    run_id       bigint references memory_runs (run_id) on delete cascade,
    memory_id    uuid,
    message_ids  uuid[] not null default '{}',
    hidden_ids   uuid[] not null default '{}',
    words        text not null,
    made_at      timestamptz not null default clock_timestamp(),
    check (memory_id is not null or cardinality(hidden_ids) > 0)
);
create index forgotten_run on forgotten (run_id);
comment on table forgotten is 'What the owner wants never recalled again, however it is derived anew.';
comment on column forgotten.forgotten_id is 'Counter.';
comment on column forgotten.run_id is 'The run that forgot a memory; while that is undone, the row counts for nothing. Null: only messages were hidden.';
comment on column forgotten.memory_id is 'memories.memory_id; null where only messages were hidden.';
comment on column forgotten.message_ids is 'raw_messages.id it rested on: another memory of one of them that says the same is forgotten too.';
comment on column forgotten.hidden_ids is 'raw_messages.id of the messages that say it: their turns are not found.';
comment on column forgotten.words is 'What it says, as spoken_words gives it.';
comment on column forgotten.made_at is 'When.';

create view forgetting_in_force as
select forgotten.* from forgotten left join memory_runs using (run_id) where undone_by is null;
comment on view forgetting_in_force is 'What is forgotten and was not taken back.';

create view forgotten_turns as
select distinct turn.id
from forgetting_in_force as gone cross join unnest(gone.hidden_ids) as hidden (id)
join raw_messages as raw on raw.id = hidden.id
join cleaned_messages as turn on turn.day = raw.day and turn.raw_ids @> array[raw.id];
comment on view forgotten_turns is 'cleaned_messages.id of the turns that say what is forgotten.';

create function spoken_words(said text) returns text language sql immutable parallel safe
return btrim(lower(regexp_replace(
    said, '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u2000-\u206f]+', ' ', 'g')));
comment on function spoken_words(text) is 'A text in lower case without punctuation, single spaces between: what is compared of two texts.';

create function is_forgotten(of_memory uuid, of_messages uuid[], said text) returns boolean
language sql stable as $$
    select exists (
        select from forgetting_in_force as gone
        where gone.memory_id = of_memory
           or gone.message_ids && of_messages and gone.words <> ''
              and strpos(spoken_words(said), gone.words) > 0
    )
$$;
comment on function is_forgotten(uuid, uuid[], text) is 'Whether a memory is forgotten, or rests on the same messages as one that is and says the same.';

create function keep_forgotten() returns trigger language plpgsql as $$
begin
    if new.status <> 'forgotten' and is_forgotten(new.memory_id, new.message_ids, new.content) then
        new.status := 'forgotten';
        new.status_reason := 'forgotten by the owner';
        new.pinned := false;
    end if;
    return new;
end
$$;
comment on function keep_forgotten() is 'Leaves forgotten what is forgotten, whoever derives it anew.';
create trigger forgotten_stays before insert or update on memories
    for each row execute function keep_forgotten();

-- The turns of what was just forgotten, or is remembered again, are no longer, or again, found.
create function find_otherwise() returns trigger language plpgsql as $$
begin
    insert into search_queue (kind, ref)
    select distinct 'session', turn.session_id
    from touched as gone cross join unnest(gone.hidden_ids) as hidden (id)
    join raw_messages as raw on raw.id = hidden.id
    join cleaned_messages as turn on turn.day = raw.day and turn.raw_ids @> array[raw.id]
    order by 2
    on conflict (kind, ref) do update set queued_at = excluded.queued_at;
    return null;
end
$$;
comment on function find_otherwise() is 'Queues the sessions whose turns become hidden or found again.';
create trigger forgotten_inserted after insert on forgotten
    referencing new table as touched for each statement execute function find_otherwise();
create trigger forgotten_deleted after delete on forgotten
    referencing old table as touched for each statement execute function find_otherwise();

create function forgetting_undone() returns trigger language plpgsql as $$
begin
    insert into search_queue (kind, ref)
    select distinct 'session', turn.session_id
    from fresh join stale using (run_id) join forgotten as gone using (run_id)
    cross join unnest(gone.hidden_ids) as hidden (id)
    join raw_messages as raw on raw.id = hidden.id
    join cleaned_messages as turn on turn.day = raw.day and turn.raw_ids @> array[raw.id]
    where fresh.undone_by is distinct from stale.undone_by
    order by 2
    on conflict (kind, ref) do update set queued_at = excluded.queued_at;
    return null;
end
$$;
comment on function forgetting_undone() is 'Queues the sessions of what an undo, or the undo of one, brought back or took away.';
create trigger memory_runs_updated after update on memory_runs
    referencing old table as stale new table as fresh
    for each statement execute function forgetting_undone();

alter table chat_turns add column consented boolean not null default false;
comment on column chat_turns.consented is 'Whether it was said with consent, and so may become a message of the history.';
create function consent_of_chat() returns trigger language plpgsql as $$
begin
    select chats.consented into new.consented from chats where chat_id = new.chat_id;
    new.consented := coalesce(new.consented, false);
    return new;
end
$$;
comment on function consent_of_chat() is 'A turn is said with the consent its chat has at that moment.';
create trigger consent_at_the_time before insert on chat_turns
    for each row execute function consent_of_chat();

alter table preference_pairs drop constraint preference_pairs_kind_check;
alter table preference_pairs add constraint preference_pairs_kind_check
    check (kind in ('correction', 'base', 'other_person', 'style', 'never'));
comment on column preference_pairs.kind is 'What was rejected: the twin''s corrected answer, the base''s, another person''s, a rewrite against the style, or the reply with words the owner never wants to hear.';
