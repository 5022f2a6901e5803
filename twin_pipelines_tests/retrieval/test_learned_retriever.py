"""A learned retriever changes what is looked up at once, for everybody, and can be undone."""

from __future__ import annotations

import uuid

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_pipelines.retrieval import store as search
from twin_pipelines.retrieval.find import Question, find
from twin_pipelines.retrieval.learning import store
from twin_pipelines.retrieval.learning.fit import Labels, divergence, fit
from twin_pipelines.retrieval.learning.retriever import STOCK, Floats, Retriever
from twin_pipelines.retrieval.store import index_version
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines_tests.retrieval.searched_history import (
    ENCODER,
    HISTORY,
    TOPICS,
    add_turns,
    index_all,
    turn_id,
)

HOME, PETS, FOOD = range(len(TOPICS))


def turning(retriever_id: str, model: str = ENCODER.model_id) -> Retriever:
    """Takes questions about pets for questions about food."""
    looks, moves = np.zeros((2, 1, ENCODER.dimensions), dtype=np.float32)
    looks[0, PETS] = 5.0
    moves[0, FOOD] = 5.0
    return Retriever(retriever_id, model, looks, moves)


def keep(
    connection: psycopg.Connection, retriever: Retriever, place: int = 5, *, passed: bool = True
) -> None:
    store.save(
        connection,
        retriever,
        recipe=f"recipe {retriever.retriever_id}",
        learned_from="d1",
        message_ids=[str(turn_id(place))],
        figures={},
        passed=passed,
        verdict="It may be nothing or harm.",
    )
    connection.commit()


def best(connection: psycopg.Connection, retriever: Retriever | None = None) -> str:
    [[hit]] = find(
        connection,
        ENCODER,
        [Question("a cat")],
        k=1,
        settings=TwinSettings(),
        retriever=retriever,
    )
    return hit.text


@pytest.fixture
def history(connection: psycopg.Connection) -> psycopg.Connection:
    add_turns(connection, HISTORY)
    index_all(connection)
    return connection


def test_questions_are_looked_up_by_it_from_its_transaction_on_and_as_before_after_a_rollback(
    history: psycopg.Connection,
) -> None:
    before, version = best(history), index_version(history)
    assert any(word in before for word in ("puppy", "dog", "Rex"))
    keep(history, turning("r1"))
    assert best(history) == before, "it is not in force yet"
    store.put_in_force(history, "r1")
    assert "pasta" in best(history)
    assert best(history, STOCK) == before, "a trial can still ask the encoder as it is"
    assert index_version(history) == version + 1, "or caches would give what was found before"
    store.put_in_force(history, "r1")
    assert index_version(history) == version + 1
    assert store.roll_back(history) is None
    assert best(history) == before
    with pytest.raises(TwinError, match="nothing to go back to"):
        store.roll_back(history)


def test_a_rollback_gives_back_the_one_before(history: psycopg.Connection) -> None:
    for name in ("r1", "r2"):
        keep(history, turning(name))
        store.put_in_force(history, name)
    assert [one.in_force for one in store.learned(history)] == [True, False]
    assert store.roll_back(history) == "r1"
    assert store.in_force(history) == "r1"
    assert store.roll_back(history) is None


def test_what_the_gate_refused_or_nobody_knows_never_comes_into_force(
    history: psycopg.Connection,
) -> None:
    keep(history, turning("bad"), passed=False)
    with pytest.raises(TwinError, match="Retriever bad was refused: It may be nothing or harm"):
        store.put_in_force(history, "bad")
    with pytest.raises(TwinError, match="no retriever none"):
        store.put_in_force(history, "none")
    assert store.in_force(history) is None


def test_one_learned_for_another_embedding_model_does_nothing(history: psycopg.Connection) -> None:
    before = best(history)
    keep(history, turning("other", model="words@00000001"))
    store.put_in_force(history, "other")
    assert best(history) == before


