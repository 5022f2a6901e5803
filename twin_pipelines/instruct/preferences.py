"""Preference pairs: a conversation, the reply to prefer, and one to turn down.

Preferred is what the subject really said, or what the owner put in place of an answer of the twin.
Each real exchange of train gives at most one row: the base model's reply where one is known, else
in turn another person's nearest reply and a rewrite against the subject's manner. The owner's
corrections come first, then answers they disliked beside one they liked to the same message; one
that repeats an exchange of validation or test is left out. Of every phrase the owner never wants to
hear, some replies are turned down with the phrase added.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from twin_pipelines.instruct.dataset import leaking_pairs
from twin_pipelines.instruct.echoes import reply_key
from twin_pipelines.instruct.formal import formal_rewrite
from twin_pipelines.instruct.people import without_contact
from twin_pipelines.instruct.strangers import nearest_replies
from twin_pipelines.persona.never_says import says
from twin_pipelines.settings import TwinError
from twin_pipelines.sources.chitchat import Exchange

FILE = "preferences.jsonl"
BASE_REPLIES = "base_replies.jsonl"
CORRECTION = "correction"
THUMBS = "thumbs"
NEVER = "never"
KINDS = (CORRECTION, THUMBS, "base", "other_person", "style", NEVER)
ROWS_A_PHRASE = 8  # of the owner's never-says
PARTS = ("prompt", "chosen", "rejected")
Row = dict[str, Any]


@dataclass(frozen=True)
class Correction:
    """An answer of the twin (`rejected`) and what the owner wrote instead (`chosen`).

    `prompt` is the conversation as the twin saw it, chat messages that end with the user.
    """

    id: str
    prompt: list[dict[str, str]]
    rejected: str
    chosen: str


def preference_rows(
    splits: Mapping[str, Sequence[Row]],
    corrections: Sequence[Correction],
    base_replies: Mapping[str, str],
    exchanges: Sequence[Exchange],
    near_duplicate: float,
    *,
    judged: Sequence[Correction] = (),
    never: Sequence[str] = (),
) -> list[Row]:
    """The rows in TRL's conversational preference format, corrections first, then by time.

    `splits` are the rows of a dataset's files, `base_replies` maps a pair of train to what the
    base answered, `judged` are answers of the twin the owner disliked, with one they liked, `never`
    are the owner's never-says: no reply that holds one is preferred. A row has `prompt`, `chosen`
    and `rejected` (chat messages), its `kind`, and as `id` that of the pair, the correction or the
    two answers behind it.
    """
    rows = [
        _row(kind, one.id, one.prompt, one.chosen, one.rejected)
        for kind, found in ((CORRECTION, corrections), (THUMBS, judged))
        for one in _clean(found, splits, near_duplicate)
        if not says(one.chosen, never)
    ]
    train = [
        row for row in splits["train"] if not row.get("rehearsal") and not says(_reply(row), never)
    ]
    train.sort(key=lambda row: (row["replied_at"], row["pair_id"]))
    turn = train[::2]  # every other pair turns down another person first
    near = nearest_replies([_asked(row) for row in turn], [_reply(row) for row in turn], exchanges)
    strangers = dict(zip((row["pair_id"] for row in turn), near, strict=True))
    with_phrase = _with_phrase(train, never)
    offers = [
        (row, *offer)
        for row in train
        for offer in _offers(row, base_replies, strangers, with_phrase)
    ]
    own = reply_key(pl.Series([_reply(row) for row, _, _ in offers], dtype=pl.String))
    other = reply_key(pl.Series([text for _, _, text in offers], dtype=pl.String))
    served: set[str] = set()
    for (row, kind, text), said, turned_down in zip(offers, own, other, strict=True):
        differs = kind in ("style", NEVER) or said != turned_down
        if text.strip() and differs and row["pair_id"] not in served:
            rows.append(_row(kind, row["pair_id"], row["prompt"], _reply(row), text))
            served.add(row["pair_id"])
    return rows


def _offers(
    row: Row,
    base_replies: Mapping[str, str],
    strangers: Mapping[str, str | None],
    with_phrase: Mapping[str, str],
) -> Iterator[tuple[str, str]]:
    """What could be turned down, as (kind, text), the first choice first."""
    pair = row["pair_id"]
    if pair in with_phrase:
        yield NEVER, with_phrase[pair]
    if pair in base_replies:
        yield "base", base_replies[pair]
    if stranger := strangers.get(pair):
        yield "other_person", without_contact(stranger)
    yield "style", formal_rewrite(_reply(row))


def _with_phrase(train: Sequence[Row], never: Sequence[str]) -> dict[str, str]:
    """Replies with a never-say added, by pair: for each phrase others, spread over time."""
    wanted = [phrase for phrase in never for _ in range(ROWS_A_PHRASE)][: len(train)]
    step = len(train) / len(wanted) if wanted else 0.0
    chosen = [train[int(number * step)] for number in range(len(wanted))]
    turns = [wanted[number::ROWS_A_PHRASE] for number in range(ROWS_A_PHRASE)]
    mixed = [phrase for turn in turns for phrase in turn]
    return {
        row["pair_id"]: f"{_reply(row)} {phrase}" for row, phrase in zip(chosen, mixed, strict=True)
    }


def _clean(
    corrections: Sequence[Correction], splits: Mapping[str, Sequence[Row]], near_duplicate: float
) -> list[Correction]:
    """The corrections that repeat nothing of validation or test, and answer none of their chats."""
    frame = pl.DataFrame(
        [
            {
                "id": one.id,
                "input": one.prompt[-1]["content"],
                "reply": one.chosen,
                "split": "train",
            }
            for one in corrections
        ]
        + [
            {
                "id": row["pair_id"],
                "input": _asked(row),
                "reply": _reply(row),
                "split": split,
            }
            for split in ("validation", "test")
            for row in splits[split]
        ],
        schema=dict.fromkeys(("id", "input", "reply", "split"), pl.String),
    )
    leaking = set(leaking_pairs(frame, near_duplicate)["id"])
    held_out = {_ending(row["prompt"]) for name in ("validation", "test") for row in splits[name]}
    return [
        one for one in corrections if one.id not in leaking and _ending(one.prompt) not in held_out
    ]


def _ending(prompt: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """The last message and the one before it: what tells one chat from another."""
    turns = [part["content"] for part in prompt if part["role"] != "system"]
    return tuple(" ".join(turn.casefold().split()) for turn in turns[-2:])


def write_preferences(folder: Path, rows: Sequence[Row]) -> Path:
    """Write the rows beside the dataset's other files, whole or not at all; returns the path."""
    path = folder / FILE
    scratch = folder / f".{FILE}.tmp"
    scratch.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    scratch.replace(path)
    return path


