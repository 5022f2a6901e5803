"""The Dagster door of the room: how the subject writes, what they like, who they are."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import polars as pl
import psycopg

from twin_pipelines.features.refresh import slices
from twin_pipelines.features.store import load_session_turns, load_turns, raw_volume
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.markdown import markdown_table
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.persona import store
from twin_pipelines.persona.identity import store as identity_store
from twin_pipelines.persona.identity.compose import hand_written, regenerated, sections_of
from twin_pipelines.persona.identity.facts import Vocabularies, weighed_facts
from twin_pipelines.persona.identity.told import generated_lines, not_in_a_list
from twin_pipelines.persona.never_says import never_section
from twin_pipelines.persona.never_says_store import phrases
from twin_pipelines.persona.preferences import STANCES, find_stances, settled
from twin_pipelines.persona.replies.exchanges import REPLIES, replies_of
from twin_pipelines.persona.replies.situations import SITUATIONS
from twin_pipelines.persona.replies.templates import templates_of
from twin_pipelines.persona.statements.find import STATEMENTS, find_statements
from twin_pipelines.persona.style import store as style_store
from twin_pipelines.persona.style.background import (
    others_habits,
    others_vocabulary,
    reserved,
    strangers,
    turns_of,
)
from twin_pipelines.persona.style.measure import begun
from twin_pipelines.persona.style.plots import as_markdown, draw_style, draw_vocabulary
from twin_pipelines.persona.style.rules import in_words
from twin_pipelines.persona.style.table import StyleTally, style_rows, with_examples
from twin_pipelines.persona.style.vocabulary import (
    add_terms,
    characteristic,
    frequent_phrases,
    others_terms,
    own_terms,
)
from twin_pipelines.persona.traits.standing import (
    TRAITS,
    WRITTEN,
    TooLittle,
    in_language,
    main_language,
    people_to_compare,
    traits_of,
)
from twin_pipelines.sources.store import counts, subject

_SHOWN = 30
TERM_KINDS = {
    "word": "words",
    "phrase": "phrases",
    "emoji": "emoji",
    "never": "words never used",
}
_OF_SITUATION = 5  # templates of a situation that are shown


@dg.asset(
    group_name="persona",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="1",
    deps=[dg.AssetDep("cleaned_messages", partition_mapping=dg.AllPartitionMapping())],
)
def response_templates(
    context: dg.AssetExecutionContext, twin: TwinResource
) -> dg.MaterializeResult:
    """What the subject keeps answering, by what the partner did: replies that recur, with slots.

    A template stands with the situations that call for it, how often it was used there, in how many
    sessions, and with the messages that show it.
    """
    with twin.connect() as connection:
        who = subject(connection)
        found = [pl.DataFrame(schema=REPLIES)]
        for part in _history(connection):
            turns = load_session_turns(connection, part)
            replies = replies_of(turns, who.speaker)
            found.append(replies.filter(pl.col("day").is_between(part.first, part.last)))
            context.log.info(f"{part.first} to {part.last}: {found[-1].height} replies")
        replies = pl.concat(found)
        templates = templates_of(replies)
        store.rewrite_table(connection, "response_templates", templates)
        connection.commit()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": templates.height,
            "replies": replies.height,
            "replies with a template": _covered(templates, replies),
            "templates by situation": dg.MetadataValue.md(_situations(templates, replies)),
            "most used": dg.MetadataValue.md(_templates(templates)),
        }
    )


@dg.asset(
    group_name="persona",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="1",
    deps=[dg.AssetDep("cleaned_messages", partition_mapping=dg.AllPartitionMapping())],
)
def preferences(context: dg.AssetExecutionContext, twin: TwinResource) -> dg.MaterializeResult:
    """What everybody likes, dislikes, does, values and plans, as they said it, with a confidence.

    Where somebody said the opposite later, both are kept and the older one has an end.
    """
    with twin.connect() as connection:
        who = subject(connection)
        found = [pl.DataFrame(schema=STANCES)]
        for part in _history(connection):
            turns = load_turns(connection, part)
            found.append(find_stances(turns, {who.speaker: [who.name]}))
            context.log.info(f"{part.first} to {part.last}: {found[-1].height} statements")
        stances = pl.concat(found)
        learnt = settled(stances)
        store.rewrite_table(connection, "preferences", learnt)
        connection.commit()
    own = learnt.filter(pl.col("speaker") == who.speaker)
    held = own.filter(pl.col("valid_until").is_null())
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": learnt.height,
            "of the subject": own.height,
            "of others": learnt.height - own.height,
            "contradicted": learnt["contradicted_by"].drop_nulls().len(),
            "statements": stances.height,
            "surest of the subject": dg.MetadataValue.md(
                markdown_table(
                    held.head(_SHOWN)
                    .select(
                        "category",
                        "preference_key",
                        "preference_value",
                        pl.col("confidence").round(2),
                        "sessions",
                    )
                    .rows(),
                    ("category", "about", "in their words", "confidence", "sessions"),
                )
            ),
        }
    )


@dg.asset(
    group_name="persona",
    kinds={"python", "numpy", "postgres"},
    owners=["team:twin"],
    code_version="1",
    deps=[dg.AssetDep("cleaned_messages", partition_mapping=dg.AllPartitionMapping())],
)
def personality_traits(
    context: dg.AssetExecutionContext, twin: TwinResource
) -> dg.MaterializeResult:
    """Big Five and basic values as tendencies of the subject's words, among other people's.

    Each with a 95 % interval, its method and its limits in words, and the messages that tell most.
    Counted words agree weakly with questionnaires; nothing here is a diagnosis. Where the subject
    or the others wrote too little of one language, nothing is said.
    """
    with twin.connect() as connection:
        who = subject(connection)
        parts = [pl.DataFrame(schema=WRITTEN)]
        for part in _history(connection):
            parts.append(load_turns(connection, part).select(*WRITTEN))
        turns = pl.concat(parts)
        language = main_language(turns.filter(pl.col("speaker") == who.speaker))
        people = people_to_compare(turns, who.speaker, language, twin.settings.persona)
        try:
            traits, why = traits_of(in_language(turns, who.speaker, language), people), ""
        except TooLittle as error:
            traits, why = pl.DataFrame(schema=TRAITS), f"Nothing was rated: {error}."
            context.log.warning(why)
        identity_store.rewrite_traits(connection, traits)
        connection.commit()
    shown = traits.select("trait", "kind", pl.col("value", "low", "high").round(2), "words")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": traits.height,
            "language": language,
            "other people": len(people),
            "told apart": traits.filter((pl.col("low") > 0) | (pl.col("high") < 0)).height,
            "tendencies": dg.MetadataValue.md(why or markdown_table(shown.rows(), shown.columns)),
        }
    )


@dg.asset(
    group_name="persona",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="1",
    deps=[
        dg.AssetDep("cleaned_messages", partition_mapping=dg.AllPartitionMapping()),
        "writing_style",
        "vocabulary",
        "response_templates",
        "preferences",
    ],
)
def core_identity(context: dg.AssetExecutionContext, twin: TwinResource) -> dg.MaterializeResult:
    """The persona page: facts by how much they predict replies, style rules, words never said.

    Versioned and cut to `persona.identity_tokens`. The hand-written page (`persona.page`), what the
    owner edited (`twin persona edit`) and their never-says come first and stay; every other line
    names its messages.
    """
    settings = twin.settings.persona
    with twin.connect() as connection:
        who = subject(connection)
        told, heard, own = [pl.DataFrame(schema=STATEMENTS)], Vocabularies(), []
        for part in _history(connection):
            turns = load_turns(connection, part)
            told.append(find_statements(turns, who.speaker, [who.name]))
            heard.hear(turns, who.speaker)
            own.append(turns.filter(pl.col("speaker") == who.speaker).select("language"))
        liked = store.load_preferences(connection, speaker=who.speaker)
        lines = generated_lines(
            facts=weighed_facts(not_in_a_list(pl.concat(told), liked), heard),
            preferences=liked,
            style=style_store.load_style(connection),
            vocabulary=style_store.load_vocabulary(connection),
            templates=store.load_templates(connection),
        )
        language = main_language(pl.concat(own)) if own else "en"
        before = identity_store.latest_identity(connection, who.speaker)
        sections = sections_of(lines, who.name, language)
        barred = never_section(phrases(connection), sections)
        made = regenerated(
            who.speaker,
            sections,
            [*hand_written(settings), *barred],
            before.page if before else None,
            settings,
        )
        stored = identity_store.save_identity(connection, made)
        connection.commit()
    renewed = before is None or stored.version > before.version
    context.log.info(f"Version {stored.version} {'made' if renewed else 'stands'}")
    return dg.MaterializeResult(
        metadata={
            "version": stored.version,
            "new version": renewed,
            "dagster/row_count": len(stored.page.lines()),
            "tokens": stored.tokens,
            "edited": stored.edited,
            **{f"{source} lines": lines for source, lines in stored.page.sources().items()},
            "owner's lines without room": sum(len(one.lines) for one in stored.page.waiting),
            "short form": stored.short_form,
            "page": dg.MetadataValue.md(stored.content),
        }
    )


@dg.asset(
    group_name="persona",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="1",
    deps=[dg.AssetDep("cleaned_messages", partition_mapping=dg.AllPartitionMapping())],
)
def writing_style(context: dg.AssetExecutionContext, twin: TwinResource) -> dg.MaterializeResult:
    """How the subject writes: length, marks, spelling, emoji, particles, languages, pace.

    Each habit as a number, with everybody, by partner and by month, beside the partners' own and
    the mean of other people, so that what is characteristic stands out; with turns that show it.
    """
    settings = twin.settings
    with twin.connect() as connection:
        who = subject(connection)
        tally = StyleTally(who.speaker)
        for part in _history(connection):
            tally.add(begun(load_session_turns(connection, part), part))
            context.log.info(f"{part.first} to {part.last}")
        people, sums = settings.persona.background_people, tally.sums()
        others = others_habits(sums, who.speaker, people, settings.cleaning)
        rows = style_rows(sums, others, who.speaker)
        chosen = tally.examples(rows)
        texts = style_store.turn_texts(connection, chosen["turn"].unique().to_list())
        rows = with_examples(rows, chosen, texts)
        style_store.rewrite_style(connection, rows)
        connection.commit()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.height,
            "other people": others["speaker"].n_unique(),
            "partners with rows": rows.filter(pl.col("partner") != "")["partner"].n_unique(),
            "what stands out": dg.MetadataValue.md(_habits(rows)),
            **_pictures(draw_style(settings.persona_dir, rows)),
        }
    )


@dg.asset(
    group_name="persona",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="1",
    deps=[dg.AssetDep("cleaned_messages", partition_mapping=dg.AllPartitionMapping())],
)
def vocabulary(context: dg.AssetExecutionContext, twin: TwinResource) -> dg.MaterializeResult:
    """Words, phrases and emoji the subject uses more than other people, and words never used.

    Weighed against the other speakers and strangers, each language for itself (log-odds with an
    informative prior).
    """
    cleaning = twin.settings.cleaning
    with twin.connect() as connection:
        who = subject(connection).speaker
        names = strangers(who, twin.settings.persona.background_people)
        own_parts, their_parts = [], []
        for part in _history(connection):
            turns = begun(load_session_turns(connection, part), part)
            own_parts.append(own_terms(turns.filter(pl.col("speaker") == who)))
            context.log.info(f"{part.first} to {part.last}: {own_parts[-1].height} terms")
        own = add_terms(own_parts)
        phrases = frequent_phrases(own)
        for part in _history(connection):
            turns = load_turns(connection, part)
            their_parts.append(others_vocabulary(turns, who, phrases, names))
        apart = turns_of(names, cleaning, [*reserved(), who]).filter(pl.col("speaker").is_in(names))
        others = pl.concat([*their_parts, others_terms(apart, phrases)])
        spoken = pl.concat([own.filter(pl.col("kind") != "phrase"), phrases])
        rows = characteristic(spoken, others)
        style_store.rewrite_vocabulary(connection, rows)
        connection.commit()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows.height,
            "other people": others["speaker"].n_unique(),
            **{
                name: dg.MetadataValue.md(_terms(rows.filter(pl.col("kind") == kind)))
                for kind, name in TERM_KINDS.items()
            },
            **_pictures(draw_vocabulary(twin.settings.persona_dir, rows)),
        }
    )


def _history(connection: psycopg.Connection) -> Iterator[DayRange]:
    """The days of the whole history, in runs that fit in memory."""
    landed = counts(connection)
    if landed.first_day and landed.last_day:
        days = DayRange(landed.first_day, landed.last_day)
        yield from slices(days, raw_volume(connection, days))


def _covered(templates: pl.DataFrame, replies: pl.DataFrame) -> float:
    """Share of the replies of which a sentence fits a template."""
    known = templates["message_ids"].explode(empty_as_null=False).unique()
    held = replies["message_ids"].list.set_intersection(known.implode()).list.len() > 0
    return float(held.mean() or 0.0)  # type: ignore[arg-type]


def _situations(templates: pl.DataFrame, replies: pl.DataFrame) -> str:
    met = dict(replies["situation"].value_counts().iter_rows())
    known = dict(templates["situation"].value_counts().iter_rows())
    rows = [(name, met.get(name, 0), known.get(name, 0)) for name in SITUATIONS]
    return markdown_table(rows, ("situation", "replies", "templates"))


def _templates(templates: pl.DataFrame) -> str:
    rows = (
        templates.group_by("situation", maintain_order=True)
        .head(_OF_SITUATION)
        .select("situation", "template", "uses", "sessions", pl.col("share").round(3))
        .rows()
    )
    return markdown_table(rows, ("situation", "template", "uses", "sessions", "share"))


def _habits(rows: pl.DataFrame) -> str:
    whole = rows.filter(pl.col("partner") == "", pl.col("period") == "").drop_nulls("distinction")
    shown = whole.sort(pl.col("distinction").abs(), descending=True).head(_SHOWN)
    return markdown_table(
        [
            (in_words(row), f"{row['distinction']:+.1f}", row["n"], (row["examples"] or [""])[0])
            for row in shown.iter_rows(named=True)
        ],
        ("habit", "standard deviations from others", "turns", "for example"),
    )


def _terms(rows: pl.DataFrame) -> str:
    columns = ("term", "uses", "sessions", "background")
    shown = rows.head(_SHOWN).select(*columns, pl.col("z").round(1))
    return markdown_table(shown.rows(), ("term", "uses", "sessions", "uses by others", "z"))


def _pictures(paths: Sequence[Path]) -> dict[str, dg.MetadataValue]:
    return {path.stem.replace("_", " "): dg.MetadataValue.md(as_markdown(path)) for path in paths}