def test_when_a_message_it_learned_from_is_erased_so_is_it(history: psycopg.Connection) -> None:
    before = best(history)
    keep(history, turning("r1"), place=5)
    keep(history, turning("r2"), place=6)
    store.put_in_force(history, "r1")
    store.put_in_force(history, "r2")
    assert "pasta" in best(history)
    assert store.withdraw(history, [str(uuid.UUID(int=1))]) == []
    assert store.withdraw(history, [str(turn_id(6))]) == ["r2"]
    assert store.in_force(history) is None and best(history) == before
    assert [one.retriever_id for one in store.learned(history)] == ["r1"]


def test_in_force_it_costs_no_further_search(
    history: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(history, turning("steady"))
    store.put_in_force(history, "steady")
    best(history)
    asked: list[object] = []
    candidates = search.candidates

    def counted(*given: object, **more: object) -> object:
        asked.append(given)
        return candidates(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(search, "candidates", counted)
    best(history)
    assert len(asked) == 1


@given(st.integers(1, 4), st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_weights_come_back_as_they_were_and_vectors_stay_of_unit_length(
    rank: int, seed: int
) -> None:
    dice = np.random.default_rng(seed)
    looks, moves = dice.normal(size=(2, rank, 8)).astype(np.float32)
    made = Retriever("r", "m", looks, moves)
    again = Retriever.unpacked("r", "m", 8, made.packed())
    assert np.array_equal(again.looks, looks) and np.array_equal(again.moves, moves)
    vectors = _unit(dice.normal(size=(5, 8)))
    moved = again.of(vectors, "m")
    assert np.allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-5)
    assert np.array_equal(again.of(vectors, "other"), vectors)
    assert np.array_equal(STOCK.of(vectors, "m"), vectors)


def test_what_makes_replies_likelier_is_learned_and_holds_for_contexts_it_was_not_taught() -> None:
    labels = made_labels(contexts=160, true=True)
    fitted = fit(labels)
    assert fitted.steps and fitted.after < 0.9 * fitted.before
    learned = Retriever("r", "m", fitted.looks, fitted.moves)
    unseen = made_labels(contexts=100, true=True, seed=9)
    nearness = fitted.nearness
    assert divergence(unseen, learned, nearness) < 0.9 * divergence(unseen, STOCK, nearness)
    few = labels.rows(0, 12)
    assert np.array_equal(fit(few).moves, fit(few).moves), "the same labels, the same adapter"


def test_where_gains_have_no_pattern_hardly_anything_is_learned() -> None:
    fitted = fit(made_labels(contexts=160, true=False))
    learned = Retriever("r", "m", fitted.looks, fitted.moves)
    unseen = made_labels(contexts=200, true=False, seed=9)
    nearness = fitted.nearness
    assert divergence(unseen, learned, nearness) < 1.05 * divergence(unseen, STOCK, nearness)


def test_a_handful_of_contexts_is_refused() -> None:
    with pytest.raises(ValueError, match="9 contexts are too few"):
        fit(made_labels(contexts=9, true=True))


def made_labels(*, contexts: int, true: bool, seed: int = 1) -> Labels:
    """Gains that come from one hidden move of the question, or from nothing; some are missing."""
    dimensions, most = 16, 6
    hidden = np.random.default_rng(0).normal(size=(dimensions, dimensions)) / 4
    dice = np.random.default_rng(seed)
    questions = _unit(dice.normal(size=(contexts, dimensions)))
    candidates = _unit(dice.normal(size=(contexts, most, dimensions)))
    meant = _unit(questions + questions @ hidden)
    gains = 6 * np.einsum("cd,ckd->ck", meant, candidates)
    if not true:
        gains = dice.normal(size=gains.shape)
    gains[::5, -1] = np.nan
    return Labels(questions, candidates, gains.astype(np.float32))


def _unit(vectors: np.ndarray) -> Floats:  # type: ignore[type-arg]
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
