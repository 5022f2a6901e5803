"""Known-item questions about one's own history: made, asked, counted, kept and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import dagster as dg
import psycopg
import pytest
from remembered import WordEncoder
from searched_history import add_turns

from twin_pipelines.commands.report import _recall
from twin_pipelines.commands.scoreboard import _figure_lines
from twin_pipelines.commands.status import _searched
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.retrieval import assets, checks, figures_store
from twin_pipelines.retrieval.figures import answers, known_items, measured, wilson
from twin_pipelines.retrieval.find import Question, find
from twin_pipelines.retrieval.index.refresh import index_queued
from twin_pipelines.retrieval.ranking.lexical import terms_of
from twin_pipelines.settings import TwinSettings

SAID = [
    "I planted three cherry trees behind the old barn on Monday",
    "I finally sold my green sailing boat to a dentist from Lisbon",
    "I burned the walnut bread because the oven timer was broken",
    "I practise the cello every Thursday with a neighbour upstairs",
    "เมื่อวานฉันไปกินก๋วยเตี๋ยวเรือที่อยุธยากับน้องสาว",
    "ฉันเพิ่งซื้อกล้องถ่ายรูปตัวใหม่จากตลาดมือสอง",
]


def count_words(lines: Sequence[str]) -> list[int]:
    return [len(line.split()) for line in lines]


@pytest.fixture
def history(twin_home: TwinSettings, connection: psycopg.Connection) -> psycopg.Connection:
    """Six turns that tell something, each answered with a nod."""
    talk = [
        one
        for place, text in enumerate(SAID)
        for one in (("ann", text, place // 2), ("ben", "ok", place // 2))
    ]
    add_turns(connection, talk)
    connection.commit()
    index_queued(connection, WordEncoder())
    return connection


def test_turns_are_found_again_and_the_figures_add_up(
    history: psycopg.Connection, twin_home: TwinSettings
) -> None:
    found = measured(history, WordEncoder(), twin_home, count_words)
    assert found.questions >= 3
    assert found.recall_at_10 is not None and found.recall_at_10 > 0.7
    assert found.ci_low is not None and found.ci_high is not None
    assert found.ci_low < found.recall_at_10 <= found.ci_high + 1e-9
    assert found.evidence == 1.0, "twelve short lines fit 2,000 tokens"
    assert 0 < (found.p50_ms or 0) <= (found.p95_ms or 0) <= (found.p99_ms or 0)
    assert (found.entries, found.model) == (12, WordEncoder.model_id)
    again = measured(history, WordEncoder(), twin_home, count_words)
    assert (again.questions, again.recall_at_10) == (found.questions, found.recall_at_10)


def test_a_context_without_room_holds_nothing(
    history: psycopg.Connection, twin_home: TwinSettings
) -> None:
    found = measured(history, WordEncoder(), twin_home, lambda lines: [9_999] * len(lines))
    assert found.evidence == 0.0


def test_questions_are_made_about_both_languages_and_say_whose_turn(
    history: psycopg.Connection,
) -> None:
    turns = figures_store.sampled_turns(history, 100)
    assert turns.height == 12
    items = known_items(turns, WordEncoder())
    assert {"ann" in item.question or "ben" in item.question for item in items} == {True}
    assert any("\u0e00" <= sign <= "\u0e7f" for item in items for sign in item.question)
    assert all(item.text != "ok" for item in items)
    assert all(len(set(terms_of(item.question)) - {"ann", "ben"}) >= 3 for item in items)
    assert items == known_items(turns, WordEncoder())
    assert 0 < figures_store.sampled_turns(history, 1).height < 12


def test_only_the_turn_or_what_rests_on_it_answers(
    history: psycopg.Connection, twin_home: TwinSettings
) -> None:
    item = known_items(figures_store.sampled_turns(history, 100), WordEncoder())[0]
    asked = [Question(item.text)]
    [hits] = find(history, WordEncoder(), asked, k=12, settings=twin_home)
    right = [hit for hit in hits if answers(hit, item)]
    assert [hit.text for hit in right] == [item.text]
    memory = replace(hits[-1], message_ids=(*hits[-1].message_ids, *item.message_ids))
    assert answers(memory, item)


def test_a_history_that_tells_nothing_has_no_figure(
    twin_home: TwinSettings, connection: psycopg.Connection
) -> None:
    assert _searched(connection)["retrieval_evidence_recall_at_10"] is None
    add_turns(connection, [("ann", "ok", 0), ("ben", "fine", 0)])
    connection.commit()
    index_queued(connection, WordEncoder())
    found = measured(connection, WordEncoder(), twin_home, count_words)
    assert (found.questions, found.recall_at_10, found.p95_ms) == (0, None, None)
    figures_store.keep(connection, found)
    shown = _searched(connection)
    assert shown["retrieval_evidence_recall_at_10"] is None
    assert _recall(shown)[1:] == ("–", "not measured yet")


def test_the_asset_keeps_figures_that_status_and_report_show(
    history: psycopg.Connection, twin_home: TwinSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "load_encoder", lambda _: WordEncoder())
    monkeypatch.setattr(assets, "token_counter", lambda _: count_words)
    monkeypatch.setattr(checks, "MOST_MS", 10_000.0)
    result = dg.materialize(
        [assets.retrieval_figures, checks.figures_add_up, checks.recall_is_quick],
        resources={"twin": TwinResource()},
    )
    assert all(one.passed for one in result.get_asset_check_evaluations())
    kept = figures_store.latest_figures(history)
    assert kept is not None and kept.measured_at is not None
    assert kept.settings["candidates"] == twin_home.retrieval.candidates
    shown = _searched(history)
    assert shown["retrieval_evidence_recall_at_10"] == kept.recall_at_10
    assert shown["memory_retrieval_ms"] == {"p50": kept.p50_ms, "p95": kept.p95_ms}
    assert "turns asked about among the first 10" in _recall(shown)[2]


def test_figures_that_contradict_each_other_are_told(
    history: psycopg.Connection, twin_home: TwinSettings
) -> None:
    found = measured(history, WordEncoder(), twin_home, count_words)
    figures_store.keep(history, replace(found, evidence=1.5, p95_ms=400.0, p99_ms=500.0))
    history.commit()
    assert not checks.figures_add_up(TwinResource()).passed  # type: ignore[union-attr]
    slow = checks.recall_is_quick(TwinResource())
    assert isinstance(slow, dg.AssetCheckResult)
    assert not slow.passed and slow.description == "p95 400 ms"


def test_the_scoreboard_has_a_line_of_it() -> None:
    metrics = {
        "reply_perplexity": {"ratio": None},
        **dict.fromkeys(
            ("style_consistency", "style_realism", "person_specific_gain", "personality_score")
        ),
        "pick_real_reply_hits1_of_20": {"twin": None},
        "memorisation_rate": None,
        "retrieval_evidence_recall_at_10": 0.625,
        "retrieval_evidence_recall_at_10_ci95": [0.5, 0.7],
        "retrieval_evidence_in_context": 0.8,
        "retrieval_questions": 200,
        "memory_retrieval_ms": {"p50": 8.2, "p95": 20.4},
    }
    [(name, told)] = list(_figure_lines(metrics))
    assert name == "recall"
    assert told == (
        "62.5% of 200 turns asked about among the first 10 [0.50–0.70], 80.0% in 2,000 tokens; "
        "8 ms, p95 20 ms"
    )


def test_the_interval_is_wilsons() -> None:
    low, high = wilson(8, 10)
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)
    assert wilson(10, 10)[1] == pytest.approx(1)
    assert wilson(0, 5)[0] == pytest.approx(0)
