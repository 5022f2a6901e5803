-- Known items that the owner confirmed: a message that refers back, and the earlier one it means.

create table known_items (
    asking    uuid primary key,
    answering uuid,
    judged_at timestamptz not null default clock_timestamp(),
    check (asking <> answering)
);
comment on table known_items is 'Messages that refer back to earlier ones, as the owner judged them: what recall is measured on.';
comment on column known_items.asking is 'raw_messages.id of the first message of the turn that refers back.';
comment on column known_items.answering is 'raw_messages.id of the first message of the turn it means; null: none of those offered.';
comment on column known_items.judged_at is 'When.';

alter table retrieval_figures
    add column confirmed        int not null default 0,
    add column confirmed_recall double precision;
comment on column retrieval_figures.confirmed is 'Known items the owner confirmed that were asked.';
comment on column retrieval_figures.confirmed_recall is 'Share of them whose earlier turn was among the first ten; null when there are none.';
