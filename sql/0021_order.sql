-- The order of turns is when they were said, and their place where that is the same moment. A place
-- is counted among those alone, so that a turn that comes or goes moves no other. What came itself
-- can be indexed before what stands beside it.

comment on column cleaned_messages.place is 'Place among the conversation''s turns that began at the same moment: with sent_at the order.';
comment on column search_entries.place is 'cleaned_messages.place of a turn; null for a memory.';
comment on column search_entries.content_hash is 'Two halves of md5: of what its own text is made of, and of the turns before and after it.';

drop index search_entries_session;
create index search_entries_session on search_entries (session_id, sent_at, place)
    where session_id is not null;

alter table search_queue add column fresh boolean not null default true;
comment on column search_queue.fresh is 'Whether it may have come or changed itself; else only what stands beside it did.';
create or replace function queue_sessions() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into search_queue (kind, ref) select distinct 'session', session_id from fresh order by 2
        on conflict (kind, ref) do update set queued_at = excluded.queued_at, fresh = true;
    elsif tg_op = 'DELETE' then
        insert into search_queue (kind, ref) select distinct 'session', session_id from stale order by 2
        on conflict (kind, ref) do update set queued_at = excluded.queued_at, fresh = true;
        perform from search_state for update;
        delete from search_entries using stale where search_entries.message_id = stale.id;
    else
        insert into search_queue (kind, ref)
        select 'session', session_id from (select session_id from stale union select session_id from fresh) as touched
        order by 2
        on conflict (kind, ref) do update set queued_at = excluded.queued_at, fresh = true;
    end if;
    return null;
end
$$;
