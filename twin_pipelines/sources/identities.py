"""Gives each message of a file an identity and a place among the messages of the same moment.

Files may come without identities, may repeat one, and often write times to the minute. All three
need a memory of the rows before; here it stays at a few bytes a row.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import polars as pl

from twin_pipelines.sources.messages import Batch, Rules

REPEATED = "the message_id stands more than once: the last row was kept"
_MOMENT = ("conversation_id", "sent_at")


class Identities:
    """Follows the rows of one file, in order, block by block.

    A missing `source_message_id` becomes a hash of conversation, speaker, time and text; the second
    and later identical rows get a number appended, so that the same file gives the same identities
    and no row is lost. Messages of one conversation at one moment are set a microsecond apart, in
    the order of the file; rows of one moment are expected to stand near each other.
    """

    def __init__(self, apart: bool = True) -> None:
        """`apart`: whether to set messages of one moment apart."""
        self._set_apart = apart
        self._seen = np.empty(0, dtype=np.uint64)
        self._copies: dict[str, int] = {}
        self._moments: pl.DataFrame | None = None

    def complete(self, batch: Batch, rules: Rules) -> Batch:
        """The batch with identities and places; rows whose given identity is not new are told.

        Of rows in this block that share a given identity the last stays.
        """
        frame, repeated = self._assign(batch.frame)
        lines = batch.frame["line"].filter(repeated)
        mended = batch.mended(lines, REPEATED, rules) if len(lines) else batch
        return replace(mended, frame=frame)

    def _assign(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        given = frame["source_message_id"].is_not_null()
        if not given.all():
            frame = frame.with_columns(
                source_message_id=pl.coalesce("source_message_id", self._derived(frame, ~given))
            )
        if self._set_apart:
            frame = self._apart(frame)
        known = self._known(frame["source_message_id"])
        names = frame["source_message_id"]
        repeated = (known | ~names.is_first_distinct()) & given
        if not names.is_unique().all():
            frame = frame.filter(names.is_last_distinct())
        return frame, repeated

    def _derived(self, frame: pl.DataFrame, wanted: pl.Series) -> pl.Series:
        """Identities of the wanted rows; null elsewhere."""
        keys = frame.filter(wanted).select(
            pl.concat_str(
                "conversation_id",
                "speaker",
                pl.col("sent_at").dt.epoch("us").cast(pl.String),
                "text",
                separator="\x1f",
            )
        )
        names = [hashlib.blake2b(key.encode(), digest_size=16).hexdigest() for key in keys[:, 0]]
        hashes = pl.Series("hash", names, dtype=pl.String)
        before = pl.Series(self._contains(hashes.hash(seed=1).to_numpy()))
        for position in (before | ~hashes.is_first_distinct()).arg_true():
            name = names[position]
            number = self._copies.get(name, 0) + 1
            self._copies[name] = number
            names[position] = f"{name}-{number}"
        empty = pl.repeat(None, frame.height, dtype=pl.String, eager=True)
        return empty.scatter(wanted.arg_true(), pl.Series(names, dtype=pl.String))

    def _known(self, names: pl.Series) -> pl.Series:
        """Which names occurred in earlier blocks; all are remembered."""
        hashes = names.hash(seed=1).to_numpy()
        known = self._contains(hashes)
        self._seen = np.sort(np.concatenate([self._seen, hashes[~known]]), kind="stable")
        return pl.Series(known)

    def _contains(self, hashes: np.ndarray) -> np.ndarray:
        if not self._seen.size:
            return np.zeros(hashes.size, dtype=bool)
        places = np.minimum(np.searchsorted(self._seen, hashes), self._seen.size - 1)
        return self._seen[places] == hashes

    def _apart(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Messages of one moment a microsecond apart, going on from the block before."""
        place = pl.int_range(pl.len()).over(_MOMENT)
        before = pl.lit(0)
        rows = frame
        if self._moments is not None and self._moments.height:
            rows = frame.join(self._moments, on=list(_MOMENT), how="left", maintain_order="left")
            before = pl.col("before").fill_null(0)
        rows = rows.with_columns(place=place + before)
        self._moments = rows.group_by(_MOMENT).agg(before=pl.col("place").max() + 1)
        later = pl.col("sent_at") + pl.duration(microseconds="place")
        return rows.with_columns(sent_at=later).select(frame.columns)
