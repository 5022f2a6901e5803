"""How far the target is, and what would close it, in figures and words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from twin_pipelines.instruct.outlook import outlook
from twin_pipelines.instruct.store import PairCounts
from twin_pipelines.settings import Source, TwinSettings

END = datetime(2018, 6, 1, tzinfo=UTC)


def counted(total: int, days: float, recent: int | None = None, **excluded: int) -> PairCounts:
    reasons = {name.replace("_", " "): count for name, count in excluded.items()}
    newest = total if recent is None else recent
    return PairCounts(total, reasons, END - timedelta(days=days), END, newest)


def test_the_distance_is_told_with_the_rate_that_would_close_it() -> None:
    told = outlook(counted(6_000, 30.44), TwinSettings(), shared_account=False)
    assert (told.total, told.missing) == (6_000, 4_000)
    assert told.per_month == pytest.approx(6_000)
    assert told.months_left == pytest.approx(2 / 3)
    assert told.words == (
        "6,000 pairs, 4,000 short of 10,000; at the last 6,000 a month, 21 days more of "
        "conversation would close it."
    )


def test_only_the_last_months_make_the_rate() -> None:
    told = outlook(counted(5_000, 900, recent=300), TwinSettings(), shared_account=None)
    assert told.per_month == pytest.approx(300 / 90 * 30.44)
    assert told.months_left == pytest.approx(5_000 / told.per_month)
    assert "49.3 months" in told.words


def test_a_target_that_is_met_needs_no_advice() -> None:
    told = outlook(counted(11_000, 30), TwinSettings(), shared_account=False)
    assert (told.missing, told.months_left, told.advice) == (0, 0.0, [])
    assert told.words == "11,000 pairs; the target of 10,000 is met."


def test_a_shared_account_is_named_even_when_the_target_is_met() -> None:
    told = outlook(counted(11_000, 30), TwinSettings(), shared_account=True)
    assert "several people share" in told.words
    assert "another subject" in told.advice[0]


def test_no_rate_is_guessed_from_nothing_or_from_a_few_days() -> None:
    nothing = outlook(PairCounts(0, {}, None, None, 0), TwinSettings(), shared_account=None)
    assert (nothing.per_month, nothing.months_left) == (None, None)
    assert nothing.words == "0 pairs, 10,000 short of 10,000."
    assert outlook(counted(90, 2), TwinSettings(), shared_account=None).per_month is None


def test_advice_names_what_this_history_lacks() -> None:
    settings = TwinSettings(
        sources=(Source(name="mine", kind="file", consent="me"), Source(name="db", kind="table"))
    )
    reasons = {
        "the reply has fewer than 2 words": 250,
        "the reply is longer than 1000 characters": 9,
    }
    counts = PairCounts(500, reasons, END - timedelta(days=50), END, 500)
    advice = outlook(counts, settings, shared_account=False).advice
    assert len(advice) == 2
    assert "250" in advice[0]
    assert "9" in advice[1]
    fresh = outlook(counts, TwinSettings(), shared_account=False).advice
    assert any("twin import" in line for line in fresh)
    assert any("twin.toml" in line for line in fresh)
