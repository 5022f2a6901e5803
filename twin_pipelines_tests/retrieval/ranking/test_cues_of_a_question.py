"""Who and when a question means, English and Thai."""

from __future__ import annotations

from datetime import date

import pytest

from twin_pipelines.retrieval.ranking.cues import Span, speakers_named, time_spans

ASKED = date(2023, 10, 18)  # a Wednesday
HISTORY = (date(2022, 11, 3), date(2023, 10, 18))


def span(first: str, last: str | None = None) -> Span:
    return date.fromisoformat(first), date.fromisoformat(last or first)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What did Anna buy in May 2023?", [span("2023-05-01", "2023-05-31")]),
        ("What happened on 3 May, 2023?", [span("2023-05-03")]),
        ("Who came on May 3rd 2023?", [span("2023-05-03")]),
        ("Who came on 2023-05-03?", [span("2023-05-03")]),
        (
            "Where was he in November?",
            [span("2022-11-01", "2022-11-30"), span("2023-11-01", "2023-11-30")],
        ),
        ("What was last summer like?", [span("2023-06-01", "2023-08-31")]),
        ("What was last winter like?", [span("2022-12-01", "2023-02-28")]),
        ("the trip in the summer of 2022", [span("2022-06-01", "2022-08-31")]),
        ("What did she eat yesterday?", [span("2023-10-17")]),
        ("the day before yesterday", [span("2023-10-16")]),
        ("last week", [span("2023-10-09", "2023-10-15")]),
        ("last month", [span("2023-09-01", "2023-09-30")]),
        ("two weeks ago", [span("2023-10-01", "2023-10-07")]),
        ("last friday", [span("2023-10-13")]),
        ("on 31 February 2023", [span("2023-02-01", "2023-02-28")]),
        ("in 2022", [span("2022-01-01", "2022-12-31")]),
        ("เมื่อวานกินอะไร", [span("2023-10-17")]),
        ("เดือนที่แล้วไปไหน", [span("2023-09-01", "2023-09-30")]),
        ("สัปดาห์ที่แล้วทำอะไร", [span("2023-10-09", "2023-10-15")]),
        ("3 วันก่อน", [span("2023-10-15")]),
        ("ไปเที่ยวไหนพฤษภาคม 2566", [span("2023-05-01", "2023-05-31")]),
        ("วันที่ 5 มกราคม 2566", [span("2023-01-05")]),
        ("วันศุกร์ที่แล้ว", [span("2023-10-13")]),
    ],
)
def test_a_time_is_read_from_its_words(question: str, expected: list[Span]) -> None:
    assert time_spans(question, ASKED, HISTORY) == expected


@pytest.mark.parametrize(
    "question",
    ["", "May I ask what she bought?", "2023-13-40", "9 plus 10 apples"],
)
def test_what_is_no_time_gives_no_span(question: str) -> None:
    assert time_spans(question, ASKED, HISTORY) == []


def test_speakers_are_named_by_whole_words_and_by_first_name() -> None:
    speakers = ["Ann Lee", "Ben", "น้ำ"]
    assert speakers_named("What is Ann's plan?", speakers) == [True, False, False]
    assert speakers_named("Annual meeting of Bengali cooks", speakers) == [False, False, False]
    assert speakers_named("เมื่อวานน้ำไปกับ ben ไหม", speakers) == [False, True, True]
    assert speakers_named("anything", [""]) == [False]
