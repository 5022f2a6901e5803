-- What became of the pairs a dataset was frozen from, and which adapters learnt what was erased since.

alter table dataset_pairs
    add column message_ids  uuid[] not null default '{}',
    add column content_hash text;
comment on column dataset_pairs.message_ids is 'raw_messages.id of every message in context, input and reply when it was frozen.';
comment on column dataset_pairs.content_hash is 'pair_hash of the pair as it was frozen; null: not recorded, so an edit cannot be told.';
update dataset_pairs set message_ids = coalesce(
    (select known.message_ids from instruct_pairs as known where known.id = pair_id),
    array[pair_id]);

create function pair_hash(context jsonb, input text, reply text) returns text
language sql immutable parallel safe
return md5(context::text || chr(31) || input || chr(31) || reply);
comment on function pair_hash(jsonb, text, text) is 'Identity of what a pair says: context, message and reply.';

create table dataset_erasures (
    version    text not null references datasets (version) on delete cascade,
    erasure_id text not null,
    part       text not null
               check (part in ('train', 'validation', 'test', 'corrections', 'prompt')),
    number     int not null check (number > 0),
    erased_at  timestamptz not null default clock_timestamp(),
    primary key (version, erasure_id, part)
);
comment on table dataset_erasures is 'How much of a frozen dataset was erased since; nothing of what it said.';
comment on column dataset_erasures.version is 'The dataset.';
comment on column dataset_erasures.erasure_id is 'The erasure.';
comment on column dataset_erasures.part is 'A split; corrections: among its preference pairs; prompt: in what stands before every chat.';
comment on column dataset_erasures.number is 'Pairs, corrections or prompts.';
comment on column dataset_erasures.erased_at is 'When.';

create table adapter_blocks (
    adapter_id      text not null references adapters (adapter_id) on delete cascade,
    erasure_id      text not null,
    reason          text not null check (btrim(reason) <> ''),
    blocked_at      timestamptz not null default clock_timestamp(),
    allowed_by      text,
    allowed_because text,
    allowed_at      timestamptz,
    document        text,
    signature       text,
    primary key (adapter_id, erasure_id),
    check (num_nulls(allowed_by, allowed_because, allowed_at, document, signature) in (0, 5))
);
comment on table adapter_blocks is 'Adapters that learnt what was erased since: they answer nobody unless somebody signed for it.';
comment on column adapter_blocks.adapter_id is 'The adapter.';
comment on column adapter_blocks.erasure_id is 'The erasure.';
comment on column adapter_blocks.reason is 'Why, in words that quote nothing.';
comment on column adapter_blocks.blocked_at is 'Since when.';
comment on column adapter_blocks.allowed_by is 'Who allows it to answer all the same; null: nobody, it is blocked.';
comment on column adapter_blocks.allowed_because is 'Why, in their words.';
comment on column adapter_blocks.allowed_at is 'When it was allowed.';
comment on column adapter_blocks.document is 'What was signed, as JSON: all of the above.';
comment on column adapter_blocks.signature is 'HMAC-SHA256 of the document under the key of the state folder, hexadecimal.';

create view blocked_adapters as
select adapter_id, string_agg(reason, '; ' order by blocked_at, erasure_id) as reason,
       min(blocked_at) as blocked_at
from adapter_blocks where allowed_at is null group by adapter_id;
comment on view blocked_adapters is 'Adapters that answer nobody, and why.';

create function told_of_erasure(part text, number int) returns text
language sql immutable parallel safe
return case part when 'prompt' then 'in its prompt' when 'corrections' then number || ' of its corrections'
                 else format('%s of %s', number, part) end;
comment on function told_of_erasure(text, int) is 'Rows of dataset_erasures in words.';

-- A training that was under way during the erasure leaves its adapter afterwards: whoever comes second
-- waits at the lock and sees what the first one wrote. Corrections are no part of a dataset's version:
-- what is trained on it later has learnt none of those that went.
create function block_what_learnt_it() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtext('adapter_blocks'));
    insert into adapter_blocks (adapter_id, erasure_id, reason)
    select adapter_id, erasure_id, format('it learnt what was erased (%s)',
               string_agg(told_of_erasure(part, number), ', ' order by part))
    from fresh join adapters on dataset_version = version
    where part in ('train', 'validation', 'prompt') or part = 'corrections' and metrics ? 'preferences'
    group by adapter_id, erasure_id
    on conflict (adapter_id, erasure_id) do update set reason = excluded.reason;
    return null;
end
$$;
comment on function block_what_learnt_it() is 'Blocks every adapter whose dataset held what was erased.';
create trigger dataset_erasures_inserted after insert on dataset_erasures
    referencing new table as fresh for each statement execute function block_what_learnt_it();
create trigger dataset_erasures_updated after update on dataset_erasures
    referencing new table as fresh for each statement execute function block_what_learnt_it();

create function block_what_came_late() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtext('adapter_blocks'));
    insert into adapter_blocks (adapter_id, erasure_id, reason)
    select adapter_id, erasure_id, format('it learnt what was erased (%s)',
               string_agg(told_of_erasure(part, number), ', ' order by part))
    from fresh join dataset_erasures on version = dataset_version
    where part in ('train', 'validation', 'prompt')
    group by adapter_id, erasure_id
    on conflict do nothing;
    return null;
end
$$;
comment on function block_what_came_late() is 'Blocks an adapter that was being trained while its dataset was erased.';
create trigger adapters_inserted after insert on adapters
    referencing new table as fresh for each statement execute function block_what_came_late();

create function tell_of_blocks() returns trigger language plpgsql as $$
begin
    perform pg_notify('twin_release', 'blocks');
    return null;
end
$$;
comment on function tell_of_blocks() is 'Tells servers that what may answer has changed.';
create trigger adapter_blocks_changed after insert or update or delete on adapter_blocks
    for each row execute function tell_of_blocks();
