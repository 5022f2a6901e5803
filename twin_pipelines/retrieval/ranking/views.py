"""What of a turn is searched: the turn with its speaker and date, and the turn in its surroundings.

Field notes of the project found the surroundings the largest single gain on long dialogues of
short turns, and a loss on natural chat: so both are kept and a fusion weighs them.
"""

from __future__ import annotations

from typing import Any

import polars as pl

TURNS: dict[str, Any] = {
    "turn": pl.String,
    "session": pl.String,
    "speaker": pl.String,
    "text": pl.String,
    "caption": pl.String,  # of a picture that was sent with it; null without one
    "sent_at": pl.Datetime("us", "UTC"),
}


def with_views(turns: pl.DataFrame) -> pl.DataFrame:
    """Turns (TURNS, sessions in order, one after another) with two more columns.

    `meta` is `speaker: text [caption] (8 May 2023)`; `ctx` the meta views of the turn before, this
    one and the next of the same session, each without its date, and the date once.
    """
    said = pl.concat_str(
        pl.col("speaker"),
        pl.lit(": "),
        pl.col("text"),
        pl.when(pl.col("caption").str.len_chars() > 0)
        .then(pl.concat_str(pl.lit(" ["), pl.col("caption"), pl.lit("]")))
        .otherwise(pl.lit("")),
    )
    day = pl.col("sent_at").dt.strftime("(%-d %B %Y)")
    around = pl.concat_str(
        pl.col("_said").shift(1).over("session"),
        pl.col("_said"),
        pl.col("_said").shift(-1).over("session"),
        day,
        separator="\n",
        ignore_nulls=True,
    )
    return (
        turns.with_columns(_said=said)
        .with_columns(meta=pl.concat_str(pl.col("_said"), day, separator=" "), ctx=around)
        .drop("_said")
    )
