"""What a message is, and what makes a row of somebody's export one: the same for every source.

Readers bring rows of text (`LOOSE_SCHEMA`); `tidy` mends what can be mended without guessing,
leaves out what is no message, and accounts for both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from twin_pipelines.settings import TwinSettings
from twin_pipelines.sources.times import MOMENT

MESSAGE_SCHEMA: dict[str, Any] = {
    "source_message_id": pl.String,
    "conversation_id": pl.String,
    "speaker": pl.String,
    "text": pl.String,
    "sent_at": MOMENT,
    "reply_to": pl.String,
    "metadata": pl.String,  # JSON
}
LOOSE_SCHEMA: dict[str, Any] = {
    "line": pl.Int64,
    **MESSAGE_SCHEMA,
    "timeless": pl.Boolean,  # there was no time to read
    "zoneless": pl.Boolean,  # the time was written without a zone
    "replaced": pl.Boolean,  # characters were replaced while reading
    "left_out": pl.Boolean,  # the metadata could not be kept
    "fault": pl.String,  # why the reader could not make a row of it; null: it could
}
PROBLEM_SCHEMA: dict[str, Any] = {
    "line": pl.Int64,
    "day": pl.Date,
    "action": pl.String,
    "reason": pl.String,
    "excerpt": pl.String,
}
KEPT_PROBLEMS = 1_000  # of one reading; counters stay exact
EXCERPT_CHARS = 120
LONGEST_NAME = 512  # characters of an identity; PostgreSQL cannot index much longer ones
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
TWIN = "(twin)"  # the speaker of the twin's own words, in whichever source they stand
REJECTED, REPAIRED = "rejected", "repaired"

NO_TEXT = "no text"
NO_CONVERSATION = "no conversation_id"
NO_SPEAKER = "no speaker"
NO_TIME = "no time"
UNREADABLE_TIME = "the time cannot be read"
FUTURE_TIME = "the time is in the future"
EARLY_TIME = "the time is before 1970"
LONG_NAME = f"an identity or name of more than {LONGEST_NAME} characters"
CHARACTERS_REPLACED = "characters that are not text became U+FFFD"
METADATA_LEFT_OUT = "metadata that is too long or too deep was left out"

_NAMES = ("source_message_id", "conversation_id", "speaker", "reply_to")


@dataclass(frozen=True)
class Rules:
    """What `tidy` needs to know."""

    zone: ZoneInfo  # of times written without one, and of days
    max_chars: int  # a longer text is refused
    latest: datetime  # a later time is refused

    @classmethod
    def of(cls, settings: TwinSettings) -> Rules:
        """The rules of the settings, now."""
        latest = datetime.now(UTC) + timedelta(days=1)
        return cls(settings.zone, settings.cleaning.max_chars, latest)

    @property
    def too_long(self) -> str:
        return f"a text of more than {self.max_chars:,} characters"

    @property
    def zone_assumed(self) -> str:
        return f"a time without zone was read as {self.zone.key}"


@dataclass(frozen=True)
class Batch:
    """Messages that were read together.

    `frame` has MESSAGE_SCHEMA and `line`; `problems` has PROBLEM_SCHEMA, one row a line and reason;
    `read` counts the rows that were seen, good and bad.
    """

    frame: pl.DataFrame
    problems: pl.DataFrame
    read: int

    def mended(self, lines: pl.Series, reason: str, rules: Rules) -> Batch:
        """The batch with one more repair, of those of the lines that were kept."""
        rows = self.frame.filter(pl.col("line").is_in(lines.implode()))
        if not rows.height:
            return self
        problems = rows.select(
            "line",
            day_of(pl.col("sent_at"), rules.zone).alias("day"),
            pl.lit(REPAIRED).alias("action"),
            pl.lit(reason).alias("reason"),
            pl.col("text").str.slice(0, EXCERPT_CHARS).alias("excerpt"),
        )
        return replace(self, problems=pl.concat([self.problems, problems]))


def tidy(loose: pl.DataFrame, rules: Rules, excerpt: Callable[[int], str]) -> Batch:
    """Rows as a reader found them → messages, and what was wrong with the others.

    `loose` has LOOSE_SCHEMA. `excerpt(position)` shows the row at a position of it; it is asked for
    the first problems only.
    """
    rows = _mend(loose).with_row_index("position")
    rows = rows.with_columns(fault=_fault(rules))
    good = (
        rows.filter(pl.col("fault").is_null()) if rows["fault"].null_count() < len(rows) else rows
    )
    problems = _problems(rows, rules)
    if problems.height:
        shown = [clip(excerpt(position)) for position in problems["position"].head(KEPT_PROBLEMS)]
        shown += [""] * (problems.height - len(shown))
        problems = problems.with_columns(excerpt=pl.Series(shown, dtype=pl.String))
    else:
        problems = problems.with_columns(excerpt=pl.lit(""))
    return Batch(
        good.select("line", *MESSAGE_SCHEMA), problems.select(*PROBLEM_SCHEMA), loose.height
    )


def as_loose(frame: pl.DataFrame) -> pl.DataFrame:
    """Messages of a reader that found nothing wrong, with LOOSE_SCHEMA."""
    return frame.select(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("line"),
        *MESSAGE_SCHEMA,
        pl.lit(False).alias("timeless"),
        pl.lit(False).alias("zoneless"),
        pl.lit(False).alias("replaced"),
        pl.lit(False).alias("left_out"),
        pl.lit(None, dtype=pl.String).alias("fault"),
    )


def day_of(moment: pl.Expr, zone: ZoneInfo) -> pl.Expr:
    """The day of a moment in a zone: the partition."""
    return moment.dt.convert_time_zone(zone.key).dt.date()


def clip(text: str) -> str:
    """The first characters of a row, fit for a text column."""
    return without_surrogates(text[:EXCERPT_CHARS]).replace("\0", REPLACEMENT)


def without_surrogates(text: str) -> str:
    """Pairs of surrogates joined, lone ones replaced by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _mend(loose: pl.DataFrame) -> pl.DataFrame:
    """Names stripped, empty identities null, NUL replaced."""
    null_characters = [
        name for name in (*_NAMES, "text") if loose[name].str.contains("\0", literal=True).any()
    ]
    if null_characters:
        columns = pl.col(null_characters)
        loose = loose.with_columns(
            columns.str.replace_all("\0", REPLACEMENT, literal=True),
            replaced=pl.any_horizontal(
                "replaced", columns.str.contains("\0", literal=True).fill_null(False)
            ),
        )
    names = pl.col(_NAMES).str.strip_chars()
    return loose.with_columns(pl.when(names != "").then(names).name.keep())


