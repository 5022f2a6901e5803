"""Times in people's exports: all the usual forms, and nothing may raise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.sources.times import parse_time, parse_times

BANGKOK = ZoneInfo("Asia/Bangkok")
NEW_YORK = ZoneInfo("America/New_York")
NOON = datetime(2024, 5, 2, 12, 30, 15, tzinfo=UTC)


def read(text: str, zone: ZoneInfo = BANGKOK) -> tuple[datetime | None, bool]:
    moments, zoneless = parse_times(pl.Series([text]), zone)
    return moments[0], zoneless[0]


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-02T12:30:15Z",
        "2024-05-02 12:30:15+00:00",
        "2024-05-02T19:30:15+07:00",
        "2024-05-02T19:30:15.000+0700",
        "2024-05-02 19:30:15+07",
        "2024-05-02T12:30:15.000000000Z",
        "20240502T123015Z",
        "Thu, 02 May 2024 12:30:15 +0000",
        "Thu May 02 12:30:15 +0000 2024",
        "1714653015",
        "1714653015000",
        "1714653015000000",
        "1714653015000000000",
        "1714653015.0",
    ],
)
def test_zoned_forms_mean_the_same_moment(text: str) -> None:
    assert read(text) == (NOON, False)


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-02T19:30:15",
        "2024-05-02 19:30:15",
        "2024/05/02 19:30:15",
        "Thu May 02 19:30:15 2024",
    ],
)
def test_times_without_zone_are_read_in_the_history_s_zone_and_told(text: str) -> None:
    assert read(text) == (NOON, True)


def test_a_date_alone_is_its_midnight() -> None:
    assert read("2024-05-02") == (datetime(2024, 5, 1, 17, tzinfo=UTC), True)


@pytest.mark.parametrize(
    "text", ["", "soon", "2024-13-02T00:00:00Z", "12", "31.12.2024 10:00", "nan"]
)
def test_what_is_no_time_is_null(text: str) -> None:
    assert read(text) == (None, False)


def test_numbers_are_epochs_by_magnitude_and_nonsense_is_null() -> None:
    seconds = NOON.timestamp()
    values = [
        seconds,
        seconds * 1e3,
        seconds * 1e6,
        seconds * 1e9,
        float("nan"),
        float("inf"),
        1e300,
    ]
    moments, zoneless = parse_times(pl.Series(values), BANGKOK)
    assert moments.to_list() == [NOON] * 4 + [None] * 3
    assert not zoneless.any()


def test_clocks_put_back_give_the_first_time_and_put_forward_a_shifted_one() -> None:
    assert read("2024-11-03T01:30:00", NEW_YORK)[0] == datetime(2024, 11, 3, 5, 30, tzinfo=UTC)
    assert read("2024-03-10T02:30:00", NEW_YORK)[0] == datetime(2024, 3, 10, 7, 30, tzinfo=UTC)


def test_forms_may_be_mixed_in_one_column() -> None:
    texts = ["2024-05-02T12:30:15Z", "2024-05-02T19:30:15", None, "nonsense", "1714653015"]
    moments, zoneless = parse_times(pl.Series(texts), BANGKOK)
    assert moments.to_list() == [NOON, NOON, None, None, NOON]
    assert zoneless.to_list() == [False, True, False, False, False]


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)),
    st.integers(-14 * 60, 14 * 60),
    st.sampled_from(["T", " "]),
)
def test_every_iso_time_survives(moment: datetime, minutes: int, separator: str) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert read(zoned.isoformat(sep=separator)) == (zoned.astimezone(UTC), False)


@given(st.lists(st.one_of(st.none(), st.text(max_size=40)), min_size=1, max_size=5))
def test_no_text_can_break_the_reading(texts: list[str | None]) -> None:
    moments, zoneless = parse_times(pl.Series(texts, dtype=pl.String), NEW_YORK)
    assert len(moments) == len(zoneless) == len(texts)
    for text in texts:
        parse_time(text or "", NEW_YORK)
