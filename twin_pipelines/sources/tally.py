"""Counts what a reading brought and what was wrong with it, in total and by day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date

import polars as pl

from twin_pipelines.sources.identities import REPEATED
from twin_pipelines.sources.messages import KEPT_PROBLEMS, PROBLEM_SCHEMA, REJECTED, REPAIRED, Batch

Reasons = dict[str, dict[str, int]]  # action → reason → rows


class Tally:
    """Follows the batches of one reading. Counters are exact; of the problems the first stay."""

    def __init__(self) -> None:
        self.read = 0
        self.kept = pl.DataFrame(schema=PROBLEM_SCHEMA)
        self._good: Counter[date] = Counter()
        self._mended: Counter[date | None] = Counter()
        self._problems: Counter[tuple[date | None, str, str]] = Counter()

    def add(self, batch: Batch, days: pl.Series) -> None:
        """Count a batch; `days` are those of its messages."""
        self.read += batch.read
        for day, rows in days.value_counts().iter_rows():
            self._good[day] += rows
        if not batch.problems.height:
            return
        counted = batch.problems.group_by("day", "action", "reason").len()
        for day, action, reason, rows in counted.iter_rows():
            self._problems[day, action, reason] += rows
        mended = batch.problems.filter(pl.col("action") == REPAIRED)
        for day, rows in mended.group_by("day").agg(pl.col("line").n_unique()).iter_rows():
            self._mended[day] += rows
        room = KEPT_PROBLEMS - self.kept.height
        if room > 0:
            self.kept = pl.concat([self.kept, batch.problems.head(room)])

    @property
    def rejected(self) -> int:
        """Rows left out."""
        return sum(rows for (_, action, _), rows in self._problems.items() if action == REJECTED)

    @property
    def repaired(self) -> int:
        """Rows kept after one repair or several."""
        return self._mended.total()

    @property
    def landed(self) -> int:
        """Messages with an identity of their own."""
        repeated = sum(
            rows for (_, _, reason), rows in self._problems.items() if reason == REPEATED
        )
        return self.read - self.rejected - repeated

    @property
    def span(self) -> tuple[date, date] | None:
        """First and last day with messages; None without any."""
        return (min(self._good), max(self._good)) if self._good else None

    @property
    def reasons(self) -> Reasons:
        """Rows by action and reason."""
        return _reasons(self._problems)

    def days(self) -> list[date | None]:
        """Days with messages or problems; None stands for rows without a usable time."""
        named = {day for day, _, _ in self._problems} | set(self._good)
        return [*sorted(day for day in named if day), *([None] if None in named else [])]

    def of_day(self, day: date | None) -> tuple[int, int, int, Reasons]:
        """Rows read, rejected and repaired on a day, and the reasons."""
        problems = {key: rows for key, rows in self._problems.items() if key[0] == day}
        rejected = sum(rows for (_, action, _), rows in problems.items() if action == REJECTED)
        good = self._good[day] if day else 0
        return good + rejected, rejected, self._mended[day], _reasons(problems)


def _reasons(problems: Mapping[tuple[date | None, str, str], int]) -> Reasons:
    """Summed over the days, the commonest first."""
    counted: Counter[tuple[str, str]] = Counter()
    for (_, action, reason), rows in problems.items():
        counted[action, reason] += rows
    reasons: Reasons = {}
    for (action, reason), rows in counted.most_common():
        reasons.setdefault(action, {})[reason] = rows
    return reasons