def read_preferences(folder: Path) -> list[Row]:
    """The rows of a dataset folder. Raises TwinError when there are none."""
    path = folder / FILE
    if not path.exists():
        raise TwinError(f"{path} is missing; materialise preference_pairs.")
    return _lines(path)


def load_preferences(folder: Path) -> Any:
    """The rows as a `datasets.Dataset`, in the form TRL's preference trainers take.

    Nothing is kept in a cache. Raises TwinError when there are none.
    """
    import datasets

    path = folder / FILE
    if not path.exists():
        raise TwinError(f"{path} is missing; materialise preference_pairs.")
    with tempfile.TemporaryDirectory() as cache:
        loaded = datasets.load_dataset(
            "json", data_files=str(path), split="train", cache_dir=cache, keep_in_memory=True
        )
    return loaded


def write_base_replies(folder: Path, model: str, replies: Mapping[str, str]) -> Path:
    """Keep what a base model answered to pairs of train, by pair id, for `preference_pairs`.

    Later answers take the place of earlier ones of the same pair. Raises TwinError when a pair is
    not of train.
    """
    train = {row["pair_id"] for row in _lines(folder / "train.jsonl") if not row.get("canary")}
    if strangers := set(replies) - train:
        raise TwinError(
            f"{len(strangers)} replies of {model} answer pairs that are not in the train split of "
            f"{folder}; answer pairs of train only."
        )
    path = folder / BASE_REPLIES
    known = {row["pair_id"]: row for row in _lines(path)}
    known |= {
        pair: {"pair_id": pair, "model": model, "reply": reply} for pair, reply in replies.items()
    }
    scratch = folder / f".{BASE_REPLIES}.tmp"
    scratch.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in known.values()))
    scratch.replace(path)
    return path


def read_base_replies(folder: Path) -> dict[str, str]:
    """What a base model answered, by pair id; nothing where none was asked."""
    return {row["pair_id"]: row["reply"] for row in _lines(folder / BASE_REPLIES)}


def _lines(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _asked(row: Row) -> str:
    return row["prompt"][-1]["content"]


def _reply(row: Row) -> str:
    return row["completion"][0]["content"]


def _row(
    kind: str, source: str, prompt: Sequence[dict[str, str]], chosen: str, rejected: str
) -> Row:
    return {
        "prompt": list(prompt),
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
        "kind": kind,
        "id": source,
    }
