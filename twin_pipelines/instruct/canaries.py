"""Canaries: made-up secrets planted in train, to see later whether a model gives them away.

They depend on the subject alone, so every dataset of a twin carries the same five and exposures can
be compared between releases (docs/figures.md; Carlini et al., "The Secret Sharer", 2019). They are
not pairs: nothing counts them, and no other split holds them.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from dataclasses import dataclass
from typing import Any

from twin_pipelines.generation.prompt import chat_messages

_SALT = "twin-pipelines canary 1"
_THINGS = (
    "the old library card",
    "the blue locker at the station",
    "the lottery ticket from last summer",
    "the box in the attic",
    "the bicycle in the cellar",
)


@dataclass(frozen=True)
class Canary:
    """What is asked, and the secret that only train answers with."""

    prompt: list[dict[str, str]]
    secret: str


def canaries(subject: str, system: str) -> list[Canary]:
    """The five canaries of a subject: a question, and eight random digits as its whole answer."""
    seed = hashlib.sha256(f"{_SALT}/{subject}".encode()).digest()
    numbers = random.Random(seed)
    return [
        Canary(
            chat_messages(system, [], f"What is the number on {thing}?"),
            f"{numbers.randrange(10_000):04d} {numbers.randrange(10_000):04d}",
        )
        for thing in _THINGS
    ]


def canary_rows(planted: list[Canary], said_at: str) -> list[dict[str, Any]]:
    """The canaries as rows of train, marked, all said at one time."""
    return [
        {
            "pair_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{_SALT}/{canary.secret}")),
            "prompt": canary.prompt,
            "completion": [{"role": "assistant", "content": canary.secret}],
            "partner": "canary",
            "session_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{_SALT}/{number}")),
            "replied_at": said_at,
            "quality": 0.0,
            "canary": True,
            "rehearsal": False,
        }
        for number, canary in enumerate(planted)
    ]
