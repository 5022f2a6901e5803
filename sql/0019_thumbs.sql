-- Two answers of the twin to the same message, one liked and one disliked, make a preference pair.

alter table preference_pairs drop constraint preference_pairs_kind_check;
alter table preference_pairs add constraint preference_pairs_kind_check
    check (kind in ('correction', 'thumbs', 'base', 'other_person', 'style', 'never'));
comment on column preference_pairs.kind is 'What was rejected: the twin''s corrected answer, one the owner disliked, the base''s, another person''s, a rewrite against the style, or the reply with words the owner never wants to hear.';

alter table preference_pairs
    drop constraint preference_pairs_check1,
    add column liked_chat     uuid,
    add column liked_place    int,
    add column disliked_chat  uuid,
    add column disliked_place int,
    add foreign key (liked_chat, liked_place)
        references chat_turns (chat_id, place) on delete cascade,
    add foreign key (disliked_chat, disliked_place)
        references chat_turns (chat_id, place) on delete cascade,
    add check ((kind = 'thumbs') = (num_nonnulls(
        liked_chat, liked_place, disliked_chat, disliked_place) = 4)),
    add check ((kind in ('correction', 'thumbs')) = (pair_id is null));
comment on column preference_pairs.liked_chat is 'chat_turns.chat_id of the answer that is preferred; null unless kind is thumbs.';
comment on column preference_pairs.liked_place is 'chat_turns.place of it.';
comment on column preference_pairs.disliked_chat is 'chat_turns.chat_id of the answer that is turned down; null unless kind is thumbs.';
comment on column preference_pairs.disliked_place is 'chat_turns.place of it.';
