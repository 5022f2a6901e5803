"""What a dataset left out and why: a report with examples, and a list other tools can read.

The report holds three short examples a reason, without names, numbers, links and contact data. The
list (`left_out.parquet`) holds no text: identity, split, reason, quality.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import polars as pl

from twin_pipelines.instruct.people import without_contact
from twin_pipelines.persona.never_says import says

REPORT = "left_out.md"
FILE = "left_out.parquet"
EXAMPLES = 3  # of each reason
NEVER_SAY = "the owner never wants to hear it"
_LONGEST = 90  # characters of an example's message or reply
_PSEUDONYM = re.compile(r"\bpartner-[0-9a-f]{8}\b")
_LINK = re.compile(r"(?i)\b(?:https?://|www\.)\S+")
_NUMBER = re.compile(r"\d{3,}")
_NAME = re.compile(r"(?<=[\w,;] )(?!I\b)[A-Z][a-z]+(?: [A-Z][a-z]+)*")


def without_never_says(
    pairs: pl.DataFrame, never: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Pairs (`pairs.PAIR_SCHEMA`) whose reply holds none of the owner's never-says, and the others,
    with the reason in `excluded`."""
    said = pl.Series([says(reply, never) for reply in pairs["reply"]], dtype=pl.Boolean)
    return pairs.filter(~said), pairs.filter(said).with_columns(excluded=pl.lit(NEVER_SAY))


def all_left_out(excluded: pl.DataFrame, purged: pl.DataFrame) -> pl.DataFrame:
    """Pairs that were unfit (`excluded` is the reason) and those a draft left out, as one frame.

    Columns: `pair_id, split, reason, quality, replied_at, input, reply`.
    """
    columns = ("quality", "replied_at", "input", "reply")
    unfit = excluded.select(
        pl.col("id").alias("pair_id"),
        pl.lit(None, dtype=pl.String).alias("split"),
        pl.col("excluded").alias("reason"),
        *columns,
    )
    dropped = purged.select(pl.col("id").alias("pair_id"), "split", "reason", *columns)
    return pl.concat([unfit, dropped])


def left_out_report(left_out: pl.DataFrame) -> str:
    """The report as markdown, the most frequent reason first."""
    if left_out.is_empty():
        return "Nothing was left out.\n"
    parts = [f"{left_out.height:,} pairs were left out. Names, numbers and links are masked."]
    reasons = left_out.group_by("reason").len().sort(["len", "reason"], descending=[True, False])
    for reason, count in reasons.iter_rows():
        of_it = left_out.filter(pl.col("reason") == reason).sort("pair_id").head(EXAMPLES)
        parts.append(f"### {count:,} × {reason}")
        parts.append(
            "\n".join(
                f"- “{masked(asked)}” → “{masked(said)}”"
                for asked, said in of_it.select("input", "reply").iter_rows()
            )
        )
    return "\n\n".join(parts) + "\n"


def left_out_list(left_out: pl.DataFrame) -> bytes:
    """The list as a Parquet file."""
    parquet = io.BytesIO()
    listed = left_out.select("pair_id", "split", "reason", "quality", "replied_at")
    listed.sort("replied_at", "pair_id").write_parquet(parquet)
    return parquet.getvalue()


def masked(text: str) -> str:
    """A short form of a text on one line that names nobody.

    Masked are pseudonyms, contact data, links, runs of three and more digits, and words written
    with a capital inside a sentence.
    """
    line = " / ".join(part.strip() for part in text.splitlines() if part.strip())
    line = _PSEUDONYM.sub("[name]", _LINK.sub("[link]", without_contact(line)))
    line = _NUMBER.sub("[number]", _NAME.sub("[name]", line))
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1].rstrip() + "…"
