"""Real conversations from the `chitchat-dataset` package (MIT licence, pseudonymous senders).

Senders are ranked by how much they wrote. Ranks 1–10 may be the subject; ranks 11–20 are nobody's
background, they are left for tests of those who come later; ranks 21 and further are the strangers
against whom a voice is told apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from importlib.resources import files
from typing import Any

import orjson
import polars as pl

from twin_pipelines.settings import TwinError

CONSENT = "public dataset chitchat-dataset under the MIT licence; its senders are pseudonymous"
LOCATION = "package chitchat-dataset"
SUBJECT_RANKS = 10
FIRST_STRANGER = 21  # rank
SHORTEST_PREFIX = 6
CONTEXT_TURNS = 6
MOST_TEXT = 400  # characters of a turn that serves as context or example reply

Exchange = tuple[list[dict[str, str]], str]


@lru_cache(maxsize=1)
def messages() -> pl.DataFrame:
    """Every message of the package, in the order of its chats.

    Columns: `chat`, `number` (within the chat, from 0), `turn` (run of one sender), `speaker`,
    `text`, `sent_at`, `prompt` (the chat's opening question; on its first message only).
    """
    content = orjson.loads(_content())
    columns: dict[str, list[Any]] = {name: [] for name in _RAW_SCHEMA}
    for chat, held in content.items():
        number = 0
        for turn, utterances in enumerate(held["messages"]):
            for utterance in utterances:
                columns["chat"].append(chat)
                columns["number"].append(number)
                columns["turn"].append(turn)
                columns["speaker"].append(utterance["sender"])
                columns["text"].append(utterance["text"])
                columns["sent_at"].append(utterance["timestamp"])
                columns["prompt"].append(held.get("prompt") if number == 0 else None)
                number += 1
    del content
    sent_at = pl.col("sent_at").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")
    return pl.DataFrame(columns, schema=_RAW_SCHEMA).with_columns(
        pl.col("chat", "speaker").cast(pl.Categorical), sent_at.dt.replace_time_zone("UTC")
    )


_RAW_SCHEMA: dict[str, Any] = {
    "chat": pl.String,
    "number": pl.Int32,
    "turn": pl.Int32,
    "speaker": pl.String,
    "text": pl.String,
    "sent_at": pl.String,
    "prompt": pl.String,
}


@lru_cache(maxsize=1)
def sha256() -> str:
    """Hash of the package's content."""
    return hashlib.sha256(_content()).hexdigest()


@lru_cache(maxsize=1)
def senders() -> pl.DataFrame:
    """Everyone by how much they wrote: `rank` (from 1), `speaker`, `messages`, `chats`."""
    counted = (
        messages()
        .group_by(pl.col("speaker").cast(pl.String))
        .agg(messages=pl.len(), chats=pl.col("chat").n_unique())
    )
    return counted.sort("messages", "speaker", descending=[True, False]).with_row_index(
        "rank", offset=1
    )


def speaker_of_rank(rank: int) -> str:
    """The sender of a rank from 1 to 10."""
    if not 1 <= rank <= SUBJECT_RANKS:
        raise TwinError(f"subject.rank is {rank}; write a rank from 1 to {SUBJECT_RANKS}.")
    return str(senders()["speaker"][rank - 1])


def find_speaker(name: str) -> str | None:
    """The sender of this id, or of this beginning of an id (six characters or more)."""
    known = senders()["speaker"]
    if name in known:
        return name
    alike = known.filter(known.str.starts_with(name)) if len(name) >= SHORTEST_PREFIX else known[:0]
    return str(alike[0]) if len(alike) == 1 else None


def span(zone: str = "UTC") -> tuple[date, date]:
    """First and last day of the package."""
    days = messages()["sent_at"].dt.convert_time_zone(zone).dt.date()
    return days.min(), days.max()  # type: ignore[return-value]


def subject_messages(speaker: str) -> pl.DataFrame:
    """All messages of every chat this sender takes part in, MESSAGE_SCHEMA, chat by chat."""
    rows = messages()
    own = rows.filter(pl.col("speaker") == speaker)["chat"].unique()
    number = pl.col("number").cast(pl.String).str.zfill(4)
    prompt = pl.struct("prompt").struct.json_encode()
    return rows.filter(pl.col("chat").is_in(own.implode())).select(
        source_message_id=pl.concat_str(pl.col("chat").cast(pl.String), number, separator="/"),
        conversation_id=pl.col("chat").cast(pl.String),
        speaker=pl.col("speaker").cast(pl.String),
        text="text",
        sent_at="sent_at",
        reply_to=pl.lit(None, dtype=pl.String),
        metadata=pl.when(pl.col("prompt").is_not_null()).then(prompt),
    )


def own_texts(speaker: str) -> pl.DataFrame:
    """One sender's messages in time order: `conversation_id`, `sent_at`, `text`."""
    return (
        messages()
        .filter(pl.col("speaker") == speaker)
        .select(pl.col("chat").cast(pl.String).alias("conversation_id"), "sent_at", "text")
        .sort("sent_at", maintain_order=True)
    )


def background_texts(exclude: str, people: int, skip: int = 0) -> dict[str, list[str]]:
    """Turns of strangers in time order, by sender; the most prolific first.

    Senders are those ranked 21 and further, without `exclude` and the first `skip` of them.
    """
    chosen = [name for name in senders()["speaker"][FIRST_STRANGER - 1 :] if name != exclude]
    chosen = chosen[skip : skip + people]
    turns = _turns(chosen).sort("sent_at", maintain_order=True)
    by_speaker = turns.group_by("speaker").agg("text")
    texts = dict(zip(by_speaker["speaker"], by_speaker["text"].to_list(), strict=True))
    return {name: texts[name] for name in chosen}


def background_exchanges(n: int, exclude: str) -> list[Exchange]:
    """Conversations of strangers that ask for a reply, each with the reply that was given.

    At most `n` of (context, reply): the context is up to six turns as chat messages, from the
    replier's side, and ends with the partner's turn. Neither side is `exclude` or ranks 11–20; the
    replier ranks 21 or further. Spread evenly over repliers and time; the same at each call.
    """
    ranked = senders()["speaker"]
    barred = {exclude, *ranked[SUBJECT_RANKS : FIRST_STRANGER - 1]}
    strangers = set(ranked[FIRST_STRANGER - 1 :]) - barred
    turns = _turns(None).with_columns(size=pl.col("text").str.len_chars())
    chats = turns.group_by("chat").agg(
        speakers=pl.col("speaker").n_unique(),
        barred=pl.col("speaker").is_in(list(barred)).any(),
        stranger=pl.col("speaker").is_in(list(strangers)).any(),
    )
    usable = chats.filter(pl.col("speakers") == 2, ~pl.col("barred"), pl.col("stranger"))
    found: dict[str, list[Exchange]] = {}
    kept = turns.filter(pl.col("chat").is_in(usable["chat"].implode()))
    for (_,), chat in kept.group_by("chat", maintain_order=True):
        for replier, exchange in _exchanges(chat, strangers):
            found.setdefault(replier, []).append(exchange)
    return _spread(list(found.values()), n)


def _exchanges(chat: pl.DataFrame, strangers: set[str]) -> Iterable[tuple[str, Exchange]]:
    speakers, texts, sizes = (chat[name].to_list() for name in ("speaker", "text", "size"))
    for place in range(1, len(texts)):
        replier, reply = speakers[place], texts[place]
        asked = speakers[place - 1] != replier and sizes[place - 1] <= MOST_TEXT
        if not asked or replier not in strangers or not 2 <= len(reply.split()) <= MOST_TEXT // 4:
            continue
        start = max(0, place - CONTEXT_TURNS)
        context = [
            {
                "role": "assistant" if speakers[turn] == replier else "user",
                "content": texts[turn][:MOST_TEXT],
            }
            for turn in range(start, place)
        ]
        yield replier, (context, reply)


def _spread(groups: list[list[Exchange]], n: int) -> list[Exchange]:
    """Take turns among the groups; within one, evenly spaced."""
    groups = [group for group in groups if group]
    taken: list[list[Exchange]] = [[] for _ in groups]
    left = min(n, sum(map(len, groups)))
    quota = [0] * len(groups)
    while left:
        for index, group in enumerate(groups):
            if left and quota[index] < len(group):
                quota[index] += 1
                left -= 1
    for index, group in enumerate(groups):
        step = len(group) / quota[index] if quota[index] else 1.0
        taken[index] = [group[int(place * step)] for place in range(quota[index])]
    rounds = max(quota, default=0)
    return [row[place] for place in range(rounds) for row in taken if place < len(row)]


def _turns(speakers: list[str] | None) -> pl.DataFrame:
    """Turns of these senders (None: of all): `chat`, `turn`, `speaker`, `sent_at`, `text`."""
    rows = messages()
    if speakers is not None:
        rows = rows.filter(pl.col("speaker").is_in(speakers))
    turns = rows.group_by("chat", "turn", "speaker", maintain_order=True).agg(
        pl.col("sent_at").first(), pl.col("text").str.join("\n")
    )
    return turns.with_columns(pl.col("chat", "speaker").cast(pl.String))


def _content() -> bytes:
    try:
        return files("chitchat_dataset").joinpath("dataset.json").read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise TwinError(
            "The package chitchat-dataset is not installed, or lacks its dataset.json; run "
            "pip install chitchat-dataset==0.9.0."
        ) from error
