"""The fit of the shipped weights: `python -m twin_pipelines.retrieval.ranking.fit`.

Data: chitchat (MIT), chats of strangers, made into histories of two people each, and questions
made up about their turns (`questions`). Nothing else is read; no benchmark, and no one's history.
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from twin_pipelines.embeddings.encoder import Encoder, load_encoder
from twin_pipelines.foundation.words import words_of
from twin_pipelines.retrieval.ranking.features import NAMES, build_history, candidates
from twin_pipelines.retrieval.ranking.lexical import STOP_WORDS, Floats
from twin_pipelines.retrieval.ranking.questions import made_questions
from twin_pipelines.retrieval.ranking.stems import stem
from twin_pipelines.retrieval.ranking.views import TURNS
from twin_pipelines.settings import load_settings
from twin_pipelines.sources import chitchat

HISTORIES, TURNS_EACH, QUESTIONS_EACH = 30, 600, 120
FEWEST_WORDS = 8  # a turn of a chat, on average: shorter ones tell nothing to ask about
SEED = 7
PENALTY = 0.001  # of the squared weights, beside the mean loss of a question
# Signs that speak for a turn. Two that go together may part ways on a few histories, one with a
# weight below 0: on a history of a few turns, where the scores lie far apart, that turns the order.
NEVER_AGAINST = frozenset({*NAMES[:4], "coverage_meta", "coverage_ctx", "speaker", "date"})
LIKENESS = (0.45, 0.95)  # cosine of words of like meaning
OTHERS = 4  # of like meaning, at most
COMMON = 15  # times a word is said, at least
_PAIRS = (
    *(("Anna", "Ben"), ("Clara", "David"), ("Emma", "Felix"), ("Grace", "Henry"), ("Ivy", "Jack")),
    *(("Kate", "Leo"), ("Mona", "Nick"), ("Olga", "Paul"), ("Rosa", "Sam"), ("Tina", "Victor")),
)


def fit(progress: bool = False) -> dict[str, float]:
    """Weights of `features.NAMES`, fitted on made-up questions. Minutes."""
    encoder = load_encoder(load_settings())
    histories = strangers(HISTORIES, TURNS_EACH)
    otherwise = of_like_meaning([text for turns in histories for text in turns["text"]], encoder)
    rng = random.Random(SEED)
    signs, answers = [], []
    for number, turns in enumerate(histories, start=1):
        history = build_history(turns, encoder)
        asked = made_questions(turns, QUESTIONS_EACH, otherwise, rng)
        for question, vector in zip(asked, encoder.encode([q.text for q in asked]), strict=True):
            found = candidates(history, question.text, vector)
            signs.append(found.signs)
            answers.append(np.isin(found.rows, question.rows))
        if progress:
            print(f"{number} of {len(histories)} histories", file=sys.stderr)  # noqa: T201
    return regression(signs, answers)


def regression(signs: Sequence[Floats], answers: Sequence[np.ndarray]) -> dict[str, float]:
    """Weights of a conditional logit: how likely each candidate is the one that answers.

    `signs` are (candidates, NAMES) of each question, `answers` booleans of its candidates; several
    answers share the likelihood, and a question without one among its candidates tells nothing.
    No sign of NEVER_AGAINST gets a weight below 0.
    Candidates compete within their question, so that one with clearer scores than another does not
    tip the weights. D. McFadden, "Conditional logit analysis of qualitative choice behavior", 1974.
    """
    from scipy.optimize import minimize

    told = [(rows, held) for rows, held in zip(signs, answers, strict=True) if held.any()]
    if not told:
        return dict.fromkeys(NAMES, 0.0)
    rows = np.concatenate([one for one, _ in told]).astype(np.float64)
    shares = np.concatenate([held / held.sum() for _, held in told])
    lengths = np.array([len(one) for one, _ in told])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    wanted = shares @ rows

    def loss(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        scores = rows @ weights
        top = np.maximum.reduceat(scores, starts)
        grown = np.exp(scores - np.repeat(top, lengths))
        sums = np.add.reduceat(grown, starts)
        value = (np.log(sums) + top).sum() - wanted @ weights
        slope = (grown / np.repeat(sums, lengths)) @ rows - wanted
        count = len(told)
        return value / count + PENALTY * weights @ weights, slope / count + 2 * PENALTY * weights

    bounds = [(0.0 if name in NEVER_AGAINST else None, None) for name in NAMES]
    found = minimize(loss, np.zeros(len(NAMES)), jac=True, method="L-BFGS-B", bounds=bounds)
    return {name: float(weight) for name, weight in zip(NAMES, found.x, strict=True)}


def strangers(count: int, most: int) -> list[pl.DataFrame]:
    """Histories (views.TURNS) of chitchat's senders ranked 21 and further, all chats of each.

    Partners of a sender are given one name; turns are runs of one sender; chats with a sender
    ranked 11–20, and chats of short turns, are left out.
    """
    ranked = chitchat.senders()["speaker"]
    barred = ranked[chitchat.SUBJECT_RANKS : chitchat.FIRST_STRANGER - 1]
    turns = (
        chitchat.messages()
        .with_columns(pl.col("chat", "speaker").cast(pl.String))
        .group_by("chat", "turn", "speaker", maintain_order=True)
        .agg(pl.col("text").str.join(" "), pl.col("sent_at").first())
        .filter(
            ~pl.col("speaker").is_in(barred.implode()).any().over("chat"),
            pl.col("text").str.count_matches(r"\S+").mean().over("chat") >= FEWEST_WORDS,
        )
    )
    found = []
    for number, sender in enumerate(ranked[chitchat.FIRST_STRANGER - 1 :]):
        own = turns.filter((pl.col("speaker") == sender).any().over("chat"))
        name, partner = _PAIRS[number % len(_PAIRS)]
        ordered = own.sort(pl.col("sent_at").min().over("chat"), "chat", "turn").head(most)
        found.append(
            ordered.select(
                pl.int_range(pl.len()).cast(pl.String).alias("turn"),
                pl.col("chat").alias("session"),
                pl.when(pl.col("speaker") == sender)
                .then(pl.lit(name))
                .otherwise(pl.lit(partner))
                .alias("speaker"),
                "text",
                pl.lit(None, dtype=pl.String).alias("caption"),
                "sent_at",
            ).cast(pl.Schema(TURNS))
        )
        if len(found) == count:
            break
    return found


def of_like_meaning(texts: Sequence[str], encoder: Encoder) -> dict[str, list[str]]:
    """For each common word of the texts, up to OTHERS words that mean nearly the same.

    Never another form of the word itself.
    """
    counts = Counter(word for text in texts for word in words_of(text))
    words = sorted(
        word
        for word, count in counts.items()
        if count >= COMMON
        and word not in STOP_WORDS
        and re.fullmatch(r"[a-z]{3,}|[\u0e00-\u0e7f]{2,}", word)
    )
    if not words:
        return {}
    vectors = encoder.encode(words)
    found = {}
    for word, likeness in zip(words, vectors @ vectors.T, strict=True):
        near = [
            words[place]
            for place in np.argsort(-likeness)[: 3 * OTHERS]
            if LIKENESS[0] <= likeness[place] <= LIKENESS[1] and stem(words[place]) != stem(word)
        ]
        found[word] = near[:OTHERS]
    return found


if __name__ == "__main__":
    for name, weight in fit(progress=True).items():
        print(f'    "{name}": {weight:.3f},')  # noqa: T201
