"""`twin bench style`: is a person known by their habits of writing, on chats never seen?

Chitchat's senders of ranks 1 to 10 are told apart by the style features of the persona room;
character n-grams are judged on the same windows. Nothing is asked of ranks 11 to 20.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

import polars as pl

from twin_pipelines.persona.style import background
from twin_pipelines.persona.style.measure import count_turns
from twin_pipelines.persona.style.recognition import SHUFFLES, Recogniser, unseen_chats, windows
from twin_pipelines.settings import Cleaning
from twin_pipelines.sources import chitchat
from twin_pipelines.training.control import SINGLE_VOICES

UNSEEN_SHARE = 0.4  # of each person's words, in their last chats
SHORTER = (100, 250)  # words; how many it takes
_Z95 = 1.96


def style(words: int) -> dict[str, Any]:
    """Identify each of the ten from `words` words of unseen chats.

    By rank: the windows, the share of them that is told right (with Wilson's 95 % interval), the
    share of the other people's windows that is taken for theirs, and whether the account is known
    to be one person; beside it the character n-grams'.
    """
    people = chitchat.senders()["speaker"][: chitchat.SUBJECT_RANKS].to_list()
    seen, unseen = _split(people)
    asked = windows(unseen, words)
    learnt = windows(seen, words, SHUFFLES)
    told = Recogniser(learnt)(asked)
    rivals = _by_ngrams(learnt, asked)
    single = [who for who in people if who.startswith(SINGLE_VOICES)]
    return {
        "words": words,
        "windows_seen": learnt.select("speaker", "window").n_unique(),
        "windows_unseen": told.height,
        "all": _share(told),
        "single_voices": _share(told.filter(pl.col("speaker").is_in(single))),
        "all_by_character_ngrams": _share(rivals),
        "single_voices_by_character_ngrams": _share(rivals.filter(pl.col("speaker").is_in(single))),
        "shorter": {
            str(fewer): _share(Recogniser(windows(seen, fewer, SHUFFLES))(windows(unseen, fewer)))
            for fewer in SHORTER
            if fewer < words
        },
        "ranks": {
            str(rank): _figures(who, told, rivals, who in single)
            for rank, who in enumerate(people, start=1)
        },
    }


def _split(people: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Turns of the people, counted, in the order of time: those of early and of late chats."""
    turns = background.turns_of(people, Cleaning(), background.reserved())
    counts = count_turns(turns, people)
    told = counts.join(
        turns.select("sent_at", "text", turn="id"), on="turn", maintain_order="left"
    ).sort("sent_at", "turn")
    parts = told.join(
        unseen_chats(told, UNSEEN_SHARE), on="conversation_id", maintain_order="left"
    ).partition_by("unseen", as_dict=True, include_key=False)
    return parts[(False,)], parts[(True,)]


def _by_ngrams(learnt: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """The usual baseline: TF-IDF of character 2- to 4-grams and logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    known, unknown = (_texts(part) for part in (learnt, asked))
    vectorizer = TfidfVectorizer(
        analyzer="char", ngram_range=(2, 4), max_features=10_000, sublinear_tf=True, lowercase=False
    )
    model = LogisticRegression(C=10.0, max_iter=300)
    model.fit(vectorizer.fit_transform(known["text"].to_list()), known["speaker"].to_list())
    told = model.predict(vectorizer.transform(unknown["text"].to_list()))
    return unknown.select("speaker", "window", told=pl.Series(told.tolist(), dtype=pl.String))


def _texts(counts: pl.DataFrame) -> pl.DataFrame:
    return counts.group_by("speaker", "window", maintain_order=True).agg(
        pl.col("text").str.join("\n")
    )


def _figures(who: str, told: pl.DataFrame, rivals: pl.DataFrame, single: bool) -> dict[str, Any]:
    others = told.filter(pl.col("speaker") != who)
    return {
        "speaker": who[:6],
        "known_to_be_one_person": single,
        "identified": _share(told.filter(pl.col("speaker") == who)),
        "others_taken_for_them": round(float((others["told"] == who).mean() or 0.0), 4),  # type: ignore[arg-type]
        "by_character_ngrams": _share(rivals.filter(pl.col("speaker") == who))["value"],
    }


def _share(told: pl.DataFrame) -> Mapping[str, Any]:
    """Share of windows told right, with Wilson's 95 % interval."""
    n, right = told.height, int((told["told"] == told["speaker"]).sum())
    if not n:
        return {"value": None, "ci95": [None, None], "n": 0}
    share, square = right / n, _Z95**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    reach = _Z95 / (1 + square / n) * sqrt(share * (1 - share) / n + square / (4 * n * n))
    return {
        "value": round(share, 4),
        "ci95": [round(middle - reach, 4), round(middle + reach, 4)],
        "n": n,
    }
