-- Who the subject is: how they write, what they like, and the page of the prompt made of it.

create table writing_style (
    partner       text not null,
    period        text not null,
    feature       text not null,
    value         double precision not null,
    background    double precision,
    distinction   double precision,
    partner_value double precision,
    n             int not null,
    examples      text[] not null default '{}',
    message_ids   uuid[] not null default '{}',
    primary key (partner, period, feature)
);
comment on table writing_style is 'Measured habits of writing, of the subject as a whole, by partner and by time.';
comment on column writing_style.partner is 'With whom; empty: with everybody.';
comment on column writing_style.period is 'Month as YYYY-MM; empty: the whole history.';
comment on column writing_style.feature is 'Name of the habit, as in persona.style.FEATURES.';
comment on column writing_style.value is 'Its value in the unit the feature names.';
comment on column writing_style.background is 'Mean of other people; null without a background.';
comment on column writing_style.distinction is 'Distance from other people in their standard deviations; null without a background.';
comment on column writing_style.partner_value is 'The partner''s own value; with everybody: the mean over partners.';
comment on column writing_style.n is 'Turns it was measured on.';
comment on column writing_style.examples is 'Some turns that show it.';
comment on column writing_style.message_ids is 'raw_messages.id of the examples.';

create table vocabulary (
    term        text not null,
    kind        text not null check (kind in ('word', 'phrase', 'emoji', 'never')),
    language    text not null,
    uses        int not null,
    sessions    int not null,
    background  int not null,
    log_odds    double precision not null,
    z           double precision not null,
    message_ids uuid[] not null,
    primary key (term, kind)
);
comment on table vocabulary is 'Words and phrases that are characteristic of the subject, and ones they never use.';
comment on column vocabulary.term is 'The word, phrase or emoji.';
comment on column vocabulary.kind is 'word, phrase (a collocation), emoji, or never (others use it, the subject does not).';
comment on column vocabulary.language is 'th or en, or none of an emoji.';
comment on column vocabulary.uses is 'How often the subject wrote it.';
comment on column vocabulary.sessions is 'In how many sessions.';
comment on column vocabulary.background is 'How often other people wrote it.';
comment on column vocabulary.log_odds is 'Log-odds ratio against the background with an informative Dirichlet prior.';
comment on column vocabulary.z is 'The same in its standard deviations.';
comment on column vocabulary.message_ids is 'raw_messages.id of some messages with it.';

create table response_templates (
    template_id uuid primary key,
    situation   text not null,
    template    text not null,
    language    text not null,
    uses        int not null,
    sessions    int not null,
    share       double precision not null,
    examples    jsonb not null,
    message_ids uuid[] not null
);
comment on table response_templates is 'Recurring replies with slots, and the situations that call for them.';
comment on column response_templates.template_id is 'Identity made of situation and template.';
comment on column response_templates.situation is 'What the partner did: greeting, question, sad news, joke and so on.';
comment on column response_templates.template is 'The reply; what varies stands as {slot}.';
comment on column response_templates.language is 'Its language.';
comment on column response_templates.uses is 'Replies that fit it.';
comment on column response_templates.sessions is 'Distinct sessions of them.';
comment on column response_templates.share is 'Share of the subject''s replies in the situation.';
comment on column response_templates.examples is '[{"partner": text, "reply": text}]';
comment on column response_templates.message_ids is 'raw_messages.id of every reply that fits.';

create table preferences (
    preference_id    uuid primary key,
    category         varchar(50) not null,
    preference_key   varchar(100) not null,
    preference_value text not null,
    learned_from     text not null,
    confidence       double precision not null check (confidence between 0 and 1),
    created_at       timestamptz not null,
    speaker          text not null,
    polarity         smallint not null check (polarity in (-1, 0, 1)),
    sessions         int not null,
    last_said_at     timestamptz not null,
    valid_until      timestamptz,
    contradicted_by  uuid,
    message_ids      uuid[] not null
);
comment on table preferences is 'Likes, dislikes, habits and values, learnt from what was said.';
comment on column preferences.preference_id is 'Identity made of speaker, category, key and value.';
comment on column preferences.category is 'like, dislike, habit, value, favourite, plan.';
comment on column preferences.preference_key is 'What it is about, in a word or few.';
comment on column preferences.preference_value is 'What is preferred, in their words.';
comment on column preferences.learned_from is 'The sentence it was learnt from.';
comment on column preferences.confidence is 'How surely it holds, 0 to 1.';
comment on column preferences.created_at is 'When it was first said.';
comment on column preferences.speaker is 'Whose it is.';
comment on column preferences.polarity is '1 for, -1 against, 0 neither.';
comment on column preferences.sessions is 'Distinct sessions it was said in.';
comment on column preferences.last_said_at is 'When it was last said.';
comment on column preferences.valid_until is 'When the opposite was said later; null: it holds.';
comment on column preferences.contradicted_by is 'The preference that replaced it.';
comment on column preferences.message_ids is 'raw_messages.id of every message that says it.';

create table traits (
    trait       text primary key,
    kind        text not null check (kind in ('big five', 'value')),
    value       double precision not null,
    low         double precision not null,
    high        double precision not null,
    background  double precision not null,
    n           int not null,
    words       text not null,
    message_ids uuid[] not null default '{}'
);
comment on table traits is 'Big Five and values as tendencies of the written words; never a diagnosis.';
comment on column traits.trait is 'Name of the trait or value.';
comment on column traits.kind is 'big five, or value (basic values after Schwartz).';
comment on column traits.value is 'Standing among other people, in their standard deviations.';
comment on column traits.low is 'Lower end of the 95 % interval.';
comment on column traits.high is 'Upper end of the 95 % interval.';
comment on column traits.background is 'Mean of other people, in the rater''s unit.';
comment on column traits.n is 'Texts it was rated on.';
comment on column traits.words is 'What that means and what it does not, in words.';
comment on column traits.message_ids is 'raw_messages.id of the most telling messages.';

create table core_identities (
    version     bigint generated always as identity primary key,
    speaker     text not null,
    document    jsonb not null,
    content     text not null,
    short_form  text not null,
    tokens      int not null,
    edited      boolean not null,
    inputs_hash text not null,
    made_at     timestamptz not null default clock_timestamp(),
    message_ids uuid[] not null
);
create index core_identities_messages on core_identities using gin (message_ids);
comment on table core_identities is 'Versions of the persona page; the latest is the one in use.';
comment on column core_identities.version is 'Counter.';
comment on column core_identities.speaker is 'Whose.';
comment on column core_identities.document is 'Sections and lines, each with its source (generated, hand-written or edited), and what the owner took out.';
comment on column core_identities.content is 'The page as the prompt holds it.';
comment on column core_identities.short_form is 'A few words of it, for small models.';
comment on column core_identities.tokens is 'Estimated length of the content in tokens.';
comment on column core_identities.edited is 'Whether the owner changed anything of it.';
comment on column core_identities.inputs_hash is 'Of everything it was made from; the same makes no new version.';
comment on column core_identities.made_at is 'When.';
comment on column core_identities.message_ids is 'raw_messages.id of every message a line rests on.';
