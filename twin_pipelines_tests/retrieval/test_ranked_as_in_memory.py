"""Through PostgreSQL a history is ranked as the same plain functions rank it in memory."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.retrieval import pool as module
from twin_pipelines.retrieval import store
from twin_pipelines.retrieval.find import Filters, Question, find
from twin_pipelines.retrieval.index.entries import term_number
from twin_pipelines.retrieval.index.refresh import index_queued
from twin_pipelines.retrieval.pool import signs_of
from twin_pipelines.retrieval.ranking import features
from twin_pipelines.retrieval.ranking.features import NAMES, build_history, candidates
from twin_pipelines.retrieval.ranking.fusion import ranked
from twin_pipelines.retrieval.ranking.lexical import terms_of
from twin_pipelines.retrieval.ranking.views import TURNS
from twin_pipelines.retrieval.store import Pool
from twin_pipelines.settings import TwinSettings
from twin_pipelines_tests.retrieval.ranking.made_history import WordEncoder, made_turns

ENCODER = WordEncoder()
SETTINGS = TwinSettings()
CLOSE = 0.04  # vectors are kept in half precision
QUESTIONS = (
    "Who teaches Mira the cello?",
    "What did Otto's brother buy?",
    "bread recipe in March 2024",
    "ใครสอนเชลโลเมื่อพฤษภาคม 2567",
    "nothing of the kind",
)
_WORDS = tuple(
    word
    for line in (
        "sail lake boat brother bread walnut rye cello lesson neighbour Lisbon Thursday garden",
        "tomato train ticket Berlin museum painting coffee letter sister wedding snow mountain",
        "tent river แมว ตลาด กาแฟ เชียงใหม่",
    )
    for word in line.split()
)


def longer_history(turns: int, seed: int) -> pl.DataFrame:
    """Sessions of a few turns of three people, words drawn at random, some far rarer."""
    rng = random.Random(seed)
    rows, session, left = [], 0, 0
    for place in range(turns):
        if not left:
            session, left = session + 1, rng.randint(1, 7)
        left -= 1
        words = [_WORDS[int(rng.paretovariate(0.7)) % len(_WORDS)] for _ in range(9)]
        sent_at = datetime(2024, 3, 1, 12, tzinfo=UTC) + timedelta(days=session, minutes=place)
        mark = rng.choice(("?", ".", "."))
        name = rng.choice(("Mira", "Otto", "Ida"))
        rows.append((f"{place}", f"{session:03}", name, " ".join(words) + mark, None, sent_at))
    return pl.DataFrame(rows, schema=TURNS, orient="row")


def identity(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def indexed(connection: psycopg.Connection, turns: pl.DataFrame) -> None:
    for place, row in enumerate(turns.iter_rows(named=True)):
        ref, session, at = identity(row["turn"]), identity(row["session"]), row["sent_at"]
        connection.execute(
            "insert into cleaned_messages values"
            " (%s, 'file', 'c', %s, %s, %s, %s, %s, %s, %s, 'en', 3, md5(%s), array[%s::uuid])",
            (
                *(ref, session, row["speaker"], row["text"], at, at, at.date()),
                *(place, row["text"], ref),
            ),
        )
    connection.commit()
    index_queued(connection, ENCODER)


@pytest.mark.parametrize(
    "turns",
    [made_turns().with_columns(caption=pl.lit(None, dtype=pl.String)), longer_history(140, 3)],
    ids=["nine turns", "140 turns"],
)
def test_signs_and_order_are_those_of_the_plain_functions(
    connection: psycopg.Connection, turns: pl.DataFrame
) -> None:
    indexed(connection, turns)
    history = build_history(turns, ENCODER)
    refs = [identity(name) for name in turns["turn"]]
    for question in QUESTIONS:
        [vector] = ENCODER.encode([question])
        plain = candidates(history, question, vector)
        expected = dict(zip((refs[row] for row in plain.rows), plain.signs, strict=True))
        best = ranked(plain)[1]
        [hits] = find(connection, ENCODER, [Question(question)], k=150, settings=SETTINGS)
        texts = {" ".join(text.lower().split()) for text in turns["text"]}
        assert len(hits) == len(texts), "each text once"
        for hit in hits:
            signs = np.array([hit.signs[name] for name in NAMES])
            assert signs == pytest.approx(expected[hit.ref], abs=CLOSE), (question, hit.text)
        fused = sorted((hit.score - np.log(hit.boost) for hit in hits), reverse=True)
        assert fused[0] == pytest.approx(best[0], abs=3 * CLOSE)


def test_what_the_indexes_find_is_what_looking_at_everything_finds(
    connection: psycopg.Connection,
) -> None:
    indexed(connection, longer_history(700, 5))
    rng = random.Random(1)
    few = SETTINGS.retrieval.model_copy(update={"candidates": 60})
    settings = SETTINGS.model_copy(update={"retrieval": few})
    asked = [Question(" ".join(rng.sample(_WORDS, 4))) for _ in range(15)]
    fast = find(connection, ENCODER, asked, settings=settings)
    exact = find(connection, ENCODER, asked, settings=settings, exact=True)
    shared = [
        len({hit.ref for hit in one} & {hit.ref for hit in other})
        for one, other in zip(fast, exact, strict=True)
    ]
    assert np.mean(shared) >= 9.7


def test_a_large_index_is_asked_for_more_by_meaning_and_another_one_for_less_again(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed(connection, longer_history(700, 5))
    nobody = {"terms": [], "filters": Filters(), "most": 600, "nearest": 10}
    [vector] = ENCODER.encode(["sail boat"])

    def found() -> int:
        store._statement.cache_clear()
        pool = store.candidates(connection, model=ENCODER.model_id, vector=vector, **nobody)
        return len(pool.candidates)

    try:
        assert found() == store.BY_MEANING
        monkeypatch.setattr(store, "LARGE", 700)
        assert found() == store.BY_MEANING_OF_LARGE
        monkeypatch.setattr(store, "LARGE", 701)
        assert found() == store.BY_MEANING
    finally:
        store._statement.cache_clear()


@pytest.mark.parametrize("text", ["boat", "cello lesson", "แมว", "of the"])
def test_candidates_are_chosen_as_in_memory_also_for_one_common_word(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    turns, wanted = longer_history(140, 3), 20
    indexed(connection, turns)
    monkeypatch.setattr(features, "CANDIDATES", wanted)
    [vector] = ENCODER.encode([text])
    plain = candidates(build_history(turns, ENCODER), text, vector)
    pool = store.candidates(
        connection,
        model=ENCODER.model_id,
        vector=vector,
        terms=[term_number(term) for term in terms_of(text)],
        filters=Filters(),
        most=wanted,
    )
    found = store.told(connection, pool.candidates["entry"].tolist())
    chosen = {identity(turns["turn"][row]) for row in plain.rows.tolist()}
    assert len({one.ref for one in found.values()} & chosen) >= wanted - 1, "but for rounding"


def test_candidates_are_no_more_than_are_asked_for_and_hold_their_neighbours(
    connection: psycopg.Connection,
) -> None:
    indexed(connection, longer_history(140, 3))
    text = "cello lesson"
    [vector] = ENCODER.encode([text])
    pool = store.candidates(
        connection,
        model=ENCODER.model_id,
        vector=vector,
        terms=[term_number(term) for term in terms_of(text)],
        filters=Filters(),
        most=20,
    )
    assert len(pool.candidates) == len(pool.speakers) == 20
    beside = {one["place"] for one in pool.neighbours}
    rows = connection.execute(
        "select place, lag(place) over session, lead(place) over session from cleaned_messages"
        " window session as (partition by session_id order by sent_at)"
    ).fetchall()
    expected = {place: {before, after} - {None} for place, before, after in rows}
    assert all(expected[one["place"]] <= beside for one in pool.candidates)
    assert pool.candidates["coverage"].max() <= 1.0001
    assert signs_of(pool, text, None).signs.shape == (20, len(NAMES))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 2)), min_size=1),
    st.data(),
)
def test_the_turns_beside_are_found_whatever_gaps_and_ties_a_session_has(
    keys: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    whole = sorted(set(keys))
    chosen = data.draw(st.lists(st.sampled_from(whole), min_size=1, unique=True))
    sides = {key: [_of_session(whole, key, step) for step in (-1, 1)] for key in chosen}
    beside = sorted({one for pair in sides.values() for one in pair if one})
    pool = Pool(
        candidates=_rows(chosen, store.CANDIDATE),
        speakers=[],
        neighbours=_rows(beside, store.NEIGHBOUR),
        version=0,
        model="",
        first=None,
        last=None,
    )
    rows = [*chosen, *beside]
    for side, found in zip((0, 1), module._beside(pool, module._sessions(pool)), strict=True):
        expected = [sides[key][side] or key for key in chosen]
        assert [rows[row] for row in found] == expected


def _of_session(
    whole: list[tuple[int, int, int]], key: tuple[int, int, int], step: int
) -> tuple[int, int, int] | None:
    session = [one for one in whole if one[0] == key[0]]
    at = session.index(key) + step
    return session[at] if 0 <= at < len(session) else None


def _rows(keys: list[tuple[int, int, int]], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    rows = np.zeros(len(keys), dtype)
    for row, (session, sent, place) in enumerate(keys):
        rows[row]["session"], rows[row]["sent"], rows[row]["place"] = session, sent, place
    return rows
