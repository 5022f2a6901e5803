"""Values of JSON and CSV become columns that PostgreSQL can hold."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.sources.values import json_column, text_column, time_column

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def test_numbers_become_digits_and_lists_are_wrong() -> None:
    column = text_column([7, 1.5, "a", None, ["b"], True, {}])
    assert column.text.to_list() == ["7", "1.5", "a", None, None, None, None]
    assert column.wrong == [4, 5, 6]


def test_surrogate_pairs_are_joined_and_lone_ones_replaced() -> None:
    column = text_column(["\ud83d\ude00", "a\udc80b"])
    assert column.text.to_list() == ["😀", "a\ufffdb"]
    assert column.replaced == [0, 1]


def test_times_may_be_numbers_or_text_or_both() -> None:
    assert time_column([1, 2.5, None, 10**400]).to_list() == [1.0, 2.5, None, float("inf")]
    assert time_column(["a", None]).to_list() == ["a", None]
    assert time_column([1714653015, "2024-05-02"]).to_list() == [
        "0001714653015.000000",
        "2024-05-02",
    ]
    assert time_column([[1], {}]).to_list() == ["[1]", "{}"]


def test_json_text_is_taken_as_json_and_other_text_as_text() -> None:
    column, left_out = json_column(['{"a": 1}', "plain", "", None, {"b": [2]}, "[broken"], 1_000)
    assert column.to_list() == ['{"a":1}', '"plain"', None, None, '{"b":[2]}', '"[broken"']
    assert left_out == []


def test_metadata_without_end_is_left_out() -> None:
    deep: list[object] = []
    for _ in range(2_000):
        deep = [deep]
    column, left_out = json_column([{"a": "x" * 500}, deep, {"ok": 1}], 100)
    assert column.to_list() == [None, None, '{"ok":1}']
    assert left_out == [0, 1]


def test_what_jsonb_cannot_hold_is_mended() -> None:
    column, left_out = json_column([{"a\0": "\ud800"}, {"n": 2**70}, {"t": "\\u0000"}], 1_000)
    assert left_out == []
    assert orjson.loads(column[0]) == {"a\ufffd": "\ufffd"}
    assert orjson.loads(column[1]) == {"n": str(2**70)}
    assert orjson.loads(column[2]) == {"t": "\\u0000"}


@given(st.lists(anything, max_size=5))
def test_no_value_can_break_a_column(values: list[object]) -> None:
    assert len(text_column(values).text) == len(values)
    assert len(time_column(values)) == len(values)
    column, _ = json_column(values, 10_000)
    for text in column:
        assert text is None or ("\0" not in text and orjson.loads(text) is not ...)
