"""The frame of metrics.json: every figure it may hold, null until it was measured.

docs/figures.md says what each means. A figure is {value, ci95: [low, high], n, …}; who reads the
file finds every key, and a null where nothing was measured.
"""

from __future__ import annotations

from typing import Any

ABLATION = ("base", "prompt", "retrieval", "adapter", "all")
ABLATION_FIGURES = (
    "style_consistency",
    "style_realism",
    "perplexity",
    "hits1_of_20",
    "personality",
    "grounded",
)


def frame() -> dict[str, Any]:
    """Every part of metrics.json that an evaluation of any depth may fill, unmeasured."""
    return {
        "style_realism": {
            **unmeasured(),
            "distance": {
                **unmeasured(),
                **dict.fromkeys(("delta_twin", "delta_base", "delta_human", "delta_prompted")),
            },
            "indistinguishability": {
                **unmeasured(),
                "auc_per_reply": dict.fromkeys(("twin", "base", "prompted")),
                "auc_per_5": dict.fromkeys(("twin", "base", "prompted")),
            },
            "controls": {"base": unmeasured(), "prompted": unmeasured(), "human": 1.0},
        },
        "person_specific_gain": {**unmeasured(), "note": None},
        "calibration": {"length": unmeasured(), "emoji": unmeasured()},
        "diversity": {
            "distinct1": unmeasured(),
            "distinct2": unmeasured(),
            "repeated": unmeasured(),
        },
        "language": {**unmeasured(), **dict.fromkeys(("twin", "base", "human", "difference"))},
        "safety": {**dict.fromkeys(("twin", "base")), "difference": unmeasured(), "n": 0},
        "latency": dict.fromkeys(("p50_ms", "p95_ms", "tokens_per_s", "n")),
        "context": {"hits20_beyond_base": unmeasured(), "shuffled_gap": unmeasured()},
        "template": dict.fromkeys(("matches", "ends", "words")),
        "ablation": [{"system": system, **dict.fromkeys(ABLATION_FIGURES)} for system in ABLATION],
        "personality": None,
        "grounded_answers": None,
        "champion": None,
        "llm_judge": None,
    }


def unmeasured() -> dict[str, Any]:
    """A figure that was not measured."""
    return {"value": None, "ci95": None, "n": 0}
