"""The ablation: what prompt, retrieval and adapter each add, and what all of them reach.

base: the base with the system prompt. prompt: with eight real examples. retrieval: the base with
the subject's own recalled messages. adapter: the twin as it was trained. all: the twin with the
recalled messages, the form in which it serves. The examples are left out of `all`: an adapter has
learnt what they show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twin_pipelines.evaluation.frame import ABLATION, ABLATION_FIGURES

SYSTEMS = {
    "base": "base",
    "prompt": "prompted",
    "retrieval": "retrieval",
    "adapter": "twin",
    "all": "all",
}


def ablation(figures: Mapping[str, Mapping[str, float | None]]) -> list[dict[str, Any]]:
    """A row a system; `figures` holds each figure's values by the system's name in the evaluation.

    A figure that was not measured for a system is null.
    """
    return [
        {
            "system": system,
            **{name: figures.get(name, {}).get(SYSTEMS[system]) for name in ABLATION_FIGURES},
        }
        for system in ABLATION
    ]
