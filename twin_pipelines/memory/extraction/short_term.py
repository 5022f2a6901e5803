"""What is in mind of a conversation's latest session: an extract of it that fades by itself.

The last turns stand as they were said. Of the earlier ones those are kept that say most of what the
session keeps coming back to (SumBasic, Nenkova and Vanderwende 2005, with the logarithm of the
turns that hold a word as its weight): the best turn is taken, what it says counts no more, and so
on. Where the partner's question is still open, that is said. Nothing but the session itself is
looked at, so a day extracted alone and one extracted among others give the same rows.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any

import polars as pl

from twin_pipelines.features.language import detect_languages
from twin_pipelines.foundation.words import words_of_all
from twin_pipelines.memory.records import MEMORIES, memory_identity
from twin_pipelines.persona.statements.patterns import EMPTY_WORDS, QUESTION

LATEST = 4  # turns kept as they were said
EARLIER = 4  # turns kept for what they say
TURN_CHARS = 240
TITLE_WORDS = 3
IMPORTANCE = 0.5  # middling: what is in mind is recalled for being recent
ME, THEM = "me", "them"


def short_term_memories(turns: pl.DataFrame, subject: str, hours: float) -> pl.DataFrame:
    """One memory (MEMORIES, type short_term) for each conversation and day that began a session.

    `turns` (columns of `cleaned_messages`) holds whole sessions; of several that began on one day
    the last one counts. `subject` is the speaker it is about, `hours` after whose end it fades
    (`valid_until`). `details` holds session_id, topics (words), turns (how many there were) and
    open_question (what the partner still waits for an answer to, or null).
    """
    if turns.is_empty():
        return pl.DataFrame(schema=MEMORIES)
    ordered = turns.sort("sent_at", "place")
    ends = ordered.group_by("source", "conversation_id", "session_id", maintain_order=True).agg(
        pl.col("day").first(), pl.col("sent_at").first().alias("began")
    )
    last = ends.sort("began", "session_id").unique(
        ["source", "conversation_id", "day"], keep="last", maintain_order=True
    )
    kept = ordered.join(last.select("session_id"), on="session_id", how="semi")
    kept = kept.with_columns(pl.Series("heard", topic_words(kept["text"].to_list())))
    rows = [
        _memory(session, subject, hours)
        for session in kept.partition_by("session_id", maintain_order=True)
    ]
    frame = pl.DataFrame(rows, schema=MEMORIES)
    said = frame["content"].str.replace_all(rf"(?m)^(?:{ME}|{THEM}): ", "")
    return frame.with_columns(detect_languages(said).alias("language")).sort(
        "first_at", "memory_id"
    )


def topic_words(texts: Sequence[str]) -> list[list[str]]:
    """The words of each text that name what it is about, each once, in order; Thai segmented."""
    empty = _empty_words()
    return [
        [word for word in dict.fromkeys(words) if word not in empty and len(word) > 1]
        for words in words_of_all(texts)
    ]


def _memory(session: pl.DataFrame, subject: str, hours: float) -> dict[str, Any]:
    turns = session.to_dicts()
    first, last = turns[0], turns[-1]
    chosen = _chosen([turn["heard"] for turn in turns])
    speakers = list(dict.fromkeys(turn["speaker"] for turn in turns))
    topics = _topics([turn["heard"] for turn in turns])
    asked = last["text"] if last["speaker"] != subject and QUESTION.search(last["text"]) else None
    ended = max(turn["ended_at"] for turn in turns)
    return {
        "memory_id": memory_identity("short_term", subject, "session", first["session_id"]),
        "type": "short_term",
        "kind": "session",
        "title": ", ".join(topics[:TITLE_WORDS]) or _short(first["text"], 40),
        "content": _told(turns, chosen, subject, len(speakers) > 2),
        "about": subject,
        "people": speakers,
        "language": "none",
        "importance": IMPORTANCE,
        "importance_parts": "{}",
        "confidence": 1.0,
        "sessions": 1,
        "day": first["day"],
        "first_at": first["sent_at"],
        "last_at": ended,
        "valid_from": first["sent_at"],
        "valid_until": ended + timedelta(hours=hours),
        "status": "active",
        "status_reason": "",
        "pinned": False,
        "origin": "extracted",
        "message_ids": [raw for place in chosen for raw in turns[place]["raw_ids"]],
        "source_ids": [],
        "details": json.dumps(
            {
                "session_id": first["session_id"],
                "topics": topics,
                "turns": len(turns),
                "open_question": asked and _short(asked, TURN_CHARS),
            },
            ensure_ascii=False,
        ),
    }


def _chosen(heard: Sequence[Sequence[str]]) -> list[int]:
    """Places of the turns that are kept, in order."""
    spread = Counter(word for words in heard for word in words)
    weights = {word: math.log(turns) for word, turns in spread.items() if turns > 1}
    latest = range(max(0, len(heard) - LATEST), len(heard))
    for place in latest:
        _told_of(weights, heard[place])
    earlier: list[int] = []
    while len(earlier) < EARLIER:
        left = [place for place in range(latest.start) if place not in earlier]
        best = max(left, key=lambda place: (_says(weights, heard[place]), place), default=None)
        if best is None or not _says(weights, heard[best]):
            break
        earlier.append(best)
        _told_of(weights, heard[best])
    return [*sorted(earlier), *latest]


def _says(weights: dict[str, float], words: Sequence[str]) -> float:
    """Weight of what a turn says; the root of its length keeps long turns from always winning."""
    return sum(weights.get(word, 0.0) for word in words) / math.sqrt(len(words) or 1)


def _told_of(weights: dict[str, float], words: Sequence[str]) -> None:
    for word in words:
        weights.pop(word, None)


def _topics(heard: Sequence[Sequence[str]]) -> list[str]:
    """Words of two turns or more, the most frequent first; those said earlier before later ones."""
    spread = Counter(word for words in heard for word in words)
    return [word for word, turns in spread.most_common(8) if turns > 1 and not word.isdigit()]


def _told(turns: Sequence[dict[str, Any]], chosen: Sequence[int], subject: str, many: bool) -> str:
    lines = []
    before = -1
    for place in chosen:
        if place > before + 1:
            lines.append("…")
        speaker = turns[place]["speaker"]
        who = ME if speaker == subject else speaker if many else THEM
        lines.append(f"{who}: {_short(turns[place]['text'], TURN_CHARS)}")
        before = place
    return "\n".join(lines)


def _short(text: str, chars: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= chars else flat[: chars - 1].rstrip() + "…"


@lru_cache(maxsize=1)
def _empty_words() -> frozenset[str]:
    from pythainlp.corpus import thai_stopwords

    empty = {*EMPTY_WORDS.split(), *thai_stopwords()}
    return frozenset(
        empty
        | {word.replace("'", "") for word in empty}
        | set(_CONTRACTIONS.split())
        | {"ครับ", "ค่ะ", "คะ", "นะคะ", "นะครับ", "จ้า", "จ้ะ"}
    )


_CONTRACTIONS = (
    "i'm i've i'd i'll it's that's there's what's don't doesn't didn't can't couldn't won't "
    "wouldn't isn't aren't wasn't weren't haven't hasn't you're you've you'd you'll we're we've "
    "they're he's she's let's hi hey hello haha lol oh um hmm wow ah yeah yep nope nah thanks "
    "please one two three far next fun"
)
