"""The turn that answers is found, by meaning or by words, and never one that was not yet said."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import numpy as np
import polars as pl
import psycopg
import pytest

from twin_pipelines.embeddings import store as vectors
from twin_pipelines.embeddings.encoder import Progress, Vectors
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.retrieval.search import fused, search
from twin_pipelines.retrieval.store import CANDIDATES
from twin_pipelines.settings import TwinError

DAY = date(2018, 5, 7)
NOON = datetime(2018, 5, 7, 12, tzinfo=UTC)
TOPICS = {
    "home": "live town house provo อยู่",
    "pets": "dog cat puppy หมา",
    "food": "eat dinner pasta",
}


class TopicEncoder:
    """A stand-in that understands three topics: one axis each, a little noise for the words."""

    model_id = "topics@00000001"
    dimensions = 16

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        made = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        made[:, -1] = 0.5
        for place, text in enumerate(texts):
            seed = int(hashlib.md5(text.encode()).hexdigest()[:8], 16)
            made[place] += np.random.default_rng(seed).normal(size=self.dimensions) * 0.02
            for axis, words in enumerate(TOPICS.values()):
                made[place, axis] += sum(word in text.lower() for word in words.split())
        return made / np.linalg.norm(made, axis=1, keepdims=True)


ENCODER = TopicEncoder()
Turn = tuple[str, str, int]  # who, what, which session


def add_history(connection: psycopg.Connection, turns: Sequence[Turn], embed: bool = True) -> None:
    """Turns a minute apart, the subject being ann, with vectors."""
    connection.execute(
        "insert into subjects (speaker, name, chosen_by) values ('ann', 'Ann', 'settings')"
    )
    sessions = [uuid4() for _ in range(1 + max(turn[2] for turn in turns))]
    for place, (speaker, text, session) in enumerate(turns):
        sent_at = NOON + timedelta(minutes=place)
        connection.execute(
            "insert into cleaned_messages values"
            " (%s, 'file', 'c', %s, %s, %s, %s, %s, %s, %s, 'en', 3, md5(%s), '{}')",
            (uuid4(), sessions[session], speaker, text, sent_at, sent_at, DAY, place, text),
        )
    if embed:
        texts = [text for _, text, _ in turns]
        hashes = [hashlib.md5(text.encode()).hexdigest() for text in texts]
        unique = list(dict(zip(hashes, texts, strict=True)).items())
        vectors.write_vectors(
            connection,
            DayRange(DAY, DAY),
            ENCODER.model_id,
            [content_hash for content_hash, _ in unique],
            ENCODER.encode([text for _, text in unique]),
        )


HISTORY: list[Turn] = [
    ("ben", "Where do you live?", 0),
    ("ann", "In a tiny place called Orem", 0),
    ("ben", "Do you have a dog?", 0),
    ("ann", "Yes, his name is Rex and he is old", 0),
    ("ann", "Which town do you live in?", 1),
    ("ann", "We eat pasta for dinner every Sunday", 1),
    ("ann", "My puppy ate the zucchini yesterday", 2),
    ("ben", "My house is in Rome", 2),
]


def texts_found(
    connection: psycopg.Connection, query: str, before: datetime | None = None, k: int = 2
) -> list[str]:
    [found] = search(connection, ENCODER, [query], before=before, k=k)
    return [one.text for one in found]


def test_the_answer_to_a_like_question_is_found_though_it_shares_no_word(
    connection: psycopg.Connection,
) -> None:
    add_history(connection, HISTORY)
    assert texts_found(connection, "what town is your house in", k=1) == [
        "In a tiny place called Orem"
    ]


def test_a_rare_word_finds_its_turn(connection: psycopg.Connection) -> None:
    add_history(connection, HISTORY)
    assert texts_found(connection, "who took the zucchini", k=1) == [
        "My puppy ate the zucchini yesterday"
    ]


def test_only_own_turns_that_tell_something_are_found(connection: psycopg.Connection) -> None:
    add_history(connection, HISTORY)
    found = texts_found(connection, "Where do you live, in which town?", k=10)
    assert "My house is in Rome" not in found, "the partner's"
    assert "Which town do you live in?" not in found, "a question"
    assert len(found) == 4


def test_nothing_said_later_is_found(connection: psycopg.Connection) -> None:
    add_history(connection, HISTORY)
    before = NOON + timedelta(minutes=3)
    found = texts_found(connection, "tell me of your dog and the zucchini", before=before, k=10)
    assert found == ["In a tiny place called Orem"]


def test_many_questions_are_answered_at_once_and_in_order(connection: psycopg.Connection) -> None:
    add_history(connection, HISTORY)
    queries = ["puppy ate zucchini", "pasta for dinner", "do you have a dog"]
    together = search(connection, ENCODER, queries, before=None, k=3)
    alone = [search(connection, ENCODER, [one], before=None, k=3)[0] for one in queries]
    assert [[one.message_id for one in found] for found in together] == [
        [one.message_id for one in found] for found in alone
    ]
    assert [found[0].text.split()[1] for found in together] == ["puppy", "eat", "his"]


def test_thai_is_found_by_its_letters(connection: psycopg.Connection) -> None:
    history: list[Turn] = [
        ("ann", "ฉันอยู่ที่เชียงใหม่กับครอบครัว", 0),
        ("ann", "เมื่อวานไปตลาดซื้อผักมา", 1),
        ("ann", "ชอบดื่มกาแฟตอนเช้ามาก", 2),
    ]
    add_history(connection, history, embed=False)
    [found] = search(connection, ENCODER, ["ไปตลาดซื้ออะไร"], before=None, k=1)
    assert found[0].text == "เมื่อวานไปตลาดซื้อผักมา"
    assert found[0].said is None, "without vectors the words alone decide"


def test_the_same_words_are_given_once(connection: psycopg.Connection) -> None:
    history: list[Turn] = [("ann", "I love my dog Rex", n) for n in range(4)]
    add_history(connection, [*history, ("ann", "A cat is fine as well", 5)])
    assert sorted(texts_found(connection, "dog", k=3)) == [
        "A cat is fine as well",
        "I love my dog Rex",
    ]


def test_without_a_subject_the_failure_says_what_to_do(connection: psycopg.Connection) -> None:
    with pytest.raises(TwinError, match="subject"):
        search(connection, ENCODER, ["hello"], before=None, k=1)
    assert search(connection, ENCODER, [], before=None, k=1) == []


@pytest.mark.parametrize(
    "text", ["", "'; drop table subjects; --", "\0 ??? ", "555 😂", "a" * 5_000]
)
def test_any_question_can_be_asked(connection: psycopg.Connection, text: str) -> None:
    add_history(connection, HISTORY)
    assert len(texts_found(connection, text)) == 2


def test_a_sign_that_speaks_clearly_outweighs_one_that_wavers() -> None:
    rows = [
        {"said": 0.30, "answered": None, "words": 0.0},
        {"said": 0.31, "answered": None, "words": 9.0},
        {"said": 0.32, "answered": None, "words": 0.0},
        {"said": 0.31, "answered": None, "words": 0.0},
    ]
    frame = pl.DataFrame(
        [
            {**row, "query": 0, "message_id": str(UUID(int=n)), "session_id": "s", "text": str(n)}
            | {"sent_at": NOON}
            for n, row in enumerate(rows)
        ],
        schema=CANDIDATES,
    )
    best = fused(frame, 2)
    assert best["text"].to_list() == ["1", "2"]
    assert best["score"].is_finite().all()
