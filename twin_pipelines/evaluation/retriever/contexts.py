"""Contexts whose real reply is known, and what the subject had said until then."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg

from twin_pipelines.embeddings.encoder import Encoder
from twin_pipelines.evaluation.frozen import Exchange
from twin_pipelines.retrieval.find import Filters, Hit, Question, find
from twin_pipelines.retrieval.learning.retriever import Retriever
from twin_pipelines.settings import TwinSettings

FEWEST_WORDS = 4  # of a reply that something recalled may make likelier, and of what it answers


@dataclass(frozen=True)
class Context:
    """An exchange, and when the reply was sent: only what was said before may be recalled."""

    exchange: Exchange
    replied_at: datetime


def drawn(
    exchanges: Sequence[Exchange], replied_at: Mapping[str, datetime], count: int
) -> list[Context]:
    """At most `count` exchanges that say something, drawn by the hash of their pair, by time.

    `replied_at` is by pair; one without a time is not there any more and is left out. Words are
    counted by the spaces between them, Thai by its letters.
    """
    telling = [
        Context(one, replied_at[one.pair_id])
        for one in exchanges
        if one.pair_id in replied_at and _tells(one.reply) and _tells(one.input)
    ]
    telling.sort(key=lambda one: hashlib.sha256(one.exchange.pair_id.encode()).hexdigest())
    return sorted(telling[:count], key=lambda one: (one.replied_at, one.exchange.pair_id))


@dataclass(frozen=True)
class Past:
    """The search index of a history, and whose words are recalled from it."""

    connection: psycopg.Connection
    encoder: Encoder
    settings: TwinSettings
    speaker: str

    def recalled(self, context: Context, *, k: int, retriever: Retriever) -> list[Hit]:
        """The k turns the subject said before that are found for a context, none of its session.

        By the learned fusion alone and without anything added to the question, as evaluations
        recall.
        """
        plain = self.settings.retrieval.model_copy(update={"reranker": "", "expansion": "off"})
        [hits] = find(
            self.connection,
            self.encoder,
            [Question(context.exchange.input, asked_on=context.replied_at.date())],
            k=k,
            filters=Filters(
                kinds=frozenset({"turn"}),
                speakers=frozenset({self.speaker}),
                before=context.replied_at,
                barred=frozenset({context.exchange.session_id}),
                telling=True,
            ),
            settings=self.settings.model_copy(update={"retrieval": plain}),
            retriever=retriever,
        )
        return hits


def _tells(text: str) -> bool:
    thai = sum("\u0e00" <= letter <= "\u0e7f" for letter in text)
    return len(text.split()) >= FEWEST_WORDS or thai >= 4 * FEWEST_WORDS
