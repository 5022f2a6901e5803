"""What must be true of the vectors."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import psycopg

from twin_pipelines.embeddings import store
from twin_pipelines.embeddings.encoder import load_encoder, model_id
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.quality import table_checks
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.settings import load_settings

LENGTH_TOLERANCE = 0.01  # half precision keeps a unit length to about 0.001

# English and Thai of one meaning, row by row.
BILINGUAL = (
    ("I am very hungry, let's eat", "หิวมากเลย ไปกินข้าวกัน"),
    ("My cat is sick today", "แมวของฉันป่วยวันนี้"),
    ("The train leaves tomorrow morning", "รถไฟออกพรุ่งนี้เช้า"),
)


def _summary(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    return store.vector_summary(connection, days, model_id(load_settings()))


def _complete(gxe: ModuleType) -> Sequence[Any]:
    return [gxe.ExpectColumnPairValuesToBeEqual(column_A="turns", column_B="embedded")]


def _unit_length(gxe: ModuleType) -> Sequence[Any]:
    low, high = 1 - LENGTH_TOLERANCE, 1 + LENGTH_TOLERANCE
    return [
        gxe.ExpectColumnValuesToBeBetween(column="shortest", min_value=low, max_value=high),
        gxe.ExpectColumnValuesToBeBetween(column="longest", min_value=low, max_value=high),
        gxe.ExpectColumnValuesToBeBetween(column="dimensions", min_value=0, max_value=1),
    ]


every_turn_embedded = table_checks(
    "message_embeddings",
    "every_turn_embedded",
    _summary,
    _complete,
    severity="critical",
    partitioned=True,
    description="Each turn of the days has a vector of the set model, made of its present text.",
)
unit_vectors = table_checks(
    "message_embeddings",
    "unit_vectors",
    _summary,
    _unit_length,
    severity="critical",
    partitioned=True,
    description="Vectors are numbers, of unit length and of one dimension.",
)


@dg.asset_check(
    asset="message_embeddings",
    description="English and Thai sentences of one meaning are closer than those of another.",
)
def thai_meets_english(twin: TwinResource) -> dg.AssetCheckResult:
    """Whether the model puts languages into one space; a warning, for English alone needs none."""
    encoder = load_encoder(twin.settings)
    english = encoder.encode([pair[0] for pair in BILINGUAL])
    thai = encoder.encode([pair[1] for pair in BILINGUAL])
    similarity = english @ thai.T
    matched = similarity.diagonal()
    unmatched = np.where(np.eye(len(BILINGUAL), dtype=bool), -1.0, similarity).max(axis=1)
    passed = bool((matched > unmatched).all())
    return dg.AssetCheckResult(
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=None
        if passed
        else f"{encoder.model_id} does not connect Thai and English; for mixed histories set "
        "embedding.model to a multilingual model.",
        metadata={
            "model": encoder.model_id,
            "matched": round(float(matched.min()), 3),
            "unmatched": round(float(unmatched.max()), 3),
        },
    )
