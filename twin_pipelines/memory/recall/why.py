"""Why a memory is, or is not, recalled, a core memory, active: in words and in numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl
import psycopg

from twin_pipelines.embeddings.encoder import Encoder
from twin_pipelines.foundation.words import words_of
from twin_pipelines.memory.forgetting.retention import FADED, FLOOR, with_retention
from twin_pipelines.memory.forgetting.store import history_end
from twin_pipelines.memory.importance import PARTS
from twin_pipelines.memory.ledger_store import load_changes
from twin_pipelines.memory.recall import why_store
from twin_pipelines.memory.recall.search import CANDIDATES, ranked
from twin_pipelines.persona.statements.patterns import EMPTY_WORDS
from twin_pipelines.settings import ImportanceWeights, Memory, TwinError, TwinSettings

NEAR_MISSES = 5
_SHOWN = 5
_LONGEST = 160  # characters of a message
_ID = re.compile(r"[0-9a-f]{4,8}[0-9a-f-]*")
_EMPTY = frozenset(EMPTY_WORDS.split())


@dataclass(frozen=True)
class Why:
    """The explanation of one memory: sentences under headings, and the figures they rest on."""

    memory_id: str
    type: str
    kind: str
    content: str
    about: str
    status: str
    sections: dict[str, list[str]] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)

    def words(self) -> str:
        """The explanation as text of several lines."""
        lines = [self.content, f"{self.type} · {self.kind} · {self.about} · {self.memory_id}"]
        for heading, sentences in self.sections.items():
            lines += ["", heading, *(f"  {sentence}" for sentence in sentences)]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return dict(vars(self))


def why_memory(
    connection: psycopg.Connection, settings: TwinSettings, reference: str, now: datetime
) -> Why:
    """Everything that decides about one memory.

    `reference` is its id or a beginning of it that no other memory has; `now` is the time for which
    its retention is told. Raises TwinError when there is no such memory, or several.
    """
    memory_id = _found(connection, reference)
    memory = settings.memory
    row = _explained(connection, memory, [memory_id], now)[memory_id]
    changes = load_changes(connection, memory_id=memory_id)
    sections = {
        "Where it comes from": _origin(connection, row),
        "Importance": _importance(row, memory.weights),
        "Core memory": _core(row, memory),
        "Recall": _recall(row, now),
        "Fading": _fading(row, memory),
        "State": _state(row, now),
        "Changes": _changes(changes),
    }
    return _why(row, sections, memory)


def why_query(
    connection: psycopg.Connection,
    settings: TwinSettings,
    encoder: Encoder,
    query: str,
    now: datetime,
    *,
    k: int = 10,
) -> list[Why]:
    """Which memories a question recalls and why, the best first, then those it nearly recalls.

    After the `k` recalled come at most `NEAR_MISSES` that ranked too low, and at most as many that
    hold words of the question but may not be recalled, each with its reason. `now` is the time for
    which their retention is told where the history does not say.
    """
    memory = settings.memory
    at = history_end(connection) or now
    found = ranked(connection, encoder, [query], settings=memory, most=max(CANDIDATES, k))
    near = found.head(k + NEAR_MISSES)
    asked = [word for word in words_of(query) if word not in _EMPTY and len(word) > 1]
    unfit = why_store.load_unfit(connection, asked, at, NEAR_MISSES)
    held = dict(unfit.iter_rows())
    rows = _explained(connection, memory, [*near["memory_id"], *held], at)
    last = min(near.filter(pl.col("rank") <= k)["score"].to_list(), default=0.0)
    answers = []
    for terms in near.iter_rows(named=True):
        row = rows[terms["memory_id"]]
        sections = {
            "Recall": _terms(terms, k, last),
            "Importance": _importance(row, memory.weights),
            "Fading": _fading(row, memory),
        }
        scores = ("rank", "score", "meaning", "words", "boost")
        answers.append(_why(row, sections, memory, {name: terms[name] for name in scores}))
    for memory_id, words in held.items():
        row = rows[memory_id]
        sentence = (
            f"Not recalled, though it holds {words} of {_many(len(asked), 'word')} asked for."
        )
        sections = {"Recall": [sentence, *_hindrances(row, at)], "State": _state(row, at)}
        answers.append(_why(row, sections, memory, {"words_held": words}))
    return answers


def _found(connection: psycopg.Connection, reference: str) -> str:
    wanted = reference.strip().lower()
    if not _ID.fullmatch(wanted):
        raise TwinError(
            f"{reference!r} is no memory id; give an id, or its first four digits or more, as "
            "`twin memory list` shows them."
        )
    ids = why_store.matching(connection, wanted)
    if len(ids) == 1:
        return ids[0]
    if not ids:
        raise TwinError(
            f"No memory's id begins with {wanted}; look it up with `twin memory list` or "
            "`twin memory search`."
        )
    raise TwinError(f"Several memories begin with {wanted} ({', '.join(ids)}); give more digits.")


def _explained(
    connection: psycopg.Connection, memory: Memory, memory_ids: Sequence[str], now: datetime
) -> dict[str, dict[str, Any]]:
    """Rows of `why_store.EXPLAINED` with their retention, by id."""
    frame = why_store.load_explained(
        connection, memory_ids, memory.core_threshold, memory.core_sessions
    )
    core = (pl.col("type") == "core") | (
        pl.col("candidate")
        & (pl.col("importance") >= pl.lit(memory.core_threshold).cast(pl.Float32))
        & (pl.col("sessions") >= memory.core_sessions)
    )
    told = with_retention(frame.with_columns(core.alias("core")), now, memory.half_life_days)
    return {row["memory_id"]: row for row in told.iter_rows(named=True)}


def _why(
    row: dict[str, Any],
    sections: dict[str, list[str]],
    memory: Memory,
    more: dict[str, Any] | None = None,
) -> Why:
    numbers = {
        "importance": round(row["importance"], 3),
        "parts": json.loads(row["importance_parts"]),
        "weights": memory.weights.model_dump(),
        "confidence": round(row["confidence"], 3),
        "sessions": row["sessions"],
        "messages": len(row["message_ids"]),
        "recalls": row["recalls"],
        "days": round(row["days"], 2),
        "strength_days": round(row["strength_days"], 2),
        "retention": round(row["retention"], 4),
        "forget_below": memory.forget_below,
        "core_threshold": memory.core_threshold,
        "core_sessions": memory.core_sessions,
        **(more or {}),
    }
    names = ("memory_id", "type", "kind", "content", "about", "status")
    return Why(**{name: row[name] for name in names}, sections=sections, numbers=numbers)


def _origin(connection: psycopg.Connection, row: dict[str, Any]) -> list[str]:
    ways = {
        "extracted": "Found in messages by patterns",
        "llm": "Found in messages by the language model",
        "consolidated": "Made of several memories that say the same",
        "imported": f"Imported from {row['source_ref']}",
        "reflected": "Dreamt up from other memories; it never happened",
        "owner": "Written by the owner",
    }
    held = len(row["message_ids"])
    said = f"first {row['first_at']:%Y-%m-%d}, last {row['last_at']:%Y-%m-%d}"
    sentences = [
        f"{ways[row['origin']]}; confidence {row['confidence']:.2f}; {_many(held, 'message')} "
        f"in {_many(row['sessions'], 'session')}; {said}."
    ]
    messages = why_store.load_messages(connection, row["message_ids"])
    for message in messages.head(_SHOWN).iter_rows(named=True):
        text = " ".join(message["text"].split())
        shown = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
        sentences.append(f"{message['sent_at']:%Y-%m-%d %H:%M} {message['speaker']}: {shown}")
    if messages.height > _SHOWN:
        sentences.append(f"and {_many(messages.height - _SHOWN, 'more message')}.")
    if messages.height < held:
        sentences.append(f"{held - messages.height} of its messages are no longer there.")
    for other in why_store.load_relatives(connection, row["memory_id"]).head(10).iter_rows():
        made_of, memory_id, kind_of, kind, content, status = other
        relation = "Made of" if made_of else "Part of"
        sentences.append(f"{relation} {memory_id[:8]} ({kind_of}, {kind}, {status}): {content}")
    return sentences


def _importance(row: dict[str, Any], weights: ImportanceWeights) -> list[str]:
    parts = json.loads(row["importance_parts"])
    known = [name for name in PARTS if parts.get(name) is not None]
    if not known:
        return [f"{row['importance']:.2f}, as it was given; its parts are not known."]
    total = sum(getattr(weights, name) for name in known)
    sentences = [f"{row['importance']:.2f}, the weighted mean of {_many(len(known), 'part')}:"]
    for name in sorted(known, key=lambda name: -parts[name] * getattr(weights, name)):
        weight = getattr(weights, name)
        added = f" adds {parts[name] * weight / total:.3f}" if total else ""
        sentences.append(f"{name.replace('_', ' ')} {parts[name]:.2f} at weight {weight:g}{added}")
    unknown = [name.replace("_", " ") for name in PARTS if name not in known]
    if unknown:
        sentences.append(f"not known, so not counted: {', '.join(unknown)}.")
    mean = sum(parts[name] * getattr(weights, name) for name in known) / total if total else None
    if mean is not None and abs(mean - row["importance"]) > 0.01:
        sentences.append(
            f"With today's weights it would be {mean:.2f}; it is weighed anew when it is derived "
            "again."
        )
    return sentences


def _core(row: dict[str, Any], memory: Memory) -> list[str]:
    enough = row["importance"] >= memory.core_threshold - 1e-6
    importance = (
        f"importance {row['importance']:.2f} {'reaches' if enough else 'is under'} "
        f"memory.core_threshold {memory.core_threshold:g}"
    )
    often = row["sessions"] >= memory.core_sessions
    sessions = (
        f"said in {_many(row['sessions'], 'session')}, memory.core_sessions asks for "
        f"{memory.core_sessions}"
    )
    if row["served"]:
        return [f"It is a core memory of the release in force ({importance}; {sessions})."]
    if row["type"] == "dream":
        return ["It is no core memory: what is dreamt never becomes one."]
    if not row["candidate"]:
        reasons = [] if enough and often else [f"{importance}; {sessions}."]
        return ["It is no candidate for core memories.", *reasons]
    if not (enough and often):
        return [f"It is a candidate, but is not promoted: {importance}; {sessions}."]
    before = row["candidates_before"]
    if before >= memory.core_limit:
        return [
            f"It is a candidate that passes ({importance}; {sessions}), but {before} come before "
            f"it and memory.core_limit is {memory.core_limit}."
        ]
    return [
        f"It is a candidate that passes, number {before + 1} of at most {memory.core_limit} "
        f"({importance}; {sessions}); it becomes a core memory with the next promotion."
    ]


def _recall(row: dict[str, Any], now: datetime) -> list[str]:
    times = (
        f"Recalled {_many(row['recalls'], 'time')}, last {row['last_recalled_at']:%Y-%m-%d %H:%M}."
        if row["recalls"]
        else "Never recalled so far."
    )
    hindrances = _hindrances(row, now)
    return [times, *(hindrances or ["Nothing keeps it from being recalled."])]


def _hindrances(row: dict[str, Any], now: datetime) -> list[str]:
    """Why it may not be recalled at all; nothing: it may."""
    found = []
    if row["status"] != "active":
        found.append(
            f"It is {row['status']}: {row['status_reason'] or 'no reason is written down'}."
        )
    if row["type"] == "dream":
        found.append("It is a dream: found only where dreams are asked for, never as a fact.")
    if row["valid_until"] is not None and row["valid_until"] <= now:
        newer = f"; since then: {row['superseding']}" if row["superseding"] else ""
        found.append(f"It ceased to hold on {row['valid_until']:%Y-%m-%d}{newer}.")
    if not found and not row["indexed"]:
        found.append("It is not indexed yet; the next search indexes it.")
    return found


def _fading(row: dict[str, Any], memory: Memory) -> list[str]:
    kept = row["pinned"] or row["core"]
    limit = (
        f"kept at {FLOOR:g} or more because it is {'pinned' if row['pinned'] else 'core'}"
        if kept
        else f"archived under memory.forget_below {memory.forget_below:g}"
    )
    return [
        f"Retention {row['retention']:.2f} = exp(−{row['days']:.0f} days / "
        f"{row['strength_days']:.0f}); {limit}.",
        f"The strength of {row['strength_days']:.0f} days comes of memory.half_life_days "
        f"{memory.half_life_days:g}, importance {row['importance']:.2f} and "
        f"{_many(row['recalls'], 'recall')}.",
    ]


def _state(row: dict[str, Any], now: datetime) -> list[str]:
    means = {
        "active": "Active: it may be recalled.",
        "merged": "Merged: another memory says it, with more evidence.",
        "archived": "Archived: it faded, or the owner put it away; nothing is deleted.",
        "quarantined": f"Quarantined and not recalled: {row['status_reason']}.",
        "forgotten": "Forgotten: the owner wants it never recalled again.",
    }
    sentences = [means[row["status"]]]
    if row["status_reason"]:
        sentences.append(f"Reason: {row['status_reason']}")
    if row["status"] == "archived" and not row["status_reason"].startswith(FADED):
        sentences.append("It does not come back by itself.")
    if row["valid_from"]:
        sentences.append(f"Holds since {row['valid_from']:%Y-%m-%d}.")
    if row["valid_until"]:
        tense = "Held" if row["valid_until"] <= now else "Holds"
        newer = f"; replaced by: {row['superseding']}" if row["superseding"] else ""
        sentences.append(f"{tense} until {row['valid_until']:%Y-%m-%d}{newer}.")
    if row["pinned"]:
        sentences.append("Pinned by the owner: kept whatever happens.")
    return sentences


def _changes(changes: pl.DataFrame) -> list[str]:
    """What each run did to it, one sentence a run."""
    sentences = []
    for change in changes.iter_rows(named=True):
        before = json.loads(change["before"]) if change["before"] else {}
        after = json.loads(change["after"]) if change["after"] else {}
        if not before:
            did = "made it"
        elif not after:
            did = "removed it"
        else:
            differs = [name for name in after if after[name] != before.get(name)]
            did = "changed " + ", ".join(name.replace("_", " ") for name in differs)
        undone = f" (undone by run {change['undone_by']})" if change["undone_by"] else ""
        sentences.append(f"Run {change['run_id']}, {change['kind']}: {did}{undone}.")
    return sentences or ["No run changed it."]


def _terms(terms: dict[str, Any], k: int, last: float) -> list[str]:
    made = (
        f"score {terms['score']:.3f} = (half of meaning {terms['meaning']:.3f} + half of words "
        f"{terms['words']:.3f}) × {terms['boost']:.3f} for importance {terms['importance']:.2f} "
        f"and retention {terms['retention']:.2f}"
    )
    if terms["rank"] <= k:
        return [f"Recalled as number {terms['rank']}: {made}."]
    return [
        f"Not recalled: number {terms['rank']} of which {k} are taken; the last of them has "
        f"{last:.3f}, this one {made}."
    ]


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
