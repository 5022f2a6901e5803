"""Why something was found, in words."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from twin_pipelines.foundation.words import words_of
from twin_pipelines.retrieval.ranking.lexical import STOP_WORDS, terms_of
from twin_pipelines.retrieval.store import Told

MEANS_LIKE = 0.35  # cosine similarity from which a text means the like
CLEARLY = 1.0  # standard deviations by which the turns around speak up
FEWEST_NUDGE = 0.02  # of a boost that is worth a word
MOST_WORDS = 6


def reasons(
    question: str, found: Told, signs: Mapping[str, float], *, meaning: float, boost: float
) -> str:
    """One line for people: shared words, likeness, who, when, the surroundings and the boost.

    `signs` are those of `ranking.features.NAMES`, `meaning` the higher of both cosine similarities.
    """
    told = []
    shared = _shared(question, found.text)
    if shared:
        told.append("says " + ", ".join(f"“{word}”" for word in shared[:MOST_WORDS]))
    if meaning >= MEANS_LIKE:
        told.append(f"means the like ({meaning:.2f})")
    if signs.get("speaker", 0) > 0:
        whose = "is about" if found.memory else "was said by"
        told.append(f"{whose} {found.speaker}, who is asked about")
    if signs.get("date", 0) > 0.5:
        told.append("is of the time that is asked about")
    around = max(signs.get("bm25_ctx", 0), signs.get("dense_ctx", 0))
    if not found.memory and around >= CLEARLY and not shared:
        told.append("stands among turns that fit")
    if abs(boost - 1) >= FEWEST_NUDGE:
        told.append(f"{'fresh or important' if boost > 1 else 'old or of little weight'}")
    return "; ".join(told) or "nothing fits better"


def _shared(question: str, text: str) -> list[str]:
    """Words of the question, as they are asked, that the text holds in some form."""
    held = _terms(text)
    return [word for word, terms in _asked(question) if not terms.isdisjoint(held)]


@lru_cache(maxsize=256)
def _asked(question: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """Words of a question that mean something, with their terms."""
    words = dict.fromkeys(word for word in words_of(question) if word not in STOP_WORDS)
    return tuple((word, frozenset(terms_of(word))) for word in words)


@lru_cache(maxsize=4_000)
def _terms(text: str) -> frozenset[str]:
    return frozenset(terms_of(text))
