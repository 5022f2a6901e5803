"""What happened in a session, without a language model: its topics and the lines that tell most.

Topics are the words said in most of its lines. A line is worth what it says of the topics (the
logarithm of the lines that hold a word, summed, over the root of its length), and more when it
tells something of its speaker; once told, a word counts no more (SumBasic, Nenkova and Vanderwende
2005). Nothing but the session is looked at, so a day comes out the same alone and among others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from twin_pipelines.memory.extraction.short_term import topic_words
from twin_pipelines.persona.statements.patterns import QUESTION

MOST_LINES = 4
MOST_TOPICS = 8
LINE_CHARS = 240
FEWEST_WORDS = 4  # of a line that is not short of its worth
TELLS = 1.5  # worth of telling something of oneself
TITLE_WORDS = 3
_LONG_NAME = 24  # characters; a longer one is an identifier
EPISODES: dict[str, Any] = {
    "session_id": pl.String,
    "source": pl.String,
    "conversation_id": pl.String,
    "day": pl.Date,
    "first_at": pl.Datetime("us", "UTC"),
    "last_at": pl.Datetime("us", "UTC"),
    "people": pl.List(pl.String),
    "speaker_turns": pl.List(pl.UInt32),
    "turns": pl.UInt32,
    "words": pl.Int64,
    "telling": pl.Int64,
    "message_ids": pl.List(pl.String),
    "topics": pl.List(pl.String),
    "title": pl.String,
    "content": pl.String,
}


@dataclass(frozen=True)
class _Line:
    speaker: str
    text: str
    heard: list[str]
    tells: bool


def episodes_of(
    turns: pl.DataFrame,
    sentences: pl.DataFrame,
    telling: pl.DataFrame,
    names: Mapping[str, Sequence[str]],
) -> pl.DataFrame:
    """One episode (EPISODES) for each session of `turns`, by time.

    `sentences` are those of the turns (`statements.SENTENCES`), `telling` the (`session_id`,
    `speaker`, `text`) of those that tell something of their speakers, `names` what the speakers are
    called.
    """
    if turns.is_empty():
        return pl.DataFrame(schema=EPISODES)
    sessions = sessions_in(turns)
    tells = set(telling.select("session_id", "speaker", "text").iter_rows())
    lines: dict[str, list[_Line]] = {}
    heard = topic_words(sentences["text"].to_list())
    rows = sentences.select("session_id", "speaker", "text").iter_rows()
    for row, words in zip(rows, heard, strict=True):
        lines.setdefault(row[0], []).append(_Line(row[1], row[2], words, row in tells))
    told = {session: _told(own, names) for session, own in lines.items()}
    telling_lines = {session: sum(line.tells for line in own) for session, own in lines.items()}
    nothing: tuple[list[str], str] = ([], "")
    found = [told.get(session, nothing) for session in sessions["session_id"]]
    return (
        sessions.with_columns(
            pl.Series("topics", [topics for topics, _ in found], pl.List(pl.String)),
            pl.Series("content", [content for _, content in found], pl.String),
            pl.Series("telling", [telling_lines.get(key, 0) for key in sessions["session_id"]]),
        )
        .filter(pl.col("content").str.contains(r"\S"))
        .with_columns(
            pl.when(pl.col("topics").list.len() > 0)
            .then(pl.col("topics").list.head(TITLE_WORDS).list.join(", "))
            .otherwise(pl.col("content").str.slice(0, 60))
            .alias("title")
        )
        .select(list(EPISODES))
        .sort("first_at", "session_id")
    )


def name_of(speaker: str, names: Mapping[str, Sequence[str]]) -> str:
    """What a speaker is called in a memory: their name; an identifier is shortened."""
    called = next(iter(names.get(speaker, ())), speaker)
    return called if len(called) <= _LONG_NAME else called[:6]


def sessions_in(turns: pl.DataFrame) -> pl.DataFrame:
    """One row for each session of `turns`: the columns of EPISODES known without their words."""
    ordered = turns.sort("sent_at", "place")
    speakers = (
        ordered.group_by("session_id", "speaker", maintain_order=True)
        .agg(pl.len().alias("turns"))
        .group_by("session_id", maintain_order=True)
        .agg(pl.col("speaker").alias("people"), pl.col("turns").alias("speaker_turns"))
    )
    return (
        ordered.group_by("session_id", maintain_order=True)
        .agg(
            pl.col("source", "conversation_id", "day").first(),
            pl.col("sent_at").min().alias("first_at"),
            pl.col("ended_at").max().alias("last_at"),
            pl.len().alias("turns"),
            pl.col("words").sum().cast(pl.Int64),
            pl.col("raw_ids")
            .list.explode(keep_nulls=False, empty_as_null=False)
            .alias("message_ids"),
        )
        .join(speakers, on="session_id")
    )


def _told(lines: Sequence[_Line], names: Mapping[str, Sequence[str]]) -> tuple[list[str], str]:
    """Topics and content of one session."""
    spread = Counter(word for line in lines for word in line.heard)
    weights = {word: math.log(said) for word, said in spread.items() if said > 1}
    topics = [
        word
        for word, _ in spread.most_common(4 * MOST_TOPICS)
        if word in weights and not word.isdigit()
    ]
    content = [
        f"{name_of(lines[place].speaker, names)}: {_short(lines[place].text)}"
        for place in _best_lines(lines, weights)
    ]
    return topics[:MOST_TOPICS], "\n".join(content)


def _best_lines(lines: Sequence[_Line], weights: dict[str, float]) -> list[int]:
    """Places of the lines that are kept, in order: at least one, whatever it is worth."""
    bonus = [_bonus(line) for line in lines]

    def worth(place: int) -> tuple[float, int]:
        words = lines[place].heard
        topical = sum(weights.get(word, 0.0) for word in words) / math.sqrt(len(words) or 1)
        return (topical + TELLS * lines[place].tells) * bonus[place], -place

    kept: list[int] = []
    left = set(range(len(lines)))
    while left and len(kept) < MOST_LINES:
        best = max(left, key=worth)
        if kept and worth(best)[0] <= 0:
            break
        kept.append(best)
        left.remove(best)
        for word in lines[best].heard:
            weights.pop(word, None)
    return sorted(kept)


def _bonus(line: _Line) -> float:
    """What lessens a line's worth: that it asks, or says next to nothing."""
    short = line.text.isascii() and len(line.text.split()) < FEWEST_WORDS
    return (0.5 if short else 1.0) * (0.6 if QUESTION.search(line.text) else 1.0)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= LINE_CHARS else flat[: LINE_CHARS - 1].rstrip() + "…"
