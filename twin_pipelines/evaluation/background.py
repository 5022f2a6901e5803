"""Other people: whose texts teach the style verifier, who stay unseen, and what they were asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from twin_pipelines.features.text import clean_texts
from twin_pipelines.generation.prompt import Message, chat_messages
from twin_pipelines.sources.chitchat import background_exchanges, background_texts

UNSEEN_PEOPLE = 8
UNSEEN_TEXTS = 320  # of each unseen person
CONTEXT_TURNS = 3  # the manner of a machine shows in a short context too


@dataclass(frozen=True)
class Background:
    """Texts of people known and unknown to the verifier, and contexts of other subjects."""

    people: dict[str, list[str]]
    unseen: dict[str, list[str]]
    contexts: list[list[Message]]


def load_background(
    exclude: str, *, people: int, contexts: int, min_words: int, system: str
) -> Background:
    """Other people's texts, cleaned and filtered as the subject's replies are.

    `exclude` is the subject's speaker name. The contexts carry the system prompt `system`.
    """
    known = background_texts(exclude, people)
    unseen = background_texts(exclude, UNSEEN_PEOPLE, skip=people)
    return Background(
        people={who: _usable(texts, min_words) for who, texts in known.items()},
        unseen={who: _usable(texts, min_words)[:UNSEEN_TEXTS] for who, texts in unseen.items()},
        contexts=[
            chat_messages(system, turns[-CONTEXT_TURNS:-1], turns[-1]["content"])
            for turns, _ in background_exchanges(contexts, exclude)
        ],
    )


def _usable(texts: Sequence[str], min_words: int) -> list[str]:
    cleaned = clean_texts(pl.Series("text", list(texts), dtype=pl.String)).to_list()
    return [text for text in cleaned if text and len(text.split()) >= min_words]
