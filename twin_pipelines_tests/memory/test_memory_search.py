"""Memories are found by meaning and by words, in Thai and English, however old; dreams are not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from remembered import NOW, WordEncoder, remember

from twin_pipelines.memory.recall.search import CANDIDATES, explain, index, search
from twin_pipelines.memory.recall.search_store import index_summary

ENCODER = WordEncoder()


def found(connection: psycopg.Connection, query: str, **asked: object) -> list[str]:
    index(connection, ENCODER)
    (answers,) = search(connection, ENCODER, [query], **asked)  # type: ignore[arg-type]
    return [answer.content for answer in answers]


def test_a_relevant_memory_of_242_days_is_found_before_fresh_ones(
    connection: psycopg.Connection,
) -> None:
    remember(connection, "My grandmother taught me to bake rye bread", days=242, importance=0.2)
    for number in range(30):
        remember(connection, f"I had noodles for lunch number {number}", importance=0.9)
    assert found(connection, "who taught you to bake bread?")[0].startswith("My grandmother")


def test_thai_is_found_by_its_words_though_it_has_no_spaces(
    connection: psycopg.Connection,
) -> None:
    remember(connection, "แมวของเราชอบกินปลามากเลยค่ะ 555")
    remember(connection, "พรุ่งนี้ต้องไปทำงานแต่เช้านะคะ")
    remember(connection, "I really love sushi นะคะ ❤️")
    assert found(connection, "แมวกินอะไร", k=1) == ["แมวของเราชอบกินปลามากเลยค่ะ 555"]
    assert found(connection, "loving sushi ครับ", k=1) == ["I really love sushi นะคะ ❤️"]


def test_inflected_words_meet(connection: psycopg.Connection) -> None:
    remember(connection, "I studied biology in Rome")
    remember(connection, "I have two owls")
    (answers,) = search_after_index(connection, "studying")
    assert answers[0].content == "I studied biology in Rome"
    assert answers[0].words > 0 and answers[1].words == 0


def search_after_index(connection: psycopg.Connection, query: str) -> list:
    index(connection, ENCODER)
    return search(connection, ENCODER, [query])


@pytest.mark.parametrize("status", ["archived", "merged", "quarantined"])
def test_what_is_not_active_is_never_found(connection: psycopg.Connection, status: str) -> None:
    told = remember(connection, "I live in Chiang Mai")
    index(connection, ENCODER)
    connection.execute("update memories set status = %s where memory_id = %s", (status, told))
    assert found(connection, "I live in Chiang Mai") == []
    assert explain(connection, ENCODER, "Chiang Mai", told) is None


def test_dreams_are_no_facts_and_come_only_when_asked_for(connection: psycopg.Connection) -> None:
    dreamt = remember(connection, "I live on the moon", type="dream", kind="vision")
    remember(connection, "I live in Rome")
    assert found(connection, "where do I live, on the moon?") == ["I live in Rome"]
    index(connection, ENCODER)
    (answers,) = search(connection, ENCODER, ["moon"], dreams=True)
    assert [(one.content, one.imagined) for one in answers] == [("I live on the moon", True)]
    explained = explain(connection, ENCODER, "moon", dreamt)
    assert explained is not None and explained.imagined


def test_what_ceased_to_be_true_is_not_found_but_was_then(connection: psycopg.Connection) -> None:
    moved = NOW - timedelta(days=50)
    remember(connection, "I live in Rome", days=100, valid_until=moved)
    remember(connection, "I live in Oslo", days=50)
    assert found(connection, "where do you live") == ["I live in Oslo"]
    assert found(connection, "where do you live", before=moved - timedelta(days=1)) == [
        "I live in Rome"
    ]


def test_importance_and_freshness_move_the_score_by_a_tenth_at_most(
    connection: psycopg.Connection,
) -> None:
    remember(connection, "I play the cello", days=2_000, importance=0.0, kind="Likes")
    remember(connection, "I play the cello", importance=1.0, kind="Habits and skills")
    (answers,) = search_after_index(connection, "cello")
    assert [round(one.boost, 3) for one in answers] == [1.1, 0.9]
    assert [one.rank for one in answers] == [1, 2]
    assert answers[0].score == pytest.approx(1.1 * (answers[0].meaning + answers[0].words) / 2)


def test_any_memory_can_be_explained_however_far_down(connection: psycopg.Connection) -> None:
    for number in range(CANDIDATES + 10):
        remember(connection, f"tea tea tea {number}", days=number)
    far = remember(connection, "a cup of something entirely different", days=500)
    index(connection, ENCODER)
    explained = explain(connection, ENCODER, "tea", far)
    assert explained is not None
    assert explained.rank > CANDIDATES


def test_only_what_is_new_or_changed_is_indexed(connection: psycopg.Connection) -> None:
    told = remember(connection, "I like tea")
    remember(connection, "I like tea", kind="Habits and skills")
    assert index(connection, ENCODER).embedded == 1
    assert index(connection, ENCODER).memories == 0
    connection.execute("update memories set content = 'I like rain' where memory_id = %s", [told])
    assert index(connection, ENCODER).memories == 1
    assert found(connection, "rain")[0] == "I like rain"
    summary = index_summary(connection, ENCODER.model_id)
    assert summary.select("memories", "embedded", "worded").rows() == [(2, 2, 2)]


@pytest.mark.parametrize(
    "query", ["", "  ", "?!", "the of and", "'; drop table memories; --", "a\0b", "😀", "\\'"]
)
def test_odd_questions_are_answered(connection: psycopg.Connection, query: str) -> None:
    remember(connection, "I like tea")
    assert found(connection, query) == ["I like tea"]


def test_no_memories_no_questions(connection: psycopg.Connection) -> None:
    assert search(connection, ENCODER, ["anything"], before=datetime.now(UTC)) == [[]]
    assert search(connection, ENCODER, []) == []
