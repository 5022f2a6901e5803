"""Finds what was sent twice.

Every function takes ordered messages (`order.in_order`) with cleaned texts and returns the ones to
drop, as a frame (`raw_id`, `kept_id`). Duplicates are looked for within one day, like everything
else that decides whether a message stays, so that a day never depends on the next one. Nothing
shorter than `LONG_TEXT` characters is a duplicate only because it is repeated: "haha", "haha" is
how people write. The same record twice is one, with one exception, whatever its length.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl

from twin_pipelines.features.order import changes

LONG_TEXT = 20  # characters
DOUBLE_SEND = timedelta(seconds=10)
REACH = 3  # an edit is looked for among this many later long messages of the same run


def same_record(messages: pl.DataFrame) -> pl.DataFrame:
    """Messages that equal an earlier one in conversation, speaker, time and text.

    The first in the order of the source is kept. Times are equal to the millisecond: importers may
    set messages of one moment a few microseconds apart. Short texts on the full minute are spared,
    since on a clock without seconds a repeated "ok" is no second record of the first. When the
    same speaker, second and text arrived from two sources, the message of the source that comes
    first by name is kept, whatever the two call the conversation.
    """
    columns = ["id", "source", "conversation", "speaker", "text"]
    moments = messages.select(
        *columns,
        moment=pl.col("sent_at").dt.truncate("1ms"),
        second=pl.col("sent_at").dt.truncate("1s"),
    )
    tied = changes("conversation", "moment").not_()
    full_minute = pl.col("moment") == pl.col("moment").dt.truncate("1m")
    telling = (pl.col("text").str.len_chars() >= LONG_TEXT) | full_minute.not_()
    record = ["conversation", "speaker", "moment", "text"]
    within = (
        moments.filter(tied | tied.shift(-1, fill_value=False))
        .filter(telling)
        .select(raw_id="id", kept_id=pl.col("id").first().over(record))
        .filter(pl.col("raw_id") != pl.col("kept_id"))
    )
    if messages["source"].n_unique() < 2:
        return within
    record = ["speaker", "second", "text"]
    across = (
        moments.filter(pl.col("second").is_duplicated())
        .join(within, left_on="id", right_on="raw_id", how="anti", maintain_order="left")
        .select(
            raw_id="id",
            kept_id=pl.col("id").first().over(record),
            elsewhere=pl.col("source") != pl.col("source").first().over(record),
        )
        .filter("elsewhere")
        .drop("elsewhere")
    )
    return pl.concat([within, across])


def double_sends(messages: pl.DataFrame) -> pl.DataFrame:
    """Long texts sent again, unchanged, within `DOUBLE_SEND` of the last time.

    `messages` has `run`: one number for each stretch of a speaker's messages with nobody between,
    within one session and day. The first is kept.
    """
    text = ["run", "text"]
    again = (pl.col("sent_at").diff() <= DOUBLE_SEND).fill_null(False).over(text)
    first = pl.when(pl.col("again").not_()).then("id").forward_fill().over(text)
    return (
        messages.select("id", "run", "sent_at", "text")
        .filter(pl.col("text").str.len_chars() >= LONG_TEXT)
        .filter(pl.len().over(text) > 1)
        .with_columns(again=again)
        .with_columns(first=first)
        .filter("again")
        .select(raw_id="id", kept_id="first")
    )


def resent_with_edit(messages: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Long texts that the same speaker sent again with an edit, nobody writing in between.

    Two texts are near duplicates when neither their lengths nor, by Jaccard similarity, their sets
    of two-character shingles agree by less than `threshold`: 0.9 forgives one letter in forty. What
    is said again in capitals is another text. The earlier of two is dropped: the edit is what was
    meant. `messages` has `run`, as for `double_sends`.
    """
    texts = messages.select("id", "run", "text", length=pl.col("text").str.len_chars()).filter(
        pl.col("length") >= LONG_TEXT
    )
    pairs = pl.concat([_pairs(texts, step, threshold) for step in range(1, REACH + 1)])
    alike = pl.Series(jaccard(pairs["text"], pairs["later"]) >= threshold)
    return (
        pairs.filter(alike)
        .unique("raw_id", keep="first", maintain_order=True)
        .select("raw_id", "kept_id")
    )


def resolve(dropped: pl.DataFrame) -> pl.DataFrame:
    """Point every `kept_id` at a message that is really kept, following chains of duplicates."""
    targets = dropped.select(kept_id="raw_id", further="kept_id")
    while dropped["kept_id"].is_in(dropped["raw_id"].implode()).any():
        dropped = dropped.join(targets, on="kept_id", how="left", maintain_order="left").select(
            pl.exclude("kept_id", "further"), kept_id=pl.coalesce("further", "kept_id")
        )
    return dropped


def jaccard(left: pl.Series, right: pl.Series) -> np.ndarray:
    """Jaccard similarity of the sets of two-character shingles, pair by pair; float64 (n,).

    Pairs whose texts have no shingle (fewer than two characters on both sides) score 0.
    """
    pairs = len(left)
    points = [_code_points(left), _code_points(right)]
    known = np.zeros(0x110000, dtype=bool)
    for side in points:
        known[side] = True
    numbers = np.cumsum(known) - 1
    kinds = int(known.sum()) ** 2
    left_set, right_set = (
        _distinct(_shingles(numbers[side], texts, kinds))
        for side, texts in zip(points, (left, right), strict=True)
    )
    together = np.sort(np.concatenate([left_set, right_set]))
    common = together[1:][together[1:] == together[:-1]]
    shared = np.bincount(common // max(kinds, 1), minlength=pairs)
    sizes = np.bincount(together // max(kinds, 1), minlength=pairs)
    return shared / np.maximum(sizes - shared, 1)


def _pairs(texts: pl.DataFrame, step: int, threshold: float) -> pl.DataFrame:
    """Texts of one run that stand `step` apart and whose lengths agree."""
    later_length = pl.col("length").shift(-step)
    return texts.select(
        raw_id="id",
        kept_id=pl.col("id").shift(-step),
        text="text",
        later=pl.col("text").shift(-step),
        close=(pl.col("run") == pl.col("run").shift(-step))
        & (
            pl.min_horizontal("length", later_length)
            >= threshold * pl.max_horizontal("length", later_length)
        ),
    ).filter("close")


def _code_points(texts: pl.Series) -> np.ndarray:
    return np.frombuffer("".join(texts).encode("utf-32-le"), dtype="<u4")


def _shingles(characters: np.ndarray, texts: pl.Series, kinds: int) -> np.ndarray:
    """Row and two characters of every shingle as one number: row * kinds + shingle."""
    rows = np.repeat(np.arange(len(texts)), texts.str.len_chars().to_numpy())
    inside = rows[:-1] == rows[1:]
    width = round(kinds**0.5)
    shingles = rows[:-1] * kinds + characters[:-1] * width + characters[1:]
    return shingles[inside]


def _distinct(values: np.ndarray) -> np.ndarray:
    values = np.sort(values)
    return values[np.append(True, values[1:] != values[:-1])] if len(values) else values
