"""Response templates: replies that recur, with slots, and the situations that call for them.

Replies are taken sentence by sentence (`recurring`). What varies stands as `{number}` where it is
mostly numbers, `{echo}` where it mostly takes up a word of the partner's turn, else as `{slot}`. A
template belongs to the situations in which it makes up a greater share of the replies than it does
of all; `share` is that share.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from twin_pipelines.features.language import detect_languages
from twin_pipelines.foundation.words import words_of
from twin_pipelines.persona.replies.recurring import Token, gaps, recurring, tokens_of
from twin_pipelines.persona.statements.find import content_words, split_sentences

TEMPLATES: dict[str, Any] = {
    "template_id": pl.String,
    "situation": pl.String,
    "template": pl.String,
    "language": pl.String,
    "uses": pl.Int32,
    "sessions": pl.Int32,
    "share": pl.Float64,
    "examples": pl.String,  # JSON
    "message_ids": pl.List(pl.String),
}
LEAST_SESSIONS = 3  # of a template in a situation
EXAMPLES = 3
_NUMBERS = 0.6  # share of a slot's fillers that are numbers
_ECHOES = 0.5  # share of a slot's fillers that take up a word of the partner's
_SLOT = "{slot}"


@dataclass(frozen=True)
class _Sentence:
    reply: int
    text: str
    tokens: Sequence[Token]

    @property
    def words(self) -> list[str]:
        return [token.word for token in self.tokens]


def templates_of(replies: pl.DataFrame) -> pl.DataFrame:
    """Templates (TEMPLATES) of replies (`replies.REPLIES`), those of most sessions first."""
    sentences = [
        _Sentence(number, text, tokens_of(text))
        for number, reply in enumerate(replies["reply"])
        for text in split_sentences(reply)
    ]
    in_session = replies["session_id"].to_list()
    found = recurring(
        [one.words for one in sentences], [in_session[one.reply] for one in sentences]
    )
    partners = replies["partner"].to_list()
    uses: dict[tuple[str, int], None] = {}
    for pattern in found:
        members = [sentences[number] for number in pattern.sentences]
        template = _written(pattern.words, members, partners)
        uses |= dict.fromkeys((template, one.reply) for one in members)
    used = pl.DataFrame(list(uses), schema={"template": pl.String, "row": pl.UInt32}, orient="row")
    return _by_situation(used, replies.with_row_index("row"))


def _by_situation(used: pl.DataFrame, replies: pl.DataFrame) -> pl.DataFrame:
    """Templates by situation, from which reply (`row`) has which `template`."""
    whole = replies.height or 1
    of_situation = replies.group_by("situation").agg(pl.len().alias("replies"))
    everywhere = pl.col("uses").sum().over("template") / whole
    size = pl.col("reply").str.len_chars()
    rows = (
        used.join(replies, on="row")
        .sort("template", "situation", size, "row")
        .group_by("template", "situation", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int32).alias("uses"),
            pl.col("session_id").n_unique().cast(pl.Int32).alias("sessions"),
            pl.struct("partner", "reply", "session_id").alias("shown"),
            pl.col("message_ids")
            .list.explode(keep_nulls=False, empty_as_null=False)
            .unique(maintain_order=True),
        )
        .join(of_situation, on="situation")
        .with_columns((pl.col("uses") / pl.col("replies")).alias("share"))
        .filter(pl.col("share") >= everywhere, pl.col("sessions") >= LEAST_SESSIONS)
    )
    plain = rows["template"].str.replace_all(r"\{\w+\}", " ")
    return (
        rows.with_columns(
            pl.Series("language", detect_languages(plain), pl.String),
            pl.Series("examples", [_examples(shown) for shown in rows["shown"]], pl.String),
            pl.Series(
                "template_id",
                [_identity(*row) for row in rows.select("situation", "template").iter_rows()],
                pl.String,
            ),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in TEMPLATES.items())
        .sort(["sessions", "uses", "template_id"], descending=[True, True, False])
    )


def _written(words: Sequence[str], members: Sequence[_Sentence], partners: Sequence[str]) -> str:
    """The template as the subject would write it: its commonest wording, with named slots."""
    placed = [(one, found) for one in members if (found := gaps(words, one.words)) is not None]
    names = [
        _slot_name(
            [_filler(one, found[slot]) for one, found in placed],
            [partners[one.reply] for one, _ in placed],
        )
        for slot in range(len(placed[0][1]))
    ]
    wordings = Counter(_with_slots(one, found, names) for one, found in placed)
    return min(wordings, key=lambda text: (-wordings[text], len(text), text))


def _filler(sentence: _Sentence, span: tuple[int, int]) -> str:
    tokens = sentence.tokens[slice(*span)]
    return sentence.text[tokens[0].start : tokens[-1].end]


def _slot_name(fillers: Sequence[str], partners: Sequence[str]) -> str:
    numbers = sum(any(sign.isdigit() for sign in filler) for filler in fillers)
    if numbers >= _NUMBERS * len(fillers):
        return "{number}"
    echoes = sum(
        any(word in words_of(partner) for word in content_words(filler.lower()))
        for filler, partner in zip(fillers, partners, strict=True)
    )
    return "{echo}" if echoes >= _ECHOES * len(fillers) else _SLOT


def _with_slots(sentence: _Sentence, spans: Sequence[tuple[int, int]], names: Sequence[str]) -> str:
    parts, at = [], 0
    for (first, after), name in zip(spans, names, strict=True):
        parts += [sentence.text[at : sentence.tokens[first].start], name]
        at = sentence.tokens[after - 1].end
    return "".join([*parts, sentence.text[at:]]).strip()


def _examples(shown: Sequence[dict[str, str]]) -> str:
    """The shortest replies, each of another session."""
    chosen: dict[str, dict[str, str]] = {}
    for one in shown:
        chosen.setdefault(one["session_id"], {key: one[key] for key in ("partner", "reply")})
    return json.dumps(list(chosen.values())[:EXAMPLES], ensure_ascii=False)


def _identity(situation: str, template: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{situation}/{template}"))
