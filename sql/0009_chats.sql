-- What was said to the twin and what it answered: kept only where the request names a chat, so that
-- the twin can go on where it stopped, and for longer than its short-term memory only with consent, so
-- that it can learn what it did not know, and be corrected.

create table chats (
    chat_id     uuid primary key,
    consented   boolean not null,
    partner     text not null,
    summary     text not null default '',
    summarised  int not null default 0 check (summarised >= 0),
    started_at  timestamptz not null default clock_timestamp(),
    last_at     timestamptz not null default clock_timestamp()
);
create index chats_last on chats (last_at);
comment on table chats is 'Chats with the twin; the active ones are its short-term memory.';
comment on column chats.chat_id is 'Identity, chosen by the client or made for it.';
comment on column chats.consented is 'Whether what is said may become messages of the history; without it the chat goes when it is out of mind.';
comment on column chats.partner is 'Who talks with the twin.';
comment on column chats.summary is 'Of the turns before `summarised`.';
comment on column chats.summarised is 'Turns, from the first, that are out of the window: the summary holds them, or they are out of mind.';
comment on column chats.started_at is 'When it began.';
comment on column chats.last_at is 'When something was last said.';

create table chat_turns (
    chat_id    uuid not null references chats (chat_id) on delete cascade,
    place      int not null check (place >= 0),
    role       text not null check (role in ('user', 'assistant')),
    content    text not null,
    said_at    timestamptz not null default clock_timestamp(),
    backend    text not null default '',
    release    text not null default '',
    adapter_id text,
    prompt     jsonb,
    memory_ids uuid[] not null default '{}',
    thumb      smallint check (thumb in (-1, 1)),
    landed     boolean not null default false,
    primary key (chat_id, place)
);
create index chat_turns_not_landed on chat_turns (said_at) where not landed;
comment on table chat_turns is 'What was said in a chat, turn by turn.';
comment on column chat_turns.chat_id is 'The chat.';
comment on column chat_turns.place is 'Place in the chat, from 0.';
comment on column chat_turns.role is 'user or assistant (the twin).';
comment on column chat_turns.content is 'What was said.';
comment on column chat_turns.said_at is 'When.';
comment on column chat_turns.backend is 'What answered; empty for the user''s turns.';
comment on column chat_turns.release is 'Name of the release that answered; empty for the user''s turns.';
comment on column chat_turns.adapter_id is 'The adapter that answered; null where none did.';
comment on column chat_turns.prompt is 'Messages the answer was asked with, for a correction; null for the user''s turns.';
comment on column chat_turns.memory_ids is 'memories.memory_id of what stood in the prompt.';
comment on column chat_turns.thumb is 'The owner''s opinion of an answer: 1 or -1; null without one.';
comment on column chat_turns.landed is 'Whether it became a message of the history.';

create table never_says (
    never_id      uuid primary key default gen_random_uuid(),
    phrase        text not null check (btrim(phrase) <> ''),
    reason        text not null default '',
    correction_id uuid references corrections (id) on delete cascade,
    made_at       timestamptz not null default clock_timestamp()
);
create unique index never_says_phrase on never_says (lower(phrase));
comment on table never_says is 'Words the owner never wants to hear from the twin.';
comment on column never_says.never_id is 'Identity.';
comment on column never_says.phrase is 'The words.';
comment on column never_says.reason is 'Why, in the owner''s words.';
comment on column never_says.correction_id is 'The correction they came with; null for others.';
comment on column never_says.made_at is 'When.';
