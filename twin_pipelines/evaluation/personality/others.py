"""Exchanges of other people, the control of traits and manner."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from twin_pipelines.features.text import clean_texts
from twin_pipelines.sources.chitchat import FIRST_STRANGER, messages, senders

PEOPLE = 40  # the most prolific strangers
MOST_EXCHANGES = 400  # of each


@dataclass(frozen=True)
class Said:
    """What somebody was told, and what they replied."""

    input: str
    reply: str


@lru_cache(maxsize=2)
def exchanges_of_others(
    exclude: str, min_words: int, people: int = PEOPLE
) -> dict[str, list[Said]]:
    """Exchanges of strangers (senders of rank 21 and further, `exclude` left out), by sender.

    Cleaned as the subject's messages are; replies of fewer than `min_words` words are left out.
    """
    ranked = senders()["speaker"][FIRST_STRANGER - 1 :].to_list()
    chosen = [name for name in ranked if name != exclude][:people]
    mine = pl.col("speaker").is_in(chosen)
    chats = messages().filter(mine)["chat"].unique()
    turns = (
        messages()
        .filter(pl.col("chat").is_in(chats.implode()))
        .group_by("chat", "turn", "speaker", maintain_order=True)
        .agg(pl.col("text").str.join("\n"))
        .with_columns(
            pl.col("text").shift(1).over("chat").alias("input"),
            pl.col("speaker").shift(1).over("chat").alias("asked_by"),
            pl.col("speaker").cast(pl.String),
        )
        .filter(pl.col("speaker").is_in(chosen), pl.col("input").is_not_null())
        .filter(pl.col("asked_by").cast(pl.String) != pl.col("speaker"))
    )
    cleaned = turns.with_columns(clean_texts(turns["text"]), clean_texts(turns["input"]))
    usable = cleaned.filter(
        pl.col("text").str.split(" ").list.len() >= min_words, pl.col("input") != ""
    )
    found: dict[str, list[Said]] = {name: [] for name in chosen}
    for speaker, said, reply in usable.select("speaker", "input", "text").iter_rows():
        if len(found[speaker]) < MOST_EXCHANGES:
            found[speaker].append(Said(said, reply))
    return found
