"""What an evaluation recalls was said on the train side, whatever else the database holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import numpy as np
import psycopg
import pytest

from twin_pipelines.embeddings import store as vectors
from twin_pipelines.embeddings.encoder import Progress, Vectors
from twin_pipelines.evaluation import recall as recalling
from twin_pipelines.evaluation.frozen import Exchange, FrozenSet
from twin_pipelines.evaluation.recall import digest, recall, recall_for
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.retrieval.index.refresh import index_queued
from twin_pipelines.settings import TwinError, TwinSettings

DAY = date(2018, 5, 7)
NOON = datetime(2018, 5, 7, 12, tzinfo=UTC)
TRAIN, UNSEEN, LATE = (UUID(int=n) for n in (1, 2, 3))
SAID = {
    TRAIN: ("I live in Provo near the river", "My dog is called Rex"),
    UNSEEN: ("I live in Boston now", "My dog ran away"),
    LATE: ("I live in Reno since May",),
}
BEFORE = NOON + timedelta(hours=2)


class WordsAlone:
    """A stand-in without meaning: words decide."""

    model_id = "words@00000001"
    dimensions = 8

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        return np.tile(np.eye(1, self.dimensions, dtype=np.float32), (len(texts), 1))


@pytest.fixture
def history(connection: psycopg.Connection) -> psycopg.Connection:
    """Sessions of train, of the test split (at the same hour), and a later one."""
    connection.execute("insert into subjects values (true, 'ann', 'Ann', 'settings')")
    place = 0
    for session, texts in SAID.items():
        for text in texts:
            sent_at = NOON + timedelta(minutes=place, hours=5 * (session == LATE))
            connection.execute(
                "insert into cleaned_messages values"
                " (%s, 'f', 'c', %s, 'ann', %s, %s, %s, %s, %s, 'en', 3, md5(%s), '{}')",
                (UUID(int=100 + place), session, text, sent_at, sent_at, DAY, place, text),
            )
            place += 1
    texts = [text for told in SAID.values() for text in told]
    vectors.write_vectors(
        connection,
        DayRange(DAY, DAY),
        WordsAlone.model_id,
        [hashlib.md5(text.encode()).hexdigest() for text in texts],
        WordsAlone().encode(texts),
    )
    connection.commit()
    index_queued(connection, WordsAlone())
    return connection


def exchange(session: UUID, said: str, reply: str) -> Exchange:
    return Exchange(
        f"pair-{session.int}", str(session), ({"role": "user", "content": said},), reply
    )


def test_nothing_of_an_unseen_session_or_later_is_recalled(history: psycopg.Connection) -> None:
    asked = {"q": "where do you live and what of your dog"}
    found = recall_for(
        history, WordsAlone(), TwinSettings(), asked, before=BEFORE, barred={str(UNSEEN)}
    )
    assert sorted(found["q"]) == sorted(SAID[TRAIN])


def test_contexts_and_questions_are_recalled_in_full_depth(
    history: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, twin_home: TwinSettings
) -> None:
    monkeypatch.setattr(recalling, "load_encoder", lambda _: WordsAlone())
    train = [exchange(TRAIN, "where are you", "I live in Provo")]
    unseen = [exchange(UNSEEN, "how is your dog", "My dog ran away")]
    frozen = FrozenSet("f", "d", tuple(unseen), 1)

    def found(depth: str) -> dict[str, list[str]] | None:
        evaluation = twin_home.evaluation.model_copy(update={"depth": depth})
        settings = twin_home.model_copy(update={"evaluation": evaluation})
        return recall(
            history, settings, train=train, unseen=unseen, frozen=frozen, train_until=BEFORE
        )

    recalled = found("full")
    assert recalled is not None and len(recalled) == 2
    assert recalled["pair-2"][0] == "My dog is called Rex"
    [question] = set(recalled) - {"pair-2"}
    assert recalled[question][0] == "I live in Provo near the river"
    assert found("quick") is None
    assert digest(None) == [] and digest(recalled) != digest({"pair-2": []})
    train.append(exchange(UNSEEN, "so", "I live in Boston"))
    with pytest.raises(TwinError, match="rebuild the dataset"):
        found("full")


def test_without_vectors_nothing_is_recalled(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, twin_home: TwinSettings
) -> None:
    monkeypatch.setattr(recalling, "load_encoder", lambda _: WordsAlone())
    frozen = FrozenSet("f", "d", (), 0)
    arguments = {"train": [], "unseen": [], "frozen": frozen, "train_until": BEFORE}
    assert recall(connection, twin_home, **arguments) is None
