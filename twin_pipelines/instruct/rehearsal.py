"""General chat beside train's pairs, so that a model does not forget how others talk.

Real exchanges of strangers from chitchat-dataset, without the subject's system prompt: their manner
is not to be taken for the subject's. They are marked, in `train.jsonl` only, and no pairs: nothing
counts them.
"""

from __future__ import annotations

import uuid
from typing import Any

import polars as pl

from twin_pipelines.generation.prompt import chat_messages
from twin_pipelines.instruct.dataset import Draft, leaking_pairs
from twin_pipelines.settings import Dataset
from twin_pipelines.sources.chitchat import Exchange, background_exchanges

_SPARE = 1.1  # asked for more, as some repeat what a later split holds


def rehearsal_rows(draft: Draft, settings: Dataset, speaker: str) -> list[dict[str, Any]]:
    """`rehearsal_share` rows for each pair of train, none of which repeats a later split."""
    wanted = round(settings.rehearsal_share * draft.count("train"))
    if not wanted:
        return []
    exchanges = background_exchanges(round(wanted * _SPARE) + 1, speaker)
    clean = _clean(exchanges, draft, settings.near_duplicate)
    return [_row(exchange, draft.train_until.isoformat()) for exchange in clean[:wanted]]


def _clean(exchanges: list[Exchange], draft: Draft, near_duplicate: float) -> list[Exchange]:
    theirs = pl.DataFrame(
        [
            {"id": str(number), "input": context[-1]["content"], "reply": reply, "split": "train"}
            for number, (context, reply) in enumerate(exchanges)
        ]
    )
    later = draft.pairs.filter(pl.col("split") != "train").select(theirs.columns)
    leaking = set(leaking_pairs(pl.concat([theirs, later]), near_duplicate)["id"])
    return [row for number, row in enumerate(exchanges) if str(number) not in leaking]


def _row(exchange: Exchange, said_at: str) -> dict[str, Any]:
    context, reply = exchange
    name = f"rehearsal {context} {reply}"
    return {
        "pair_id": str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        "prompt": chat_messages("", context[:-1], context[-1]["content"]),
        "completion": [{"role": "assistant", "content": reply}],
        "partner": "rehearsal",
        "session_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"session of {name}")),
        "replied_at": said_at,
        "quality": 0.0,
        "canary": False,
        "rehearsal": True,
    }
