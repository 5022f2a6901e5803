-- Retrievers that learned the person: what they do to the vector of a question, which one is in
-- force, and, for questions with slips of the pen, how the words of the index are spelled.

create table retrievers (
    retriever_id text primary key,
    model        text not null,
    dimensions   int not null check (dimensions > 0),
    rank         int not null check (rank > 0),
    weights      bytea not null,
    recipe       text not null unique,
    learned_from text not null,
    message_ids  uuid[] not null,
    figures      jsonb not null,
    passed       boolean not null,
    verdict      text not null,
    replaced     text,
    learned_at   timestamptz not null default clock_timestamp(),
    in_force_since timestamptz,
    check (octet_length(weights) = 8 * dimensions * rank)
);
create index retrievers_messages on retrievers using gin (message_ids);
comment on table retrievers is 'Adapters of question vectors that learned which past exchange makes a reply likelier. No entry is embedded anew for one.';
comment on column retrievers.retriever_id is 'Hash of its recipe and weights.';
comment on column retrievers.model is 'Embedding model of the vectors it adapts; of another one it does nothing.';
comment on column retrievers.dimensions is 'Length of such a vector.';
comment on column retrievers.rank is 'Directions it looks at, and moves a vector in.';
comment on column retrievers.weights is 'Two matrices of shape (rank, dimensions), float32, little-endian: what it looks at, and where it moves.';
comment on column retrievers.recipe is 'Hash of what it was learned from and how: dataset, history, embedding model, language model.';
comment on column retrievers.learned_from is 'datasets.version whose train split it learned from.';
comment on column retrievers.message_ids is 'raw_messages.id of all that it learned from: when one is erased, so is the retriever.';
comment on column retrievers.figures is 'What the trial on unseen contexts measured, and how much was learned from.';
comment on column retrievers.passed is 'Whether the gate lets it into force.';
comment on column retrievers.verdict is 'The gate''s sentence.';
comment on column retrievers.replaced is 'The retriever that was in force when this one came into force; null for the encoder as it is.';
comment on column retrievers.learned_at is 'When.';
comment on column retrievers.in_force_since is 'When it came into force last; null when it never did.';

alter table search_state add column retriever text references retrievers (retriever_id);
comment on column search_state.retriever is 'The learned retriever in force; null for the encoder as it is. A change of it raises the version.';

create table search_words (
    word text primary key,
    term int not null
);
create index search_words_spelled on search_words using gin (word gin_trgm_ops);
create index search_words_term on search_words (term);
comment on table search_words is 'How the words of indexed texts are spelled, each once, so that a word no entry holds can be taken for one that is spelled like it.';
comment on column search_words.word is 'In small letters, as it was written.';
comment on column search_words.term is 'search_terms.term of its stem.';

create function forget_words() returns trigger language plpgsql as $$
begin
    delete from search_words using (
        select term from search_terms
        where around <= 0 and term in (select unnest(terms) from stale)
    ) as unused where search_words.term = unused.term;
    return null;
end
$$;
comment on function forget_words() is 'Words that stood in deleted entries alone go with them.';
create trigger entries_deleted_words after delete on search_entries
    referencing old table as stale for each statement execute function forget_words();

insert into search_queue (kind, ref)
select distinct 'session', session_id from search_entries where session_id is not null
on conflict (kind, ref) do nothing;
insert into search_queue (kind, ref)
select 'memory', memory_id from search_entries where memory_id is not null
on conflict (kind, ref) do nothing;
