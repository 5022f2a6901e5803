"""The one order of messages that everything after it relies on."""

from __future__ import annotations

import polars as pl

_CONVERSATION = ["source", "conversation_id"]


def in_order(messages: pl.DataFrame) -> pl.DataFrame:
    """Sort by source, conversation, time and place in the source; add `conversation`, a number.

    Several messages may share a second, so ties are settled by `source_message_id` in natural
    order: by what precedes its last number, then by that number ("chat/9" before "chat/10"). The
    result does not depend on the order of the rows that come in.
    """
    numbers = (
        messages.select(_CONVERSATION).unique().sort(_CONVERSATION).with_row_index("conversation")
    )
    keys = (
        messages.select(*_CONVERSATION, "sent_at", "source_message_id")
        .with_row_index("row")
        .join(numbers, on=_CONVERSATION, maintain_order="left")
        .select("row", "conversation", "sent_at", "source_message_id")
        .sort("conversation", "sent_at")
    )
    tied = changes("conversation", "sent_at").not_()
    ties = keys.select(tied | tied.shift(-1, fill_value=False)).to_series().arg_true()
    rows = keys["row"].scatter(ties, _naturally(keys[ties])["row"])
    return messages[rows].with_columns(keys["conversation"])


def changes(*columns: str) -> pl.Expr:
    """Whether a row differs from the row above in one of the columns; true for the first row."""
    return pl.any_horizontal(
        pl.col(column).ne_missing(pl.col(column).shift(1)) for column in columns
    ) | (pl.int_range(pl.len()) == 0)


def _naturally(keys: pl.DataFrame) -> pl.DataFrame:
    name = pl.col("source_message_id")
    digits = name.str.extract(r"([0-9]+)$").fill_null("").str.strip_chars_start("0")
    return keys.sort(
        "conversation",
        "sent_at",
        name.str.replace(r"[0-9]+$", ""),
        digits.str.len_bytes(),
        digits,
        name,
    )
