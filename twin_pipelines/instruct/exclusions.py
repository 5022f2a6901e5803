"""Why a pair may not be trained on, in words."""

from __future__ import annotations

import polars as pl

from twin_pipelines.foundation.similarity import jaccard, normal_text
from twin_pipelines.settings import Pairs

SYSTEM = "the reply is a note of the chat program"
NO_WORDS = "the reply is only a link, a number or signs"
CONTACT = "the reply holds contact data"
REPEATED = "nearly the same reply to the same message was given before in the session"
SAME_DAY = "the same reply was given before that day"

_LINK = r"(?i)\b(?:https?://|www\.)\S+"
_MEDIA = (
    r"(?:photo|image|picture|sticker|video|gif|audio|voice message|file|document|location|media|"
    r"สติกเกอร์|สติ๊กเกอร์|รูป|รูปภาพ|วิดีโอ|ไฟล์|ข้อความเสียง)"
)
_NOTE = (
    rf"(?i)^\s*(?:[\[<(]\s*{_MEDIA}(?: omitted| attached| sent)?\s*[\])>]"
    rf"|<?{_MEDIA} omitted>?"
    r"|this message was (?:deleted|unsent)\.?"
    r"|you (?:deleted|unsent) (?:this|a) message\.?"
    r"|(?:missed|declined|cancelled) (?:voice |video |audio )?call\.?"
    r"|(?:คุณ)?ยกเลิก(?:การส่ง)?ข้อความ(?:แล้ว)?)\s*$"
)
_LAUGHTER = r"(?i)\b(?:[hae]*(?:ha|he){2,}[hae]*|lo+l|lmao+|rofl|5{3,}\+?)\b"


def too_few_words(settings: Pairs) -> str:
    """The reason for a reply that is too short; laughter is no word."""
    return f"the reply has fewer than {settings.min_reply_words} words"


def too_long(settings: Pairs) -> str:
    """The reason for a reply that is too long."""
    return f"the reply is longer than {settings.max_reply_chars} characters"


def with_exclusions(pairs: pl.DataFrame, settings: Pairs, near_duplicate: float) -> pl.DataFrame:
    """Pairs with the column `excluded`: the first reason that holds, or null.

    `pairs` has `id, day, session_id, replied_at, input, reply, words` (words of the reply) and
    `contact` (whether the reply held contact data), and holds whole sessions up to some day, so
    that what was said earlier in the session and on the day is seen whichever days are asked for.
    """
    reply = pl.col("reply")
    first_reason = (
        pl.when(reply.str.split("\n").list.eval(pl.element().str.contains(_NOTE)).list.all())
        .then(pl.lit(SYSTEM))
        .when(~reply.str.replace_all(_LINK, "").str.contains(r"\p{L}"))
        .then(pl.lit(NO_WORDS))
        .when(pl.col("contact"))
        .then(pl.lit(CONTACT))
        .when(pl.col("words") - reply.str.count_matches(_LAUGHTER) < settings.min_reply_words)
        .then(pl.lit(too_few_words(settings)))
        .when(reply.str.len_chars() > settings.max_reply_chars)
        .then(pl.lit(too_long(settings)))
    )
    excluded = pairs.with_columns(first_reason.alias("excluded"))
    usable = excluded.filter(pl.col("excluded").is_null()).sort("replied_at", "id")
    said = normal_text(pl.col("reply"))
    again = usable.filter(~pl.struct("day", said.alias("said")).is_first_distinct())
    repeated = _repeated(usable, near_duplicate)
    return excluded.with_columns(
        pl.when(pl.col("id").is_in(repeated))
        .then(pl.lit(REPEATED))
        .when(pl.col("id").is_in(again["id"].to_list()))
        .then(pl.lit(SAME_DAY))
        .otherwise(pl.col("excluded"))
        .alias("excluded")
    )


def _repeated(pairs: pl.DataFrame, threshold: float) -> list[str]:
    """Ids of pairs that say nearly what an earlier pair of the session said to the same message.

    `pairs` comes in order of time.
    """
    asked, said = normal_text(pl.col("input")), normal_text(pl.col("reply"))
    groups = (
        pairs.group_by("session_id", asked.alias("asked"), maintain_order=True)
        .agg("id", said.alias("said"))
        .filter(pl.col("id").list.len() > 1)
    )
    repeated = []
    for ids, replies in groups.select("id", "said").iter_rows():
        kept: list[str] = []
        for pair, reply in zip(ids, replies, strict=True):
            if any(jaccard(reply, earlier) >= threshold for earlier in kept):
                repeated.append(pair)
            else:
                kept.append(reply)
    return repeated
