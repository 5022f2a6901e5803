"""Days to come are understood in English and Thai, from the day they were spoken of."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.memory.extraction.dates import find_when

WEDNESDAY = date(2018, 5, 2)
# fmt: off
WORDS = [
    "in", "on", "next", "this", "a", "two", "31", "30", "2561", "2019", "may", "feb", "february",
    "friday", "week", "month", "year", "day", "days", "tomorrow", "christmas", "วันที่", "5", "เดือน",
    "หน้า", "อีก", "สาม", "ปี", "ศุกร์", "วัน", "พฤษภาคม", "นี้",
]
# fmt: on


def normal(text: str) -> str:
    return str(pl.select(normal_text(pl.lit(text))).item())


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("I have a test tomorrow!", date(2018, 5, 3)),
        ("We leave the day after tomorrow", date(2018, 5, 4)),
        ("we leave on Friday", date(2018, 5, 4)),
        ("see you next Friday", date(2018, 5, 11)),
        ("we meet on Wednesday", date(2018, 5, 9)),
        ("next weekend", date(2018, 5, 12)),
        ("I turn 18 in October", date(2018, 10, 1)),
        ("in April I graduate", date(2019, 4, 1)),
        ("I turn 19 next May", date(2019, 5, 1)),
        ("we marry May 5th", date(2018, 5, 5)),
        ("the 5th of May, 2020", date(2020, 5, 5)),
        ("in two weeks", date(2018, 5, 16)),
        ("in a month", date(2018, 6, 2)),
        ("New Year's Eve party", date(2018, 12, 31)),
        ("next year", date(2019, 1, 1)),
        ("due 2018-06-07", date(2018, 6, 7)),
        ("พรุ่งนี้ไปหาหมอค่ะ", date(2018, 5, 3)),
        ("มะรืนนี้นะคะ", date(2018, 5, 4)),
        ("วันศุกร์นี้เจอกัน", date(2018, 5, 4)),
        ("สอบวันศุกร์หน้าครับ", date(2018, 5, 11)),
        ("ไปญี่ปุ่นเดือนหน้า 555", date(2018, 6, 1)),
        ("อีก ๓ วัน", date(2018, 5, 5)),
        ("อีกสองสัปดาห์", date(2018, 5, 16)),
        ("วันที่ 5 พฤษภาคม 2561", date(2018, 5, 5)),
        ("เดือนธันวาคม", date(2018, 12, 1)),
        ("ปีหน้าจะเรียนจบ", date(2019, 1, 1)),
        ("กลับบ้านช่วงสงกรานต์", date(2019, 4, 13)),
        ("มี meeting พรุ่งนี้ค่ะ", date(2018, 5, 3)),
    ],
)
def test_a_day_is_read_from_the_day_it_was_said(text: str, day: date) -> None:
    found = find_when(normal(text), WEDNESDAY)
    assert found and found.day == day


@pytest.mark.parametrize(
    "text",
    ["I may go", "they march on", "yesterday", "by 2017", "February 30", "", "เมื่อวาน", "ปีที่แล้ว"],
)
def test_what_is_past_or_no_day_is_none(text: str) -> None:
    assert find_when(normal(text), WEDNESDAY) is None


def test_the_first_day_named_counts_with_its_words_and_how_exact_it_is() -> None:
    found = find_when(normal("exam tomorrow, holidays in July"), WEDNESDAY)
    assert found and (found.words, found.precision) == ("tomorrow", "day")
    month = find_when(normal("holidays in July, exam tomorrow"), WEDNESDAY)
    assert month and (month.words, month.precision) == ("in july", "month")


@given(
    st.lists(st.sampled_from(WORDS), max_size=8),
    st.dates(date(1990, 1, 1), date(2100, 12, 31)),
)
@settings(max_examples=300, deadline=None)
def test_whatever_is_said_no_day_lies_before_it_was_said(words: list[str], said_on: date) -> None:
    for text in (" ".join(words), "".join(words)):
        found = find_when(text, said_on)
        assert found is None or said_on <= found.day <= said_on + timedelta(days=366 * 30)