def _fault(rules: Rules) -> pl.Expr:
    sent_at = pl.col("sent_at")
    long_name = pl.any_horizontal(
        (pl.col(_NAMES).str.len_bytes() > LONGEST_NAME)
        & (pl.col(_NAMES).str.len_chars() > LONGEST_NAME)
    )
    long_text = (pl.col("text").str.len_bytes() > rules.max_chars) & (
        pl.col("text").str.len_chars() > rules.max_chars
    )
    return (
        pl.when(pl.col("fault").is_not_null())
        .then("fault")
        .when(pl.col("conversation_id").is_null())
        .then(pl.lit(NO_CONVERSATION))
        .when(pl.col("speaker").is_null())
        .then(pl.lit(NO_SPEAKER))
        .when(pl.col("text").is_null())
        .then(pl.lit(NO_TEXT))
        .when(pl.col("timeless"))
        .then(pl.lit(NO_TIME))
        .when(sent_at.is_null())
        .then(pl.lit(UNREADABLE_TIME))
        .when(sent_at > rules.latest)
        .then(pl.lit(FUTURE_TIME))
        .when(sent_at < datetime(1970, 1, 1, tzinfo=UTC))
        .then(pl.lit(EARLY_TIME))
        .when(long_text)
        .then(pl.lit(rules.too_long))
        .when(long_name)
        .then(pl.lit(LONG_NAME))
        .otherwise(None)
    )


def _problems(rows: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """`position`, `line`, `day`, `action`, `reason`: in the order of the rows."""
    usable = pl.col("sent_at").is_between(datetime(1970, 1, 1, tzinfo=UTC), rules.latest)
    day = pl.when(usable).then(day_of(pl.col("sent_at"), rules.zone))
    wanted = ("position", "line", day.alias("day"))
    kept = pl.col("fault").is_null()
    parts = [
        rows.lazy().filter(~kept).select(*wanted, action=pl.lit(REJECTED), reason=pl.col("fault"))
    ]
    for flag, reason in (
        ("zoneless", rules.zone_assumed),
        ("replaced", CHARACTERS_REPLACED),
        ("left_out", METADATA_LEFT_OUT),
    ):
        mended = rows.lazy().filter(kept & pl.col(flag))
        parts.append(mended.select(*wanted, action=pl.lit(REPAIRED), reason=pl.lit(reason)))
    return pl.concat(parts).sort("position", maintain_order=True).collect()
