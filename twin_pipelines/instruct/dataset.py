"""From pairs to a dataset: split by time and whole session, purged of what would leak.

- Sessions are ordered by their first reply. A cut is the start of a session: sessions that begin at
  or after it are later, sessions that end before it are earlier, and those that run across it are
  dropped, so that an earlier split ends before the later one begins. Of all possible cuts the one
  is taken that comes nearest to the wanted share and drops least.
- A pair of train or validation is purged when it nearly repeats one of a later split: when the
  replies, or message and reply together, are long (`is_long`) and their Jaccard similarity reaches
  `settings.near_duplicate`; or when message and reply together are short and equal. A short common
  reply alone ("haha yes") is no leak. Test is never touched by what train holds.
- From here on only train is touched: no threshold and no choice ever sees, or changes, another
  split. Pairs below the quality threshold (`thresholds`) are left out, then what nearly repeats an
  earlier pair (same rule, message and reply together), then a reply given more than
  `settings.max_same_reply` times already, laughter and drawn-out letters aside (`echoes`), then
  what exceeds `settings.max_train`, the commonest strata first (`balance`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import polars as pl

from twin_pipelines.foundation.similarity import normal_text, similar_texts
from twin_pipelines.generation.prompt import chat_messages
from twin_pipelines.instruct.balance import stratified, with_facets
from twin_pipelines.instruct.echoes import reply_key
from twin_pipelines.instruct.thresholds import MIN_QUALITY, Threshold, quality_threshold
from twin_pipelines.settings import Dataset, TwinError

SPLITS = ("train", "validation", "test")
LOW_QUALITY = "quality below the threshold of train"
ACROSS_CUT = "session runs across a cut between splits"
LEAKING_REPLY = "reply nearly repeats one of a later split"
LEAKING_EXCHANGE = "message and reply nearly repeat those of a later split"
REPEATED_EXCHANGE = "message and reply nearly repeat an earlier pair of train"
COMMON_REPLY = "same reply more often than settings.dataset.max_same_reply"
TOO_MANY = "more pairs of its kind than settings.dataset.max_train has room for"


@dataclass(frozen=True)
class Draft:
    """A dataset before it is written.

    `pairs` are the kept pairs with the column `split`, ordered by time. `left_out` are the others,
    with the `split` they were left out of (null for those across a cut) and the `reason`.
    """

    pairs: pl.DataFrame
    left_out: pl.DataFrame
    thresholds: dict[str, Threshold]

    @property
    def purged(self) -> dict[str, int]:
        """Pairs left out, counted by reason."""
        counts = self.left_out.group_by("reason", maintain_order=True).len()
        return dict(counts.iter_rows())

    def count(self, split: str) -> int:
        """Pairs in a split."""
        return self.pairs.filter(pl.col("split") == split).height

    @property
    def train_until(self) -> datetime:
        """Time of train's last reply."""
        return self._times("train").max()  # type: ignore[return-value]

    @property
    def test_from(self) -> datetime:
        """Time of test's first reply."""
        return self._times("test").min()  # type: ignore[return-value]

    def _times(self, split: str) -> pl.Series:
        return self.pairs.filter(pl.col("split") == split)["replied_at"]


def draft_dataset(
    pairs: pl.DataFrame,
    settings: Dataset,
    refine: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
) -> Draft:
    """Split and purge usable pairs (columns of `pairs.PAIR_SCHEMA`).

    `refine` may score the pairs of train anew before a threshold is taken from them. Raises
    TwinError where the history is too short for three splits by whole session.
    """
    split = split_by_time(pairs, settings)
    kept = split.filter(pl.col("split").is_not_null())
    kept, leaks = _without(kept, leaking_pairs(kept, settings.near_duplicate))
    train = kept.filter(pl.col("split") == "train")
    train = refine(train) if refine else train
    threshold = quality_threshold(train, settings.min_quality)
    train, poor = _without(train, poor_pairs(train, threshold))
    train, repeats = _without(train, repeated_pairs(train, settings))
    train, beyond = _without(train, _beyond(train, settings.max_train))
    later = kept.filter(pl.col("split") != "train")
    drafted = pl.concat([train, later]).sort("replied_at", "id")
    if set(drafted["split"].unique()) != set(SPLITS):
        raise TwinError(
            f"Of {pairs.height} pairs too few are left for train, validation and test; import a "
            "longer history or lower dataset.min_quality."
        )
    across = split.filter(pl.col("split").is_null()).with_columns(reason=pl.lit(ACROSS_CUT))
    left_out = pl.concat([across, leaks, poor, repeats, beyond]).sort("replied_at", "id")
    return Draft(drafted, left_out, {MIN_QUALITY: threshold})


