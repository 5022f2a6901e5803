-- The order of turns is when they were said, and their place where that is the same moment. A place
-- is counted among those alone, so that a turn that comes or goes moves no other.

comment on column cleaned_messages.place is 'Place among the conversation''s turns that began at the same moment: with sent_at the order.';
comment on column search_entries.place is 'cleaned_messages.place of a turn; null for a memory.';
comment on column search_entries.content_hash is 'md5 of all that its texts are made of: the turn, and the turns before and after it.';

drop index search_entries_session;
create index search_entries_session on search_entries (session_id, sent_at, place)
    where session_id is not null;
