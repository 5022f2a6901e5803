"""From sessions to memories, without a language model: what happened, what somebody said of
themselves, what they felt, and what is still in mind.

Everything comes from the sessions alone and carries the messages it came from, so a day extracted
again, alone or among others, gives the same rows. Instruction-like texts and sudden bursts of
statements are quarantined.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from twin_pipelines.features.language import detect_languages
from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.memory.consolidation.conflicts import DENIED
from twin_pipelines.memory.extraction.dates import find_when
from twin_pipelines.memory.extraction.emotions import feeling_of
from twin_pipelines.memory.extraction.episodes import episodes_of
from twin_pipelines.memory.extraction.short_term import short_term_memories
from twin_pipelines.memory.importance import measure, weigh
from twin_pipelines.memory.records import MEMORIES, memory_identity
from twin_pipelines.memory.suspicion import quarantine, quarantine_bursts
from twin_pipelines.persona.statements.find import (
    HABIT,
    PLAN,
    StatementFinder,
    content_words,
    sentences_of,
    statements_in,
)
from twin_pipelines.settings import Memory

ANSWER_CHARS = 280
FEELINGS = "Feelings"
LONGING = "longing"
SESSION = "session"
# Share of hand-checked memories of a kind that were right, drawn towards that of all by ten items;
# see docs/memory-extraction.md.
CONFIDENCE = {
    "Work and study": 0.96,
    "Likes": 0.94,
    "Dislikes and fears": 0.94,
    "Who I am": 0.94,
    PLAN: 0.87,
    "Family and relations": 0.84,
    "Home": 0.84,
    HABIT: 0.75,
}
USUAL_CONFIDENCE = 0.89

# What is no plan by its kind has a day to come only when it says so.
AHEAD = re.compile(
    r"^(?!.*\b(?:last|ago|was|were|used to|moved|got|did|went|had|been|loved|lived)\b)"
    r".*\b(?:will|going to|gonna|turn|next|tomorrow|graduate|getting|coming|leaving|starting)\b"
    r"|^(?!.*(?:เมื่อ|แล้ว)).*(?:จะ|พรุ่งนี้|หน้า|กำลัง)"
)

Names = Mapping[str, Sequence[str]]


def extract(
    turns: pl.DataFrame, subject: str, names: Names, memory: Memory, in_mind: Collection[str] = ()
) -> pl.DataFrame:
    """Memories (MEMORIES) of the sessions in `turns`, by time; `day` is the session's first.

    `turns` (columns of `cleaned_messages`) holds whole sessions; `names` are what speakers call
    themselves besides "I" and the name they write under. One episode a session is about the
    subject, or, without them, about who spoke first; a statement and a feeling are about who said
    it. Of the sessions `in_mind` there is an extract besides (`short_term_memories`).
    """
    if turns.is_empty():
        return pl.DataFrame(schema=MEMORIES)
    sentences = sentences_of(turns)
    statements = statements_in(sentences, names)
    moments = moments_in(sentences, names)
    telling = pl.concat(
        found.select("session_id", "speaker", "text") for found in (statements, moments)
    )
    episodes = episodes_of(turns, sentences, telling, names)
    felt = moments.filter(pl.col("kind") != LONGING).select("session_id", "speaker", "bare")
    statements = pl.concat(
        [
            statements.filter(pl.col("kind") != FEELINGS),
            statements.filter(pl.col("kind") == FEELINGS).join(
                felt, on=felt.columns, how="anti", maintain_order="left"
            ),
        ]
    )
    made = pl.concat(
        [
            statement_memories(statements, episodes, memory),
            _moment_memories(moments, episodes, memory),
            _episode_memories(episodes, subject, memory),
            short_term_memories(
                turns.filter(pl.col("session_id").is_in(list(in_mind))),
                subject,
                memory.short_term_hours,
            ),
        ]
    ).sort("first_at", "type", "memory_id")
    return quarantine_bursts(quarantine(made))


def moments_in(sentences: pl.DataFrame, names: Names) -> pl.DataFrame:
    """Sentences (SENTENCES) that tell a strong feeling, with `kind` (the emotion), `bare`, `gist`,
    `intensity` and `cue`."""
    finders = {
        speaker: StatementFinder([speaker, *names.get(speaker, ())])
        for speaker in sentences["speaker"].unique()
    }
    rows = sentences.select("speaker", "text", "normal").iter_rows()
    bare = [finders[speaker].bare(normal) for speaker, _, normal in rows]
    found = [feeling_of(*pair) for pair in zip(sentences["text"], bare, strict=True)]
    return (
        sentences.with_columns(
            pl.Series("bare", bare, pl.String),
            pl.Series("kind", [one and one.emotion for one in found], pl.String),
            pl.Series("intensity", [one and one.intensity for one in found], pl.Float64),
            pl.Series("cue", [one and one.cue for one in found], pl.String),
        )
        .filter(pl.col("kind").is_not_null())
        .with_columns(pl.col("bare").map_elements(content_words, pl.List(pl.String)).alias("gist"))
    )


def statement_memories(
    statements: pl.DataFrame, episodes: pl.DataFrame, memory: Memory, origin: str = "extracted"
) -> pl.DataFrame:
    """One memory (MEMORIES) for each thing a speaker says of themselves in a session.

    `statements` are `statements.statements_in`; `episodes` those of their sessions.
    """
    said = _said(statements, [pl.col("gist").first()])
    found = [
        find_when(normal, day) if kind == PLAN or AHEAD.search(normal) else None
        for kind, normal, day in said.select("kind", "normal", "day").iter_rows()
    ]
    told = said.with_columns(
        pl.Series("when", [one and one.words for one in found], pl.String),
        pl.Series("precision", [one and one.precision for one in found], pl.String),
        pl.Series("happens_on", [one and one.day for one in found], pl.Date),
        _confidence(),
    )
    weighed = weigh(measure(told).with_columns(repetition=pl.lit(0.0)), memory.weights)
    details = weighed.select("bare", "gist", "denied", "answer", "said", "when", "precision")
    return _memories(weighed, episodes, "episodic", origin, details.to_dicts())


def _moment_memories(moments: pl.DataFrame, episodes: pl.DataFrame, memory: Memory) -> pl.DataFrame:
    """A feeling matters by its strength and by what it is about."""
    felt = _said(moments, [pl.col("intensity").max(), pl.col("cue", "gist").first()])
    told = felt.with_columns(
        pl.lit(None, pl.Date).alias("happens_on"), pl.lit(USUAL_CONFIDENCE).alias("confidence")
    )
    measured = measure(told).with_columns(
        pl.col("intensity").alias("emotion"),
        self_reference=0.5 * pl.col("intensity"),
        specificity=1 - (pl.col("gist").list.len() / -3.0).exp(),
    )
    weighed = weigh(measured, memory.weights)
    details = weighed.select(
        pl.col("kind").alias("emotion"), "intensity", "cue", "bare", "gist", "denied", "answer"
    )
    return _memories(weighed, episodes, "emotional", "extracted", details.to_dicts())


def _episode_memories(episodes: pl.DataFrame, subject: str, memory: Memory) -> pl.DataFrame:
    """An episode matters by what its people tell of themselves there and by its topics."""
    about = (
        pl.when(pl.col("people").list.contains(subject))
        .then(pl.lit(subject))
        .otherwise(pl.col("people").list.first())
    )
    told = episodes.with_columns(
        about.alias("speaker"),
        pl.lit(SESSION).alias("kind"),
        pl.col("content").alias("text"),
        normal_text(pl.col("content")).alias("bare"),
        pl.lit(None, pl.String).alias("answer"),
        pl.lit(None, pl.Date).alias("happens_on"),
        pl.lit(1.0).alias("confidence"),
    )
    details = [
        {
            "turns": row["turns"],
            "words": row["words"],
            "topics": row["topics"],
            "ended_at": row["last_at"].isoformat(),
            "speakers": dict(zip(row["people"], row["speaker_turns"], strict=True)),
        }
        for row in episodes.iter_rows(named=True)
    ]
    measured = measure(told).with_columns(
        self_reference=0.5 * (1 - (-pl.col("telling") / 2).exp()),
        specificity=1 - (pl.col("topics").list.len() / -3.0).exp(),
        partner_reaction=pl.lit(None, pl.Float64),
    )
    return _memories(weigh(measured, memory.weights), episodes, "episodic", "extracted", details)


def _said(found: pl.DataFrame, more: list[pl.Expr]) -> pl.DataFrame:
    """What a speaker says in a session with the same words, as one row."""
    return (
        found.group_by("session_id", "speaker", "kind", "bare", maintain_order=True)
        .agg(
            pl.col("text", "normal", "day").first(),
            pl.col("said_at").min().alias("first_at"),
            pl.col("said_at").max().alias("last_at"),
            pl.col("message_ids")
            .list.explode(keep_nulls=False, empty_as_null=False)
            .unique(maintain_order=True),
            pl.col("answer").drop_nulls().first().str.slice(0, ANSWER_CHARS),
            pl.len().alias("said"),
            *more,
        )
        .with_columns(
            pl.col("bare").str.contains(DENIED).alias("denied"), pl.col("kind").alias("title")
        )
    )


def _confidence() -> pl.Expr:
    return (
        pl.col("kind")
        .replace_strict(CONFIDENCE, default=USUAL_CONFIDENCE, return_dtype=pl.Float64)
        .alias("confidence")
    )


def _memories(
    told: pl.DataFrame,
    episodes: pl.DataFrame,
    type: str,
    origin: str,
    details: Sequence[dict[str, Any]],
) -> pl.DataFrame:
    """Rows of MEMORIES; `told` has the importance and says when, by whom and in which session."""
    session = episodes.select(
        "session_id",
        pl.col("day").alias("session_day"),
        pl.col("people").alias("session_people"),
        pl.format("{}/{}", "source", "conversation_id").alias("conversation"),
    )
    rows = told.join(session, on="session_id", maintain_order="left")
    keys = rows.select("speaker", "kind", "session_id", "bare").iter_rows()
    places = rows.select("session_id", "conversation").iter_rows(named=True)
    written = [
        json.dumps(place | detail, ensure_ascii=False)
        for place, detail in zip(places, details, strict=True)
    ]
    return rows.select(
        pl.Series("memory_id", [_identity(type, *key) for key in keys], pl.String),
        pl.lit(type).alias("type"),
        "kind",
        "title",
        pl.col("text").alias("content"),
        pl.col("speaker").alias("about"),
        pl.col("session_people").alias("people"),
        detect_languages(rows["text"]).alias("language"),
        "importance",
        "importance_parts",
        pl.col("confidence").cast(pl.Float32),
        pl.lit(1).alias("sessions"),
        pl.col("session_day").alias("day"),
        "first_at",
        "last_at",
        *(pl.lit(None, MEMORIES[name]).alias(name) for name in ("valid_from", "valid_until")),
        pl.lit(None, pl.String).alias("superseded_by"),
        "happens_on",
        pl.lit("active").alias("status"),
        pl.lit("").alias("status_reason"),
        pl.lit(False).alias("pinned"),
        pl.lit(origin).alias("origin"),
        pl.lit(None, pl.String).alias("source_ref"),
        "message_ids",
        pl.lit([], pl.List(pl.String)).alias("source_ids"),
        pl.Series("details", written, pl.String),
    ).select(pl.col(name).cast(dtype) for name, dtype in MEMORIES.items())


def _identity(type: str, about: str, kind: str, session: str, bare: str) -> str:
    return memory_identity(type, about, kind, session if kind == SESSION else f"{session}/{bare}")
