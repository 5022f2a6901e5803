"""How well and how fast one's own history is searched, asked with questions made up about it.

A known item: a turn is drawn, a question is made of it as somebody who half remembers it would ask
(`ranking.questions`), and the turn must come back. Drawing and making are the same for the same
history, so that two figures differ by the search alone. Beside them, what the owner confirmed: a
turn that refers back is asked in its own words for the earlier one it means, among what was said
before it.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
import psycopg

from twin_pipelines.embeddings.encoder import Encoder
from twin_pipelines.foundation.models import resolve_model
from twin_pipelines.retrieval import figures_store
from twin_pipelines.retrieval.figures_store import RetrievalFigures
from twin_pipelines.retrieval.find import find
from twin_pipelines.retrieval.index.index_store import state
from twin_pipelines.retrieval.ranking.fit import of_like_meaning
from twin_pipelines.retrieval.ranking.lexical import terms_of
from twin_pipelines.retrieval.ranking.questions import made_questions
from twin_pipelines.retrieval.records import Filters, Hit, Question
from twin_pipelines.retrieval.telling import CountTokens, Told, days, fitting, quoted
from twin_pipelines.settings import TwinSettings, as_plain

QUESTIONS = 200
FEWEST_TERMS = 3  # of a question that tells what it is about
TURNS_READ = 6_000  # of the history, whole sessions: what questions are made of
FIRST, DEPTH = 10, 120  # hits that count as found; hits a context is filled from
CONTEXT_TOKENS = 2_000
WARM_UP = 5  # questions that are asked before the clock runs
SEED = 20
CONFIDENCE = 1.959964  # of a normal distribution, 95 %


@dataclass(frozen=True)
class KnownItem:
    """A question about a turn: its raw messages, its words, and the day of asking."""

    question: str
    asked_on: date
    message_ids: frozenset[str]
    text: str


def measured(
    connection: psycopg.Connection,
    encoder: Encoder,
    settings: TwinSettings,
    count_tokens: CountTokens,
) -> RetrievalFigures:
    """Ask QUESTIONS known items, one by one, and say how many were found and how long it took.

    `count_tokens` gives the tokens of each line. Without a turn that tells enough to ask about
    there is no figure. Raises TwinError when the index is of another embedding model.
    """
    turns = figures_store.sampled_turns(connection, TURNS_READ)
    items = known_items(turns, encoder) if turns.height else []
    for item in items[:WARM_UP]:
        _context(connection, encoder, settings, item, count_tokens)
    places, seconds = [], []
    for item in items:
        began = time.perf_counter()
        hits, fits = _context(connection, encoder, settings, item, count_tokens)
        seconds.append(time.perf_counter() - began)
        place = next((at for at, hit in enumerate(hits) if answers(hit, item)), len(hits))
        places.append((place < FIRST, any(answers(hits[told], item) for told in fits)))
    confirmed = _confirmed(connection, encoder, settings)
    now = state(connection)
    found, stood = np.array(places, dtype=float).reshape(-1, 2).sum(axis=0).tolist()
    low, high = wilson(found, len(items)) if items else (None, None)
    times = (np.percentile(seconds, (50, 95, 99)) * 1_000).tolist() if items else [None] * 3
    return RetrievalFigures(
        measured_at=None,
        index_version=now.version,
        model=encoder.model_id,
        settings=as_plain(settings.retrieval),
        entries=now.entries,
        questions=len(items),
        recall_at_10=found / len(items) if items else None,
        ci_low=low,
        ci_high=high,
        evidence=stood / len(items) if items else None,
        p50_ms=times[0],
        p95_ms=times[1],
        p99_ms=times[2],
        words=_words(len(items), turns),
        confirmed=len(confirmed),
        confirmed_recall=sum(confirmed) / len(confirmed) if confirmed else None,
    )


def known_items(turns: pl.DataFrame, encoder: Encoder, count: int = QUESTIONS) -> list[KnownItem]:
    """At most `count` questions about turns (figures_store.SAMPLED), the same for the same ones.

    One that kept fewer than FEWEST_TERMS terms besides the names of the speakers could be about
    anything and is not asked.
    """
    otherwise = of_like_meaning(turns["text"].to_list(), encoder)
    last: date = turns["sent_at"].max().date()  # type: ignore[union-attr]
    names = {term for name in turns["speaker"].unique() for term in terms_of(name)}
    made = made_questions(turns.drop("message_ids"), turns.height, otherwise, random.Random(SEED))
    telling = [one for one in made if len(set(terms_of(one.text)) - names) >= FEWEST_TERMS]
    rows = turns.select("text", "message_ids").rows(named=True)
    return [
        KnownItem(one.text, last, frozenset(row["message_ids"]), row["text"])
        for one in telling[:count]
        for row in [rows[one.rows[0]]]
    ]


def answers(hit: Hit, item: KnownItem) -> bool:
    """Whether a hit is the turn that was asked about: by its messages, or by the very same words.

    A memory counts when it rests on that turn.
    """
    same = " ".join(hit.text.lower().split()) == " ".join(item.text.lower().split())
    return same or not item.message_ids.isdisjoint(hit.message_ids)


def wilson(found: float, asked: int) -> tuple[float, float]:
    """95 % interval of a share. E. B. Wilson, "Probable inference", JASA 22, 1927."""
    share, squared = found / asked, CONFIDENCE**2
    middle = share + squared / (2 * asked)
    spread = CONFIDENCE * np.sqrt(share * (1 - share) / asked + squared / (4 * asked**2))
    low, high = (middle - spread, middle + spread)
    return float(low / (1 + squared / asked)), float(high / (1 + squared / asked))


def _confirmed(
    connection: psycopg.Connection, encoder: Encoder, settings: TwinSettings
) -> list[bool]:
    """Whether what each turn refers back to, by the owner's word, is among the first ten then."""
    items = figures_store.confirmed_items(connection)
    found = []
    for item in items:
        asked = Question(item.text, asked_on=item.sent_at.date())
        filters = Filters(before=item.sent_at)
        [hits] = find(connection, encoder, [asked], k=FIRST, filters=filters, settings=settings)
        found.append(any(item.answering in hit.message_ids for hit in hits))
    return found


def _context(
    connection: psycopg.Connection,
    encoder: Encoder,
    settings: TwinSettings,
    item: KnownItem,
    count_tokens: CountTokens,
) -> tuple[list[Hit], list[int]]:
    """What is found for a question, and the places of what is told in CONTEXT_TOKENS."""
    asked = Question(item.question, asked_on=item.asked_on)
    [hits] = find(connection, encoder, [asked], k=DEPTH, settings=settings)
    return hits, fitting([line(hit) for hit in hits], CONTEXT_TOKENS, count_tokens, {})


def line(hit: Hit) -> Told:
    """A hit as a prompt tells it: its days, who said it, the words."""
    return Told(days(hit.sent_at.date(), hit.ended_at.date(), "en"), quoted(hit.speaker, hit.text))


def token_counter(settings: TwinSettings) -> CountTokens:
    """Counts the tokens of lines as the model that is trained does. Raises TwinError."""
    from tokenizers import Tokenizer

    folder = resolve_model(settings.training.base_model, settings, purpose="causal").path
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return lambda lines: [len(one.ids) for one in tokenizer.encode_batch(list(lines))]


def _words(asked: int, turns: pl.DataFrame) -> str:
    if not asked:
        return "No turn tells enough to ask about it."
    return (
        f"{asked} questions made up about turns drawn from {turns['session'].n_unique():,} "
        f"sessions, one after another on one connection, with the embedding model loaded; "
        f"{DEPTH} hits a question."
    )
