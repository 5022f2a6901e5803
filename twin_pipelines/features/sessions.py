"""Sessions: runs of messages of one conversation without a long pause.

A day's sessions are computed from that day and its eve and from nothing older, so that a day comes
out the same whenever, and in whatever order, days are processed. A session that began on the eve
keeps its identity past midnight. A chain that was never interrupted for longer than that is cut: to
a day it begins with the first message of the eve, so the chain changes its session at midnight.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from twin_pipelines.features.order import changes


def with_sessions(messages: pl.DataFrame, pause_minutes: int) -> pl.DataFrame:
    """Add `session_id`, the `id` of the first message of the session.

    `messages` is ordered (`order.in_order`) and holds every raw message of the days and of the day
    before them, also those that cleaning drops: a pause is a pause in the raw history. A session
    ends where nobody writes for longer than `pause_minutes`.
    """
    row = pl.int_range(pl.len(), dtype=pl.UInt32)
    paused = pl.col("sent_at").diff() > timedelta(minutes=pause_minutes)
    unbroken_from = pl.when(changes("conversation") | paused).then(row).forward_fill()
    day_from = pl.when(changes("conversation", "day")).then(row).forward_fill()
    follows_eve = changes("conversation").not_() & (
        pl.col("day").shift(1) == pl.col("day") - timedelta(days=1)
    )
    eve_from = (
        pl.when(changes("conversation", "day"))
        .then(pl.when(follows_eve).then(day_from.shift(1)).otherwise(row))
        .forward_fill()
    )
    starts = messages.select(pl.max_horizontal(unbroken_from, eve_from)).to_series()
    return messages.with_columns(messages["id"].gather(starts).alias("session_id"))
