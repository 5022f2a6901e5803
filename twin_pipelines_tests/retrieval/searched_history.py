"""Made-up histories in PostgreSQL, indexed for search, and an encoder of topics."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg

from twin_pipelines.embeddings.encoder import Progress, Vectors
from twin_pipelines.retrieval.index.refresh import index_queued

NOON = datetime(2018, 5, 7, 12, tzinfo=UTC)
TOPICS = {
    "home": "live town house provo อยู่",
    "pets": "dog cat puppy หมา",
    "food": "eat dinner pasta",
}
Turn = tuple[str, str, int]  # who, what, which session


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


def add_turns(connection: psycopg.Connection, turns: Sequence[Turn], source: str = "file") -> None:
    """Turns a minute apart, the subject being ann; turns that are there already stay."""
    connection.execute(
        "insert into subjects (speaker, name, chosen_by) values ('ann', 'Ann', 'settings') "
        "on conflict do nothing"
    )
    for place, (speaker, text, session) in enumerate(turns):
        sent_at = NOON + timedelta(minutes=place)
        connection.execute(
            "insert into cleaned_messages values"
            " (%s, %s, 'c', %s, %s, %s, %s, %s, %s, %s, 'en', 3, md5(%s), %s)",
            (
                turn_id(place, source),
                source,
                session_id(session),
                *(speaker, text, sent_at, sent_at, sent_at.date(), place, text),
                [turn_id(place, source)],
            ),
        )


def turn_id(place: int, source: str = "file") -> uuid.UUID:
    """The id of a turn that `add_turns` added."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"turn {source} {place}")


def session_id(number: int) -> uuid.UUID:
    """The id of a session that `add_turns` added."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"session {number}")


def add_memory(
    connection: psycopg.Connection,
    content: str,
    *,
    type: str = "knowledge",
    about: str = "ann",
    importance: float = 0.5,
    message_ids: Sequence[uuid.UUID] = (),
    at: datetime = NOON,
    status: str = "active",
    valid_until: datetime | None = None,
    pinned: bool = False,
) -> uuid.UUID:
    """A memory; returns its id."""
    memory_id = uuid.uuid5(uuid.NAMESPACE_OID, content)
    connection.execute(
        "insert into memories (memory_id, type, kind, title, content, about, importance,"
        " confidence, first_at, last_at, status, valid_until, pinned, origin, message_ids)"
        " values (%s, %s, 'Likes', 'title', %s, %s, %s, 1, %s, %s, %s, %s, %s, 'owner', %s)",
        (
            memory_id,
            *(type, content, about, importance, at, at, status, valid_until, pinned),
            list(message_ids),
        ),
    )
    return memory_id


def index_all(connection: psycopg.Connection) -> None:
    """Index what is queued; commits."""
    connection.commit()
    index_queued(connection, ENCODER)
