"""What was learnt from must never be measured on: the rule, in code.

A session, a pair or a whole exchange that trained a model, chose a threshold or taught a verifier
is refused as a question, and a verifier refuses to judge the texts it was fitted on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from twin_pipelines.settings import TwinError

LONG_WORDS = 6  # shorter texts are said twice by chance
REPEATED_SHARE = 0.05  # of long texts that people say word for word again
REPEATED_TEXTS = 2


class SeenError(TwinError):
    """A figure was asked for on something that a model, a verifier or a threshold has seen."""


@dataclass(frozen=True)
class FittedOn:
    """What a verifier, a judge or a threshold was fitted on: a fingerprint and hashes of texts."""

    what: str
    fingerprint: str  # 12 hexadecimal digits of all texts, in any order
    texts: frozenset[str]  # hashes of the long ones

    @classmethod
    def of(cls, what: str, texts: Iterable[str]) -> FittedOn:
        """The mark of the texts that `what` (a name for people) was fitted on."""
        said = list(texts)
        hashes = sorted(_hash(text) for text in said)
        fingerprint = hashlib.sha256("".join(hashes).encode()).hexdigest()[:12]
        return cls(what, fingerprint, frozenset(map(_hash, long_texts(said))))

    def refuse(self, texts: Sequence[str], asked: str) -> None:
        """Raise SeenError when it is to be evaluated on texts that it was fitted on.

        `asked` names the texts. People repeat themselves, so two texts, or one of twenty long ones,
        may be known.
        """
        long = long_texts(texts)
        known = sum(_hash(text) in self.texts for text in long)
        if known > max(REPEATED_TEXTS, REPEATED_SHARE * len(long)):
            raise SeenError(
                f"{self.what} was fitted on {known} of the {len(long)} longer texts of {asked}, so "
                "no figure can be computed on them; evaluate on sessions it has not seen."
            )


def refuse_shared(asked: Iterable[str], learnt: Iterable[str], what: str, where: str) -> None:
    """Raise SeenError when any of the identities (or texts) asked about was learnt from.

    `what` names them (pairs, sessions, …), `where` the place they were learnt from. None is quoted,
    because a text is somebody's.
    """
    shared = set(asked) & set(learnt)
    if shared:
        raise SeenError(
            f"{len(shared)} {what} of the evaluation set also stand in {where}, so no figure can "
            "be computed on them; rebuild the dataset and train again."
        )


def long_texts(texts: Iterable[str]) -> list[str]:
    """Texts too long to be repeated by chance."""
    return [text for text in texts if len(text.split()) >= LONG_WORDS]


def _hash(text: str) -> str:
    return hashlib.sha256(" ".join(text.casefold().split()).encode()).hexdigest()[:24]
