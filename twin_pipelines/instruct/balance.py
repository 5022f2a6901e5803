"""What train talks about, with whom, how long, in which language and mood; and a balanced choice.

Facets of a pair: topic (`topics`), partner, length of the reply in characters, language, and the
emotion part of its quality. When train must be smaller than what there is, strata of topic, length,
language and emotion are filled evenly, like vessels with one water level: small ones stay whole and
only the largest are cut. Within a stratum the partners take turns.
"""

from __future__ import annotations

import hashlib

import polars as pl

from twin_pipelines.instruct.topics import pair_topics

FACETS = ("topic", "partner", "length", "language", "emotion")
_STRATA = ("topic", "length", "language", "emotion")
_LENGTHS = (15, 40, 100)  # characters up to and including
_STRONG = 1.0  # of the emotion part, 0 to 2


def with_facets(train: pl.DataFrame) -> pl.DataFrame:
    """Pairs with the columns of FACETS; `partner` and `language` they have already."""
    size = pl.col("reply").str.len_chars()
    length = pl.lit(f"over {_LENGTHS[-1]} characters")
    for most in reversed(_LENGTHS):
        length = pl.when(size <= most).then(pl.lit(f"up to {most} characters")).otherwise(length)
    emotion = pl.col("quality_parts").struct.field("emotion").fill_null(0)
    mood = (
        pl.when(emotion <= 0)
        .then(pl.lit("none"))
        .when(emotion < _STRONG)
        .then(pl.lit("some"))
        .otherwise(pl.lit("strong"))
    )
    return train.with_columns(pair_topics(train), length.alias("length"), mood.alias("emotion"))


def stratified(pairs: pl.DataFrame, most: int) -> list[str]:
    """Ids of `most` of the pairs (with FACETS), the same at each call."""
    order = [hashlib.sha256(pair.encode()).hexdigest() for pair in pairs["id"]]
    turns = (
        pairs.select("id", "partner", *_STRATA, order=pl.Series(order, dtype=pl.String))
        .sort("order")
        .with_columns(turn=pl.int_range(pl.len()).over(*_STRATA, "partner"))
        .sort("turn", "order")
        .with_columns(place=pl.int_range(pl.len()).over(*_STRATA))
    )
    return turns.sort("place", "order")["id"].head(most).to_list()


def coverage(offered: pl.DataFrame, taken: pl.DataFrame) -> pl.DataFrame:
    """`facet`, `value`, pairs `offered` and pairs `taken`, the commonest value of a facet first.

    `offered` holds all pairs with FACETS; `taken` is told by `id`.
    """
    marked = offered.with_columns(pl.col("id").is_in(taken["id"].to_list()).alias("taken"))
    counted = [
        marked.group_by(pl.lit(facet).alias("facet"), pl.col(facet).alias("value"))
        .agg(pl.len().alias("offered"), pl.col("taken").sum())
        .sort(["offered", "value"], descending=[True, False])
        for facet in FACETS
    ]
    return pl.concat(counted)
