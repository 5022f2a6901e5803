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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.foundation.words import words_of
from twin_pipelines.persona.statements import patterns

_THAI = re.compile(r"[\u0e00-\u0e7f]")
_EMPTY_WORDS = frozenset([*patterns.EMPTY_WORDS.split(), *patterns.THAI_EMPTY_WORDS.split()])
FEWEST_WORDS = 3
MOST_WORDS = 28
HABIT = "Habits and skills"
PLAN = "Plans and promises"
ME = "ฉัน"  # stands for the subject's own name in Thai
SENTENCES: dict[str, Any] = {
    "speaker": pl.String,
    "day": pl.Date,
    "text": pl.String,
    "normal": pl.String,
    "session_id": pl.String,
    "said_at": pl.Datetime("us", "UTC"),
    "message_ids": pl.List(pl.String),
    "answer": pl.String,
}
STATEMENTS: dict[str, Any] = {
    "speaker": pl.String,
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
    sentences = sentences_of(turns).filter(pl.col("speaker") == subject)
    return statements_in(sentences, {subject: names}).select(list(STATEMENTS))


def sentences_of(turns: pl.DataFrame) -> pl.DataFrame:
    """Everybody's sentences in turns (columns of `cleaned_messages`), as SENTENCES, in order.

    `normal` is the sentence through `normal_text`; `answer` what somebody else said in the next
    turn of the session.
    """
    ordered = turns.sort("session_id", "sent_at", "place")
    answered = ordered.with_columns(
        pl.when(pl.col("speaker").shift(-1) != pl.col("speaker"))
        .then(pl.col("text").shift(-1))
        .over("session_id")
        .alias("answer")
    )
    parts = [split_sentences(text) for text in answered["text"]]
    turn = [place for place, own in enumerate(parts) for _ in own]
    sentences = answered.select(
        "speaker",
        "day",
        "session_id",
        pl.col("sent_at").alias("said_at"),
        pl.col("raw_ids").alias("message_ids"),
        "answer",
    )[turn]
    return (
        sentences.with_columns(
            pl.Series("text", [sentence for own in parts for sentence in own], pl.String)
        )
        .with_columns(normal_text(pl.col("text")).alias("normal"))
        .select(list(SENTENCES))
    )


def statements_in(sentences: pl.DataFrame, names: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Those of the sentences (SENTENCES) in which their speakers tell something of themselves.

    With `kind`, `bare` and `gist` beside the columns of SENTENCES, by time. `names` are what each
    speaker calls themselves besides "I" and the name they speak under.
    """
    finders = {
        speaker: StatementFinder([speaker, *names.get(speaker, ())])
        for speaker in sentences["speaker"].unique()
    }
    told = [
        finders[speaker](text, normal)
        for speaker, text, normal in sentences.select("speaker", "text", "normal").iter_rows()
    ]
    return (
        sentences.with_columns(
            pl.Series("kind", [one.kind if one else None for one in told], pl.String),
            pl.Series("bare", [one.bare if one else None for one in told], pl.String),
            pl.Series("gist", [one.gist if one else None for one in told], pl.List(pl.String)),
        )
        .filter(pl.col("kind").is_not_null())
        .sort("said_at", "bare")
    )


def split_sentences(text: str) -> list[str]:
    """Sentences of a turn: its lines, cut after sentence marks and after Thai final particles."""
    return [part.strip() for part in patterns.SENTENCE_END.split(text) if part and part.strip()]


def content_words(normal: str) -> list[str]:
    """Words of a normalised sentence that carry its content, in order, each once; Thai is
    segmented."""
    found: dict[str, None] = {}
    for run in normal.split():
        for word in words_of(run) if _THAI.search(run) else (run,):
            if word not in _EMPTY_WORDS and len(word) > 1:
                found[word] = None
    return list(found)


@dataclass(frozen=True)
class Told:
    """What a sentence tells of the subject: see `find_statements`."""

    kind: str
    bare: str
    gist: list[str]


_ENGLISH_KINDS = [(kind, re.compile(form)) for kind, form in patterns.ENGLISH]
_ME = rf"(?:(?:น้อง|พี่)?\s*(?:{'|'.join(patterns.THAI_ME)}))"
_THAI_KINDS = [(kind, re.compile(form.replace("{me}", _ME))) for kind, form in patterns.THAI]


class StatementFinder:
    """Recognises self-statements of one subject, who may call themselves by one of `names`."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        own = sorted(
            {
                re.escape(part)
                for name in names
                for part in (name.lower(), *name.lower().split()[:1])
                if len(part) >= 3 and not re.search(r"[\d_]", part)
            },
            reverse=True,
        )
        called = "|".join(own)
        self._own_name = re.compile(rf"^(?:{called})\b") if own else None
        self._called = re.compile(rf"(?:im|i am) (?:{called})\b") if own else None
        self._own_name_in_thai = re.compile(rf"(?:น้อง|พี่)?\s*(?:{called})") if own else None

    def __call__(self, sentence: str, normal: str) -> Told | None:
        """What the sentence tells of the subject; None when it is no self-statement.

        `normal` is the sentence through `normal_text`.
        """
        words = len(normal.split())
        thai = _THAI.search(normal) is not None
        if words > MOST_WORDS or (words < FEWEST_WORDS and not thai):
            return None
        told = (self._thai(normal) if thai else None) or self._english(self.bare(normal))
        unearnest = told and (
            patterns.QUESTION.search(sentence)
            or patterns.ASIDE.search(sentence)
            or patterns.UNSURE.search(normal)
        )
        return None if unearnest else told

    def bare(self, normal: str) -> str:
        """From where the subject begins to say something, in the first person."""
        fillers = patterns.FILLERS.match(f"{normal} ")
        bare = normal[fillers.end() :] if fillers else normal
        return self._own_name.sub("i", bare) if self._own_name else bare

    def _english(self, bare: str) -> Told | None:
        if not patterns.MAY_TELL.match(bare):
            return None
        if (
            patterns.SMALL_TALK.match(bare)
            or patterns.VAGUE_END.search(bare)
            or patterns.DANGLING.search(bare)
        ):
            return None
        if self._called and self._called.match(bare):
            return Told("Who I am", bare, content_words(bare))
        for kind, pattern in _ENGLISH_KINDS:
            if found := pattern.match(bare):
                if kind == HABIT and patterns.PASSING.search(bare):
                    continue
                telling = kind in patterns.TELLING_KINDS
                gist = content_words(bare if telling else bare[found.end() :])
                return Told(kind, bare, gist) if gist else None
        if patterns.PLANNED.match(bare) and (gist := content_words(bare)):
            return Told(PLAN, bare, gist)
        return None

    def _thai(self, normal: str) -> Told | None:
        bare = self._own_name_in_thai.sub(ME, normal) if self._own_name_in_thai else normal
        for kind, pattern in _THAI_KINDS:
            if found := pattern.search(bare):
                telling = kind in patterns.TELLING_KINDS
                gist = content_words(bare[found.start() if telling else found.end() :])
                if kind == PLAN and not gist:  # the day came last: "จะไปเชียงใหม่อาทิตย์หน้า"
                    whole = content_words(bare[found.start() :])
                    gist = whole if len(whole) > 1 else []
                if gist:
                    return Told(kind, bare, gist)
        return None
