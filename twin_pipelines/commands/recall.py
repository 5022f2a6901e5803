"""`twin recall`: what the twin would be told for a question, line by line, and why."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from twin_pipelines.embeddings.encoder import load_encoder
from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.generation.remembered import from_hit, head, sort_out, told
from twin_pipelines.retrieval.find import Filters, Hit, Question, find
from twin_pipelines.retrieval.index.refresh import index_queued
from twin_pipelines.retrieval.telling import Language
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.store import subject

DIGITS = 8  # of an id, in a table
WEIGHTIEST = 4  # signs of a hit that are shown


@dataclass(frozen=True)
class Recall:
    """What a question brought up: hits in order, the lines a prompt gets, what it does not get.

    `lines` and `left_out` (why) are by the place of the hit.
    """

    question: str
    hits: Sequence[Hit]
    lines: dict[int, str]
    left_out: dict[int, str]
    heads: Sequence[str]
    milliseconds: float


def recalled(
    settings: TwinSettings,
    text: str,
    k: int,
    *,
    turns: Sequence[str] = (),
    before: datetime | None = None,
    kinds: Sequence[str] = (),
    dreams: bool = False,
) -> Recall:
    """What is found for a question, newest things too, and how the prompt would tell it.

    `milliseconds` are those of the search, from the words to the hits, with the model loaded.
    Nothing counts as recalled. Raises TwinError.
    """
    filters = _filters(kinds, before, dreams)
    if not text.strip():
        raise TwinError("There is no question; write what the twin is asked.")
    encoder = load_encoder(settings)
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        whose = subject(connection).speaker
        index_queued(connection, encoder, wait=True)
        asked = Question(text, tuple(turns))
        began = time.perf_counter()
        [hits] = find(connection, encoder, [asked], k=k, filters=filters, settings=settings)
        took = (time.perf_counter() - began) * 1_000
    language: Language = "th" if any("\u0e00" <= sign <= "\u0e7f" for sign in text) else "en"
    memories = [from_hit(hit, whose) for hit in hits]
    kept, passed = sort_out(memories, [*turns, text])
    return Recall(
        question=text,
        hits=hits,
        lines={memories.index(one): told(one, language) for one in kept},
        left_out={memories.index(one.memory): one.why for one in passed},
        heads=[head(kind, language) for kind in dict.fromkeys(one.kind for one in kept)],
        milliseconds=took,
    )


def recall_view(found: Recall) -> RenderableType:
    """What was recalled, for people."""
    if not found.hits:
        return Text("Nothing is remembered that answers.")
    table = Table(box=None, pad_edge=False, show_edge=False)
    for name in ("", "what the prompt is told", "why", "weightiest signs", "id"):
        table.add_column(name, justify="right" if not name else "left", overflow="fold")
    for place, hit in enumerate(found.hits):
        line = found.lines.get(place)
        words = Text(line.removeprefix("- ")) if line else Text(hit.text, style="dim")
        if place in found.left_out:
            words.append(f" (left out: {found.left_out[place]})", style="yellow")
        table.add_row(
            str(place + 1), words, hit.why, _weightiest(hit), f"{hit.kind} {hit.ref[:DIGITS]}"
        )
    heads = [Text(line) for line in found.heads]
    return Group(*heads, table, Text(f"Found in {found.milliseconds:.0f} ms.", style="dim"))


def recall_json(found: Recall) -> dict[str, Any]:
    """What was recalled, for machines; times are ISO 8601."""
    return {
        "question": found.question,
        "ms": round(found.milliseconds, 3),
        "heads": list(found.heads),
        "hits": [
            {
                "rank": place + 1,
                "kind": hit.kind,
                "id": hit.ref,
                "type": hit.type,
                "text": hit.text,
                "speaker": hit.speaker,
                "session_id": hit.session_id,
                "sent_at": hit.sent_at.isoformat(),
                "ended_at": hit.ended_at.isoformat(),
                "message_ids": list(hit.message_ids),
                "score": hit.score,
                "boost": hit.boost,
                "importance": hit.importance,
                "pinned": hit.pinned,
                "imagined": hit.imagined,
                "why": hit.why,
                "signs": dict(hit.signs),
                "line": found.lines.get(place),
                "left_out": found.left_out.get(place),
            }
            for place, hit in enumerate(found.hits)
        ],
    }


def _filters(kinds: Sequence[str], before: datetime | None, dreams: bool) -> Filters:
    for unknown in set(kinds) - {"turn", "memory"}:
        raise TwinError(f"Nothing of the kind {unknown} is searched; choose turn or memory.")
    return Filters(kinds=frozenset(kinds), before=before, dreams=dreams)  # type: ignore[arg-type]


def _weightiest(hit: Hit) -> str:
    """The signs that moved the hit most, with what each added."""
    from twin_pipelines.retrieval.ranking.fusion import WEIGHTS

    added = {name: WEIGHTS.get(name, 0.0) * value for name, value in hit.signs.items()}
    best = sorted(added, key=lambda name: -abs(added[name]))[:WEIGHTIEST]
    return ", ".join(f"{name} {added[name]:+.1f}" for name in best)
