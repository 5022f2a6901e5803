"""Whatever a table's columns hold, each row is a memory, rejected or inactive; nothing raises."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_pipelines.memory.imports.columns import USUAL, find_columns
from twin_pipelines.memory.imports.rows import Reading, read_rows
from twin_pipelines.memory.records import MEMORIES
from twin_pipelines.settings import MemoryTable

PLAIN = st.none() | st.booleans() | st.integers() | st.text()
JSON = st.floats() | st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
GOOD = {"id": "1", "content": "we met", "time": "2025-11-01T10:00:00+07:00"}


def reading(type: str = "core") -> Reading:
    latest = datetime(2026, 1, 1, tzinfo=UTC)
    return Reading("t", type, "angela", ZoneInfo("Asia/Bangkok"), latest, 1_000, 24.0)


def table(*rows: dict[str, object]) -> pl.DataFrame:
    fields = dict.fromkeys(field for row in rows for field in row)
    return pl.DataFrame(
        [
            {field: None if row.get(field) is None else _json(row[field]) for field in fields}
            for row in rows
        ],
        schema=dict.fromkeys(fields, pl.String),
    )


def _json(value: object) -> str:
    """As PostgreSQL writes it: numbers that are none stand as text."""
    plain = str(value) if isinstance(value, float) and abs(value) in (float("inf"),) else value
    return json.dumps("NaN" if plain != plain else plain)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.dictionaries(st.sampled_from(sorted(USUAL)), JSON), min_size=1, max_size=4),
    st.sampled_from(["core", "knowledge", "emotional", "dream", "short_term"]),
)
def test_no_value_of_any_column_raises_and_no_row_is_lost(
    rows: list[dict[str, object]], type: str
) -> None:
    frame = table(*({"content": None, "time": None} | row for row in rows))
    clean = frame.with_columns(pl.all().str.replace_all(r"\\ud[89a-f][0-9a-f]{2}|\\u0000", "?"))
    read = read_rows(clean, reading(type))
    assert read.memories.height + read.rejected.height + read.inactive >= len(rows)
    assert read.memories["importance"].is_between(0, 1).all()
    assert (read.memories["last_at"] >= read.memories["first_at"]).all()
    assert set(MEMORIES) <= set(read.memories.columns)


def test_a_good_row_stays_good_beside_any_bad_one() -> None:
    bad = {"id": "2", "content": ["not", "text"], "time": {"no": "time"}, "importance": "high"}
    read = read_rows(table(GOOD, bad, {**GOOD, "content": "again"}), reading())
    assert read.memories["source_ref"].to_list() == ["t/1"]
    assert sorted(read.rejected["reason"]) == [
        "it has no readable time",
        "its identity stands twice",
    ]
    assert read.refs == ["t/1", "t/2"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0.2, 1.0], [0.2, 1.0]),
        ([2, 10], [0.2, 1.0]),
        ([1, 7], [0.1, 0.7]),
        ([1, 1], [1.0, 1.0]),
        ([0.5, 7.5], [0.05, 0.75]),
        ([40, 90], [0.4, 0.9]),
    ],
)
def test_importance_is_read_on_the_scale_its_column_uses(
    given: list[float], expected: list[float]
) -> None:
    rows = [GOOD | {"id": str(i), "importance": value} for i, value in enumerate(given)]
    read = read_rows(table(*rows), reading())
    assert read.memories.sort("source_ref")["importance"].to_list() == pytest.approx(expected)


def test_a_time_without_zone_is_the_history_s() -> None:
    read = read_rows(table(GOOD | {"time": "2025-11-01T10:00:00"}), reading())
    assert read.memories["first_at"].to_list() == [datetime(2025, 11, 1, 3, tzinfo=UTC)]


def test_a_row_without_identity_is_known_by_its_words() -> None:
    nameless = {key: value for key, value in GOOD.items() if key != "id"}
    first = read_rows(table(nameless), reading()).memories["memory_id"]
    assert read_rows(table(nameless), reading()).memories["memory_id"].equals(first)


def test_a_mapping_to_nothing_says_the_table_has_no_such_column() -> None:
    names = ["id", "content", "created_at", "title", "Updated_At"]
    import_of = MemoryTable(table="t", type="core", columns={"title": ""})
    found = find_columns(import_of, names)
    assert "title" not in found
    assert found["last"] == "Updated_At"