def poor_pairs(train: pl.DataFrame, threshold: Threshold) -> pl.DataFrame:
    """(`id`, `reason`) of train's pairs below the threshold."""
    quality = pl.col("quality").cast(pl.Float64).round(3)
    poor = train.filter(quality < threshold.value)
    return poor.select("id", reason=pl.lit(LOW_QUALITY))


def _beyond(train: pl.DataFrame, most: int | None) -> pl.DataFrame:
    if most is None or train.height <= most:
        return train.clear().select("id", reason=pl.lit(TOO_MANY))
    chosen = stratified(with_facets(train), most)
    return train.filter(~pl.col("id").is_in(chosen)).select("id", reason=pl.lit(TOO_MANY))


def _without(pairs: pl.DataFrame, reasons: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The pairs that have no reason to go, and those that have, with it."""
    kept = pairs.join(reasons, on="id", how="anti", maintain_order="left")
    return kept, pairs.join(reasons, on="id", maintain_order="left")


def split_by_time(pairs: pl.DataFrame, settings: Dataset) -> pl.DataFrame:
    """Pairs with the column `split`; null for those of a session that runs across a cut."""
    sessions = (
        pairs.group_by("session_id")
        .agg(
            pl.col("replied_at").min().alias("first"),
            pl.col("replied_at").max().alias("last"),
            pl.len().alias("pairs"),
        )
        .sort("first", "session_id")
    )
    test_from = _cut(sessions, settings.test_share * pairs.height)
    before = sessions.filter(pl.col("last") < test_from)
    validation_from = _cut(before, settings.validation_share * pairs.height)
    first, last = pl.col("first"), pl.col("last")
    assigned = sessions.select(
        "session_id",
        pl.when(first >= test_from)
        .then(pl.lit("test"))
        .when((first >= validation_from) & (last < test_from))
        .then(pl.lit("validation"))
        .when(last < validation_from)
        .then(pl.lit("train"))
        .alias("split"),
    )
    return pairs.join(assigned, on="session_id", how="left", maintain_order="left")


def _cut(sessions: pl.DataFrame, wanted: float) -> datetime:
    """Where the later part begins: nearest to `wanted` pairs, counting dropped ones against it."""
    sizes = sessions["pairs"].to_numpy().astype(float)
    begins = sessions["first"].to_numpy()
    ends = sessions["last"].to_numpy()
    total = sizes.sum()
    order = np.argsort(ends, kind="stable")
    ended = np.concatenate([[0.0], np.cumsum(sizes[order])])
    earlier = ended[np.searchsorted(ends[order], begins, side="left")]
    started = np.concatenate([[0.0], np.cumsum(sizes)])
    later = total - started[np.searchsorted(begins, begins, side="left")]
    cost = np.abs(later - wanted) + (total - later - earlier)
    cost[earlier == 0] = np.inf
    if not np.isfinite(cost).any():
        raise TwinError(
            f"{int(total)} pairs in {sessions.height} sessions cannot be split by time into train, "
            "validation and test; import a history of more sessions."
        )
    return sessions["first"][int(cost.argmin())]


def leaking_pairs(pairs: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """(`id`, `reason`) of pairs that nearly repeat one of a later split; `pairs` has `split`."""
    texts = _texts(pairs)
    replies = _echoes(texts.filter(is_long(pl.col("said"))), "said", threshold)
    exchanges = _echoes(texts, "both", threshold)
    leaks = [
        echoes.filter(pl.col("latest") > pl.col("place")).select("id", reason=pl.lit(reason))
        for echoes, reason in ((replies, LEAKING_REPLY), (exchanges, LEAKING_EXCHANGE))
    ]
    return pl.concat(leaks).unique("id", keep="first", maintain_order=True)


def repeated_pairs(pairs: pl.DataFrame, settings: Dataset) -> pl.DataFrame:
    """(`id`, `reason`) of train's pairs that repeat earlier ones of train."""
    texts = _texts(pairs.filter(pl.col("split") == "train").sort("replied_at", "id"))
    again = (
        _echoes(texts, "both", settings.near_duplicate)
        .filter(pl.col("first") < pl.col("number"))
        .select("id", reason=pl.lit(REPEATED_EXCHANGE))
    )
    keyed = pairs.select("id", reply_key(pairs["reply"]))
    common = (
        texts.join(again, on="id", how="anti", maintain_order="left")
        .join(keyed, on="id", maintain_order="left")
        .filter(pl.int_range(pl.len()).over("key") >= settings.max_same_reply)
        .select("id", reason=pl.lit(COMMON_REPLY))
    )
    return pl.concat([again, common])


def is_long(normal: pl.Expr) -> pl.Expr:
    """Whether a normalised text is long enough to be recognised: 6 words or 25 characters."""
    return (normal.str.count_matches(" ") >= 5) | (normal.str.len_chars() >= 25)


def _texts(pairs: pl.DataFrame) -> pl.DataFrame:
    """Normalised reply (`said`) and message with reply (`both`); `number` is the order given."""
    asked, said = normal_text(pl.col("input")), normal_text(pl.col("reply"))
    return pairs.select(
        "id",
        pl.int_range(pl.len()).alias("number"),
        pl.col("split").replace_strict(SPLITS, range(3)).alias("place"),
        said.alias("said"),
        pl.concat_str(asked, pl.lit(" "), said).str.strip_chars(" ").alias("both"),
    )


def _echoes(texts: pl.DataFrame, column: str, threshold: float) -> pl.DataFrame:
    """`texts` with the latest split (`latest`) and the first number (`first`) where the text of
    `column` is said, nearly or, when it is short, exactly."""
    said = texts.group_by(column).agg(
        pl.col("place").max().alias("latest"), pl.col("number").min().alias("first")
    )
    said = said.sort(column)
    long = said.filter(is_long(pl.col(column)))
    matches = similar_texts(long[column], long[column], threshold)
    nearly = long[matches["right"]].with_columns(long[column].gather(matches["left"]))
    everywhere = (
        pl.concat([said.select(nearly.columns), nearly])
        .group_by(column)
        .agg(pl.col("latest").max(), pl.col("first").min())
    )
    return texts.join(everywhere, on=column, how="left", maintain_order="left")


def chat_rows(pairs: pl.DataFrame, system: str) -> list[dict[str, Any]]:
    """Pairs as rows of a dataset file, in the form trainers read."""
    return [
        {
            "pair_id": pair["id"],
            "prompt": chat_messages(system, pair["context"], pair["input"]),
            "completion": [{"role": "assistant", "content": pair["reply"]}],
            "partner": pair["partner"],
            "session_id": pair["session_id"],
            "replied_at": pair["replied_at"].isoformat(),
            "quality": round(pair["quality"], 3),
        }
        for pair in pairs.sort("replied_at", "id").iter_rows(named=True)
    ]


def dataset_version(
    settings: Mapping[str, Any], rows: Mapping[str, Sequence[dict[str, Any]]]
) -> str:
    """First 12 hexadecimal digits of the sha256 over the settings and the rows of each split."""
    digest = hashlib.sha256(orjson.dumps(settings, option=orjson.OPT_SORT_KEYS))
    for split in SPLITS:
        digest.update(split.encode())
        for line in sorted(orjson.dumps(row, option=orjson.OPT_SORT_KEYS) for row in rows[split]):
            digest.update(line)
    return digest.hexdigest()[:12]
