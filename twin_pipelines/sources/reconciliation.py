"""Whether two tables hold the same rows: by day first, then by row where a day differs.

Nothing here knows which databases the two are in; `reconciliation_store` reads them. What was
written between the two readings differs too, so a difference counts only when `lasting` finds it in
two looks.
"""

from __future__ import annotations

import polars as pl

DAY_SCHEMA = {"day": pl.Date, "rows": pl.Int64, "digest": pl.String}
ROW_SCHEMA = {"key": pl.String, "digest": pl.String}


def differences(here: pl.DataFrame, there: pl.DataFrame) -> pl.DataFrame:
    """Days that are not the same on both sides: `day` (null: rows without one), `rows_here`,
    `rows_there`, the earliest first.

    Both have DAY_SCHEMA, as `reconciliation_store.digests` gives them.
    """
    both = here.join(there, on="day", how="full", nulls_equal=True, suffix="_there", coalesce=True)
    return (
        both.filter(pl.col("digest").ne_missing(pl.col("digest_there")))
        .select(
            "day",
            pl.col("rows").fill_null(0).alias("rows_here"),
            pl.col("rows_there").fill_null(0),
        )
        .sort("day", nulls_last=True)
    )


def differing_keys(here: pl.DataFrame, there: pl.DataFrame) -> pl.DataFrame:
    """Rows that are not the same on both sides: `key`, `found` (`here`, `there` or `both`),
    `digest_here`, `digest_there`, by key.

    Both have ROW_SCHEMA, as `reconciliation_store.fingerprints` gives them.
    """
    both = here.join(there, on="key", how="full", suffix="_there", coalesce=True)
    found = (
        pl.when(pl.col("digest_there").is_null())
        .then(pl.lit("here"))
        .when(pl.col("digest").is_null())
        .then(pl.lit("there"))
        .otherwise(pl.lit("both"))
    )
    return (
        both.filter(pl.col("digest").ne_missing(pl.col("digest_there")))
        .select("key", found.alias("found"), pl.col("digest").alias("digest_here"), "digest_there")
        .sort("key")
    )


def lasting(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Differing rows that were the same in both looks, on both sides: nothing is on its way.

    Both are what `differing_keys` gives, of two moments some seconds apart.
    """
    return after.join(
        before, on=["key", "digest_here", "digest_there"], how="semi", nulls_equal=True
    )
