-- What the subject picked as their own reply, without knowing which was which.

create table blind_choices (
    evaluation_id text not null references evaluations (evaluation_id) on delete cascade,
    pair_id       uuid not null,
    shown         text[] not null check (cardinality(shown) = 3 and shown @> '{real,twin,base}'),
    chosen        text not null check (chosen in ('real', 'twin', 'base', 'unsure')),
    seconds       real not null check (seconds >= 0),
    chosen_at     timestamptz not null default clock_timestamp(),
    primary key (evaluation_id, pair_id)
);
comment on table blind_choices is 'Which of three replies to an unseen context the owner took for the real one.';
comment on column blind_choices.evaluation_id is 'The evaluation whose replies were shown.';
comment on column blind_choices.pair_id is 'instruct_pairs.id of the exchange.';
comment on column blind_choices.shown is 'The order on the page: a permutation of real, twin and base.';
comment on column blind_choices.chosen is 'real, twin or base; unsure where the owner could not tell.';
comment on column blind_choices.seconds is 'From when the page was first shown to the choice.';
comment on column blind_choices.chosen_at is 'When it was chosen.';
