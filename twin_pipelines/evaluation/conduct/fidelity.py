"""Language fidelity: is the answer in the language of the question?

Languages are told apart by their scripts (`features.language`), so two languages in Latin letters
count as one; a mixed text is in both of its languages. Only pairs with letters on both sides count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from twin_pipelines.evaluation.bootstrap import Floats, difference, resamples
from twin_pipelines.features.language import detect_languages


def language_fidelity(
    asked: Sequence[str],
    systems: Mapping[str, Sequence[str]],
    *,
    times: int,
    seed: int,
) -> dict[str, Any]:
    """Share of the twin's answers in the language asked in, beside base and person.

    `systems` are `twin`, `base` and `human`. `difference` is twin minus base on the messages that
    both answered in letters; n counts the twin's answers.
    """
    questions = _languages(asked)
    kept = {name: _kept(questions, _languages(said)) for name, said in systems.items()}
    shares = {name: float(np.nanmean(held)) for name, held in kept.items() if _any(held)}
    twin = kept["twin"][~np.isnan(kept["twin"])]
    both = ~np.isnan(kept["twin"]) & ~np.isnan(kept["base"])
    return {
        **_figure(twin, np.zeros(len(twin)), times, seed),
        **{name: shares.get(name) for name in systems},
        "difference": _figure(kept["twin"][both], kept["base"][both], times, seed),
    }


def _kept(questions: Sequence[set[str]], answers: Sequence[set[str]]) -> Floats:
    """1 or 0 a pair; undefined where a side has no letters."""
    return np.array(
        [
            float(bool(question & answer)) if question and answer else float("nan")
            for question, answer in zip(questions, answers, strict=True)
        ]
    )


def _figure(first: Floats, second: Floats, times: int, seed: int) -> dict[str, Any]:
    if not len(first):
        return {"value": None, "ci95": None, "n": 0}
    return difference(first, second, resamples(len(first), times, seed)).as_dict()


def _languages(texts: Sequence[str]) -> list[set[str]]:
    found = detect_languages(pl.Series("text", list(texts), dtype=pl.String)).to_list()
    return [set(language.split("+")) - {"none"} for language in found]


def _any(values: Floats) -> bool:
    return bool((~np.isnan(values)).any())
