"""`twin bench typos`: known items asked for with a slip of the pen, on one's own history."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import psycopg

from twin_pipelines.embeddings.encoder import Encoder, load_encoder
from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.retrieval import figures_store
from twin_pipelines.retrieval.figures import FIRST, TURNS_READ, KnownItem, answers, known_items
from twin_pipelines.retrieval.find import Question, find
from twin_pipelines.retrieval.index.index_store import state
from twin_pipelines.retrieval.index.refresh import index_queued
from twin_pipelines.retrieval.ranking.lexical import STOP_WORDS
from twin_pipelines.settings import TwinError, TwinSettings

FEWEST_LETTERS = 5  # of a word that gets a slip
SEED = 20
_WORD = re.compile(rf"[^\W\d_]{{{FEWEST_LETTERS},}}")


def typos(settings: TwinSettings, count: int) -> dict[str, Any]:
    """Recall at 10 and milliseconds of known items, as they are and with one slip each.

    Each is asked with words that no entry holds taken for those spelled like them, and literally.
    Raises TwinError when the history has nothing to ask about.
    """
    encoder = load_encoder(settings)
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        index_queued(connection, encoder, wait=True)
        turns = figures_store.sampled_turns(connection, TURNS_READ)
        items = known_items(turns, encoder, count) if turns.height else []
        dice = random.Random(SEED)
        asked = [(one, with_slip(one.question, dice)) for one in items]
        asked = [(one, slipped) for one, slipped in asked if slipped != one.question]
        if not asked:
            raise TwinError("No turn tells enough to ask about it; import more history.")
        arms: dict[str, Callable[[KnownItem, str], str]] = {
            "as_asked": lambda one, _: one.question,
            "with_a_slip": lambda _, slipped: slipped,
        }
        result: dict[str, Any] = {
            "questions": len(asked),
            "entries": state(connection).entries,
        }
        for name, words in arms.items():
            texts = [(one, words(one, slipped)) for one, slipped in asked]
            result[name] = _both(connection, encoder, settings, texts)
    return result


def with_slip(text: str, dice: random.Random) -> str:
    """The text with one slip in one of its words of FEWEST_LETTERS letters or more, if it has one.

    A letter is left out, doubled, taken for another one of the text, or changes places with the
    next.
    """
    found = [one for one in _WORD.finditer(text) if one.group().lower() not in STOP_WORDS]
    if not found:
        return text
    word = dice.choice(found)
    spelled = word.group()
    at = dice.randrange(1, len(spelled) - 1)
    before, letter, after = spelled[:at], spelled[at], spelled[at + 1 :]
    slipped = dice.choice(
        (
            before + after,
            before + letter + letter + after,
            before + dice.choice(spelled) + after,
            before + after[0] + letter + after[1:],
        )
    )
    return text[: word.start()] + slipped + text[word.end() :]


def _both(
    connection: psycopg.Connection,
    encoder: Encoder,
    settings: TwinSettings,
    texts: Sequence[tuple[KnownItem, str]],
) -> dict[str, Any]:
    """Recall at 10 and times, with slips put right and taken literally, question by question."""
    found = np.zeros((len(texts), 2))
    seconds = np.zeros((len(texts), 2))
    for row, (item, text) in enumerate(texts):
        for column, literal in enumerate((False, True)):
            began = time.perf_counter()
            [hits] = find(
                connection,
                encoder,
                [Question(text, asked_on=item.asked_on)],
                k=FIRST,
                settings=settings,
                literal=literal,
            )
            seconds[row, column] = time.perf_counter() - began
            found[row, column] = any(answers(hit, item) for hit in hits)
    told = {}
    for column, name in enumerate(("put_right", "literal")):
        p50, p95 = np.percentile(seconds[:, column], (50, 95)) * 1_000
        told[name] = {
            "recall_at_10": round(float(found[:, column].mean()), 3),
            "p50_ms": round(float(p50), 1),
            "p95_ms": round(float(p95), 1),
        }
    better = int((found[:, 0] > found[:, 1]).sum())
    return {**told, "found_by_it": better, "lost_by_it": int((found[:, 0] < found[:, 1]).sum())}
