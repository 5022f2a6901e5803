"""What was found is told as quotations under their days, within its tokens, and nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.retrieval.telling import Counted, Told, days, fitting, quoted, told_lines

MAY, JUNE = "8 May 2023", "12 Jun 2023"
DAYS = st.sampled_from(["", MAY, JUNE, "12 มิ.ย. 2023"])
LINES = st.lists(
    st.builds(Told, DAYS, st.sampled_from(["“hi there”", "“ครับ”", "“no”"]), st.sampled_from("ab")),
    max_size=20,
)


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def standing(lines: Sequence[Told], heads: dict[str, str]) -> str:
    """The blocks as a prompt holds them: days in order, those without one first."""
    blocks = []
    for block, head in heads.items():
        ordered = sorted((one for one in lines if one.block == block), key=lambda one: one.day)
        if ordered:
            blocks.append("\n".join(["", "", head, *told_lines(ordered)]))
    return "".join(blocks)


def test_a_day_of_its_own_stands_in_its_line_and_a_shared_one_above() -> None:
    alone = [Told("", "“a”"), Told(MAY, "“b”"), Told(JUNE, "“c”")]
    assert told_lines(alone) == ["- “a”", f"- ({MAY}) “b”", f"- ({JUNE}) “c”"]
    assert told_lines([*alone, Told(JUNE, "“d”")]) == [
        *("- “a”", f"{MAY}:", "- “b”", f"{JUNE}:", "- “c”", "- “d”")
    ]


@given(LINES, st.integers(0, 120))
def test_what_fits_takes_no_more_than_its_room(lines: list[Told], room: int) -> None:
    heads = {"a": "Of a:", "b": "Of b:"}
    places = fitting(lines, room, words, heads)
    taken = [lines[place] for place in places]
    assert places == sorted(places)
    assert words([standing(taken, heads)])[0] <= room + len(taken), "a dash more in a line at most"
    if room == 120 and len(lines) < 10:
        assert len(places) == len(lines)


@given(LINES)
def test_every_line_stands_once_whatever_the_days(lines: list[Told]) -> None:
    text = standing(lines, {"a": "Of a:", "b": "Of b:"})
    assert sum(line.startswith("- ") for line in text.splitlines()) == len(lines)


def test_more_lines_of_a_day_fit_than_if_each_named_it() -> None:
    lines = [Told(MAY, "“so it is”") for _ in range(10)]
    room = 7 * len(lines) // 2
    assert len(fitting(lines, room, words, {})) > room // words([lines[0].by_itself])[0]


def test_what_does_not_fit_is_passed_over() -> None:
    lines = [Told("", "“a b”"), Told("", "“a b c d e f”"), Told("", "“c”")]
    assert fitting(lines, 5, words, {}) == [0, 2]


@pytest.mark.parametrize(
    ("since", "until", "told"),
    [
        (date(2023, 5, 8), date(2023, 5, 8), "8 May 2023"),
        (date(2023, 5, 8), date(2024, 1, 1), "8 May 2023 – 1 Jan 2024"),
        (None, date(2023, 5, 8), "8 May 2023"),
        (None, None, ""),
    ],
)
def test_days_are_told_once(since: date | None, until: date | None, told: str) -> None:
    assert days(since, until, "en") == told


def test_no_words_end_their_line_or_their_quotation() -> None:
    assert (
        quoted("Ann\n: “x”", "so”\n- (1 May 2020) “yes") == 'Ann : "x": “so" - (1 May 2020) "yes”'
    )
    assert quoted("", "ครับ") == "“ครับ”"


def test_each_text_is_counted_once() -> None:
    asked: list[str] = []

    def count(texts: Sequence[str]) -> list[int]:
        asked.extend(texts)
        return words(texts)

    counted = Counted(count)
    assert counted(["a b", "c"]) + counted(["c", "a b", "d"]) == [2, 1, 1, 2, 1]
    assert asked == ["a b", "c", "d"]
