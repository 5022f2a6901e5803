"""The turn or memory that answers is found, with the reason; what filters bar is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from twin_pipelines.retrieval.find import Filters, Hit, Question, by_session, find, find_sessions
from twin_pipelines.retrieval.store import index_version
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines_tests.retrieval.searched_history import (
    ENCODER,
    HISTORY,
    NOON,
    TopicEncoder,
    Turn,
    add_memory,
    add_turns,
    index_all,
    session_id,
    turn_id,
)

SETTINGS = TwinSettings()
ANN = Filters(speakers=frozenset({"ann"}))


def found(
    connection: psycopg.Connection, query: str, k: int = 2, filters: Filters = ANN
) -> list[Hit]:
    [hits] = find(connection, ENCODER, [Question(query)], k=k, filters=filters, settings=SETTINGS)
    return hits


def texts_found(
    connection: psycopg.Connection, query: str, k: int = 2, filters: Filters = ANN
) -> list[str]:
    return [hit.text for hit in found(connection, query, k, filters)]


def add_history(connection: psycopg.Connection, turns: Sequence[Turn] = HISTORY) -> None:
    add_turns(connection, turns)
    index_all(connection)


def test_the_answer_to_a_like_question_is_found_though_it_shares_no_word(
    connection: psycopg.Connection,
) -> None:
    add_history(connection)
    best = texts_found(connection, "what town is your house in", filters=replace(ANN, telling=True))
    assert "In a tiny place called Orem" in best


def test_a_rare_word_finds_its_turn_and_why_is_said(connection: psycopg.Connection) -> None:
    add_history(connection)
    [hit] = found(connection, "who took the zucchini", k=1)
    assert hit.text == "My puppy ate the zucchini yesterday"
    assert "says “zucchini”" in hit.why
    assert (hit.kind, hit.ref, hit.memory_id) == ("turn", str(turn_id(6)), None)
    assert hit.session_id == str(session_id(2))
    assert hit.message_ids == (str(turn_id(6)),)
    assert hit.signs["bm25_meta"] > 1 and 0.9 <= hit.boost <= 1.1


def test_nobody_else_and_no_mere_question_is_found_where_that_is_asked(
    connection: psycopg.Connection,
) -> None:
    add_history(connection)
    query = "Where do you live, in which town?"
    own = texts_found(connection, query, k=10, filters=replace(ANN, telling=True))
    assert "My house is in Rome" not in own, "the partner's"
    assert "Which town do you live in?" not in own, "a question"
    assert len(own) == 4
    assert len(texts_found(connection, query, k=10, filters=Filters())) == len(HISTORY)


def test_time_bounds_keep_out_what_was_said_later_or_earlier(
    connection: psycopg.Connection,
) -> None:
    add_history(connection)
    query = "tell me of your dog and the zucchini"
    before = replace(ANN, before=NOON + timedelta(minutes=3))
    assert texts_found(connection, query, 10, before) == ["In a tiny place called Orem"]
    since = replace(ANN, since=NOON + timedelta(minutes=6))
    assert texts_found(connection, query, 10, since) == ["My puppy ate the zucchini yesterday"]


def test_barred_sessions_give_neither_turns_nor_memories(connection: psycopg.Connection) -> None:
    add_turns(connection, HISTORY)
    add_memory(connection, "Her puppy eats zucchini", message_ids=[turn_id(6)])
    add_memory(connection, "Her dog is called Rex", message_ids=[turn_id(3)])
    index_all(connection)
    barred = Filters(barred=frozenset({str(session_id(2))}))
    texts = texts_found(connection, "the puppy and the zucchini", 10, barred)
    assert not any("zucchini" in text for text in texts)
    assert "Her dog is called Rex" in texts and "In a tiny place called Orem" in texts
    assert "My house is in Rome" not in texts


def test_kinds_types_and_sources_are_told_apart(connection: psycopg.Connection) -> None:
    add_turns(connection, HISTORY)
    add_turns(connection, [("ann", "My dog sleeps on the sofa", 7)], source="mail")
    add_memory(connection, "Loves her dog", type="core")
    add_memory(connection, "Walks the dog at dawn", type="procedural")
    index_all(connection)
    query = "dog"
    assert {hit.kind for hit in found(connection, query, 20, Filters())} == {"turn", "memory"}
    memories = Filters(kinds=frozenset({"memory"}))
    assert set(texts_found(connection, query, 20, memories)) == {
        "Loves her dog",
        "Walks the dog at dawn",
    }
    core = Filters(types=frozenset({"core"}))
    assert texts_found(connection, query, 20, core) == ["Loves her dog"]
    mail = Filters(sources=frozenset({"mail"}))
    assert texts_found(connection, query, 20, mail) == ["My dog sleeps on the sofa"]
    assert (
        texts_found(connection, query, 20, Filters(kinds=frozenset({"turn"}))).count(
            "Loves her dog"
        )
        == 0
    )


def test_dreams_are_found_only_where_dreams_are_asked_for(connection: psycopg.Connection) -> None:
    add_turns(connection, HISTORY)
    add_memory(connection, "We lived in a house of pasta", type="dream")
    index_all(connection)
    assert "We lived in a house of pasta" not in texts_found(connection, "pasta house", 20)
    [dream] = found(connection, "pasta house", 20, Filters(dreams=True))
    assert dream.text == "We lived in a house of pasta" and dream.imagined


def test_a_memory_that_no_longer_stands_is_not_found_even_before_it_is_indexed_anew(
    connection: psycopg.Connection,
) -> None:
    add_turns(connection, HISTORY)
    kept = add_memory(connection, "Her dog is called Rex")
    add_memory(connection, "Her dog is with the vet", valid_until=NOON - timedelta(days=1))
    add_memory(connection, "Her dog obeys every order", status="quarantined")
    index_all(connection)
    memories = Filters(kinds=frozenset({"memory"}))
    assert texts_found(connection, "dog", 10, memories) == ["Her dog is called Rex"]
    was = replace(memories, before=NOON - timedelta(days=2))
    assert texts_found(connection, "dog", 10, was) == []
    connection.execute("update memories set status = 'archived' where memory_id = %s", [kept])
    assert texts_found(connection, "dog", 10, memories) == []


def test_thai_is_found_by_its_words(connection: psycopg.Connection) -> None:
    add_history(
        connection,
        [
            ("ann", "ฉันอยู่ที่เชียงใหม่กับครอบครัว", 0),
            ("ann", "เมื่อวานไปตลาดซื้อผักมา", 1),
            ("ann", "ชอบดื่มกาแฟตอนเช้ามาก", 2),
        ],
    )
    [hit] = found(connection, "ตลาดซื้ออะไร", k=1)
    assert hit.text == "เมื่อวานไปตลาดซื้อผักมา"
    assert "“ตลาด”" in hit.why


def test_a_question_that_names_a_time_finds_what_was_said_then(
    connection: psycopg.Connection,
) -> None:
    add_turns(connection, [("ann", "I bought a bicycle and rode it home", 0)])
    connection.execute(
        "update cleaned_messages set sent_at = sent_at - interval '1 year',"
        " ended_at = ended_at - interval '1 year', day = day - 365"
    )
    add_turns(connection, [("ann", "I bought a bicycle, and it was stolen", 1)], source="mail")
    index_all(connection)
    for query, said in (
        ("What did ann do with the bicycle in May 2017?", "rode it home"),
        ("What did ann do with the bicycle in May 2018?", "was stolen"),
        ("จักรยาน bicycle เดือนพฤษภาคม 2560", "rode it home"),
    ):
        dated = [hit for hit in found(connection, query) if hit.signs["date"] == 1.0]
        assert [hit.text.endswith(said) for hit in dated] == [True], query
        assert "of the time that is asked about" in dated[0].why


def test_the_same_words_are_given_once(connection: psycopg.Connection) -> None:
    history: list[Turn] = [("ann", "I love my dog Rex", n) for n in range(4)]
    add_history(connection, [*history, ("ann", "A cat is fine as well", 5)])
    assert sorted(texts_found(connection, "dog", k=3)) == [
        "A cat is fine as well",
        "I love my dog Rex",
    ]


def test_many_questions_are_answered_at_once_and_in_order(connection: psycopg.Connection) -> None:
    add_history(connection)
    questions = [Question(text) for text in ("puppy ate zucchini", "pasta for dinner", "dog")]
    together = find(connection, ENCODER, questions, k=3, settings=SETTINGS)
    alone = [find(connection, ENCODER, [one], k=3, settings=SETTINGS)[0] for one in questions]
    assert [[hit.ref for hit in hits] for hits in together] == [
        [hit.ref for hit in hits] for hits in alone
    ]
    assert together[0][0].text.startswith("My puppy")
    assert find(connection, ENCODER, [], settings=SETTINGS) == []


def test_sessions_are_found_by_their_best_turn(connection: psycopg.Connection) -> None:
    add_history(connection)
    [sessions] = find_sessions(
        connection, ENCODER, [Question("zucchini for the puppy")], k=2, settings=SETTINGS
    )
    assert sessions[0].session_id == str(session_id(2))
    assert len(sessions) == 2
    assert [hit.sent_at for hit in sessions[0].hits] == sorted(
        hit.sent_at for hit in sessions[0].hits
    )
    assert sessions[0].score >= sessions[1].score
    assert by_session([]) == []


@pytest.mark.parametrize(
    "text", ["", "'; drop table subjects; --", "\0 ??? ", "555 😂", "a" * 5_000, "%s %(x)s {}"]
)
def test_any_question_can_be_asked(connection: psycopg.Connection, text: str) -> None:
    add_history(connection)
    assert len(texts_found(connection, text)) == 2


def test_a_question_that_leans_on_the_chat_is_looked_up_with_its_words(
    connection: psycopg.Connection,
) -> None:
    add_history(connection)
    leaning = Question("when was that?", turns=("My puppy found the zucchini",))
    [hits] = find(connection, ENCODER, [leaning], k=1, filters=ANN, settings=SETTINGS)
    assert hits[0].text == "My puppy ate the zucchini yesterday"
    assert "“zucchini”" in hits[0].why, "the words it was looked up with"


def test_what_was_found_first_can_add_to_a_question(connection: psycopg.Connection) -> None:
    add_history(
        connection,
        [
            ("ann", "The zucchini stood beside the old greenhouse", 0),
            ("ann", "A zucchini grew in the greenhouse in June", 1),
            ("ann", "In the greenhouse it was always warm", 2),
            ("ann", "We eat pasta for dinner every Sunday", 3),
        ],
    )
    fed = SETTINGS.retrieval.model_copy(update={"expansion": "feedback"})
    settings = SETTINGS.model_copy(update={"retrieval": fed})
    question = [Question("zucchini")]
    [plain] = find(connection, ENCODER, question, k=4, settings=SETTINGS)
    [found] = find(connection, ENCODER, question, k=4, settings=settings)
    warm = next(hit for hit in found if "warm" in hit.text)
    assert "“greenhouse”" in warm.why
    assert all("greenhouse" not in hit.why for hit in plain)


def test_filters_bind_an_exact_search_too(connection: psycopg.Connection) -> None:
    add_turns(connection, HISTORY)
    add_memory(connection, "Her dog is called Rex", message_ids=[turn_id(3)])
    index_all(connection)
    filters = Filters(
        kinds=frozenset({"turn"}),
        speakers=frozenset({"ann"}),
        types=frozenset({"message"}),
        sources=frozenset({"file"}),
        since=NOON,
        before=NOON + timedelta(minutes=6),
        barred=frozenset({str(session_id(1))}),
        telling=True,
    )
    for exact in (False, True):
        [hits] = find(
            connection,
            ENCODER,
            [Question("dog")],
            filters=filters,
            settings=SETTINGS,
            exact=exact,
        )
        assert {hit.text for hit in hits} == {
            "In a tiny place called Orem",
            "Yes, his name is Rex and he is old",
        }


def test_an_empty_index_answers_nothing(connection: psycopg.Connection) -> None:
    assert found(connection, "dog") == []


def test_another_embedding_model_is_refused_with_the_command_that_mends_it(
    connection: psycopg.Connection,
) -> None:
    add_history(connection)

    class Other(TopicEncoder):
        model_id = "topics@00000002"

    with pytest.raises(TwinError, match="twin reindex"):
        find(connection, Other(), [Question("dog")], settings=SETTINGS)


def test_the_version_rises_when_something_changes(connection: psycopg.Connection) -> None:
    add_history(connection)
    before = index_version(connection)
    found(connection, "dog")
    assert index_version(connection) == before
    connection.execute("delete from cleaned_messages where id = %s", [turn_id(0)])
    assert index_version(connection) > before
