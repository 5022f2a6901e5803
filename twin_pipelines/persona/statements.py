"""Finds sentences in which the subject says something lasting about themselves, English or Thai.

By patterns on normalised sentences (`similarity.normal_text`: lower case, no apostrophes, no
punctuation), so that "I'm" and "im" are one. A sentence counts when it begins, after fillers such
as "yeah" or "well", with the subject speaking of themselves in one of the ways of
`patterns.ENGLISH` (Thai: holds one of `patterns.THAI`); the first that fits names its kind.
Questions, hypotheses, quotations, jokes and small talk are left out as far as patterns can tell. No
model is asked: every memory can be traced to the words that made it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.persona import patterns

_THAI = re.compile(r"[\u0e00-\u0e7f]")
_EMPTY_WORDS = frozenset(patterns.EMPTY_WORDS.split())
FEWEST_WORDS = 3
MOST_WORDS = 28
STATEMENTS: dict[str, Any] = {
    "kind": pl.String,
    "text": pl.String,
    "bare": pl.String,
    "gist": pl.List(pl.String),
    "session_id": pl.String,
    "said_at": pl.Datetime("us", "UTC"),
    "message_ids": pl.List(pl.String),
    "answer": pl.String,
}


def find_statements(turns: pl.DataFrame, subject: str, names: Sequence[str] = ()) -> pl.DataFrame:
    """Self-statements of the subject in turns (columns of `cleaned_messages`), as STATEMENTS.

    `bare` is the normalised sentence without fillers, `gist` the words that carry its content,
    `answer` what the partner said next in the session (null: nothing), `message_ids` the raw
    messages of the turn. `names` are what the subject calls themselves besides "I".
    """
    ordered = turns.sort("session_id", "day", "place")
    answers = ordered.with_columns(
        pl.when(pl.col("speaker").shift(-1) != subject)
        .then(pl.col("text").shift(-1))
        .over("session_id")
        .alias("answer")
    )
    own = answers.filter(pl.col("speaker") == subject)
    sentences = own.select(
        pl.Series("text", [split_sentences(text) for text in own["text"]], pl.List(pl.String)),
        "session_id",
        pl.col("sent_at").alias("said_at"),
        pl.col("raw_ids").alias("message_ids"),
        "answer",
    ).explode("text", empty_as_null=False)
    sentences = sentences.with_columns(normal_text(pl.col("text")).alias("normal"))
    finder = StatementFinder([subject, *names])
    told = [finder(*pair) for pair in sentences.select("text", "normal").iter_rows()]
    found = sentences.with_columns(
        pl.Series("kind", [one.kind if one else None for one in told], pl.String),
        pl.Series("bare", [one.bare if one else None for one in told], pl.String),
        pl.Series("gist", [one.gist if one else None for one in told], pl.List(pl.String)),
    )
    return (
        found.filter(pl.col("kind").is_not_null()).select(list(STATEMENTS)).sort("said_at", "bare")
    )


def split_sentences(text: str) -> list[str]:
    """Sentences of a turn: its lines, cut after sentence marks and after Thai final particles."""
    return [part.strip() for part in patterns.SENTENCE_END.split(text) if part and part.strip()]


def content_words(normal: str) -> list[str]:
    """Words of a normalised sentence that carry its content, in order, each once; of Thai, windows
    of four characters."""
    found: dict[str, None] = {}
    for word in normal.split():
        if _THAI.match(word):
            found |= dict.fromkeys(word[i : i + 4] for i in range(max(1, len(word) - 3)))
        elif word not in _EMPTY_WORDS and len(word) > 1:
            found[word] = None
    return list(found)


@dataclass(frozen=True)
class Told:
    """What a sentence tells of the subject: see `find_statements`."""

    kind: str
    bare: str
    gist: list[str]


class StatementFinder:
    """Recognises self-statements of one subject, who may call themselves by one of `names`."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        own = sorted(
            {
                re.escape(part)
                for name in names
                for part in (name.lower(), *name.lower().split()[:1])
                if len(part) >= 3 and not re.search(r"[\d_]", part)
            }
        )
        me = "|".join([*own, *patterns.THAI_ME])
        self._own_name = re.compile(rf"^(?:{'|'.join(own)})\b") if own else None
        self._english_kinds = [(kind, re.compile(form)) for kind, form in patterns.ENGLISH]
        if own:
            called = re.compile(rf"(?:im|i am) (?=(?:{'|'.join(own)})\b)")
            self._english_kinds.insert(0, ("Who I am", called))
        self._thai_kinds = [
            (kind, re.compile(form.replace("{me}", rf"(?:(?:น้อง|พี่)?\s*(?:{me}))")))
            for kind, form in patterns.THAI
        ]

    def __call__(self, sentence: str, normal: str) -> Told | None:
        """What the sentence tells of the subject; None when it is no self-statement.

        `normal` is the sentence through `normal_text`.
        """
        words = len(normal.split())
        thai = _THAI.search(normal) is not None
        if words > MOST_WORDS or (words < FEWEST_WORDS and not thai):
            return None
        if (
            patterns.QUESTION.search(sentence)
            or patterns.ASIDE.search(sentence)
            or patterns.UNSURE.search(normal)
        ):
            return None
        return self._thai(normal) if thai else self._english(self._without_fillers(normal))

    def _without_fillers(self, normal: str) -> str:
        """From where the subject begins to say something, in the first person."""
        fillers = patterns.FILLERS.match(f"{normal} ")
        bare = normal[fillers.end() :] if fillers else normal
        return self._own_name.sub("i", bare) if self._own_name else bare

    def _english(self, bare: str) -> Told | None:
        if patterns.SMALL_TALK.match(bare) or patterns.VAGUE_END.search(bare):
            return None
        for kind, pattern in self._english_kinds:
            if found := pattern.match(bare):
                telling = kind in patterns.TELLING_KINDS
                gist = content_words(bare if telling else bare[found.end() :])
                return Told(kind, bare, gist) if gist else None
        return None

    def _thai(self, normal: str) -> Told | None:
        for kind, pattern in self._thai_kinds:
            if found := pattern.search(normal):
                telling = kind in patterns.TELLING_KINDS
                gist = content_words(normal[found.start() if telling else found.end() :])
                return Told(kind, normal, gist) if gist else None
        return None
