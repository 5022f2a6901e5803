"""How alike two texts are: normalised text, character shingles, Jaccard similarity.

Works for languages with and without spaces. All functions are exact: no sampling, no hashing trick
that could miss a pair (shingles are kept as 64-bit hashes; a collision would need ~10⁹ shingles).
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
import polars as pl

SHINGLE = 5
_MIX = (
    0x9E3779B97F4A7C15,
    0xBF58476D1CE4E5B9,
    0x94D049BB133111EB,
    0xD6E8FEB86659FD93,
    0xFF51AFD7ED558CCD,
)


def normal_text(text: pl.Expr) -> pl.Expr:
    """Text reduced to what carries meaning: compatibility form (NFKC, but Thai and Lao am stay one
    character), lower case, letters, marks and digits, apostrophes dropped, all else one space."""
    return (
        text.str.normalize("NFKC")
        .str.replace_all("\u0e4d\u0e32", "\u0e33", literal=True)
        .str.replace_all("\u0ecd\u0eb2", "\u0eb3", literal=True)
        .str.to_lowercase()
        .str.replace_all("['’`]", "")
        .str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ")
        .str.strip_chars(" ")
    )


class _Kept(dict[int, int | str]):
    """For `str.translate`: letters, marks and digits as they are, all else a space."""

    def __missing__(self, code: int) -> int | str:
        category = unicodedata.category(chr(code))
        if category == "Cn":
            raise ValueError("a character that Python does not know")
        self[code] = code if category[0] in "LMN" else " "
        return self[code]


_KEPT = _Kept()
_APOSTROPHES = str.maketrans("", "", "'’`")


@lru_cache(maxsize=4_000)
def normal(text: str) -> str:
    """`normal_text` of one text, without the cost of a frame."""
    plain = unicodedata.normalize("NFKC", text)
    plain = plain.replace("\u0e4d\u0e32", "\u0e33").replace("\u0ecd\u0eb2", "\u0eb3")
    try:
        return " ".join(plain.lower().translate(_APOSTROPHES).translate(_KEPT).split())
    except ValueError:  # a character newer than Python's tables, which polars may know
        frame = pl.DataFrame({"text": [text]}, schema={"text": pl.String})
        return frame.select(normal_text(pl.col("text"))).item()


def shingles(texts: pl.Series) -> pl.DataFrame:
    """The distinct runs of 5 characters of each text, as (`row`, `shingle`).

    `row` is the position in `texts`; `shingle` a 64-bit hash. A text shorter than 5 characters has
    one shingle, the whole text padded with spaces; an empty text has none.
    """
    padded = [text + " " * (SHINGLE - len(text)) if text else "" for text in texts.to_list()]
    lengths = np.array([len(text) for text in padded], dtype=np.int64)
    codes = np.frombuffer("".join(padded).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    rows = np.repeat(np.arange(len(padded)), lengths)
    if codes.size < SHINGLE:
        return pl.DataFrame(schema={"row": pl.UInt32, "shingle": pl.UInt64})
    count = codes.size - SHINGLE + 1
    hashes = np.zeros(count, dtype=np.uint64)
    for offset, mix in enumerate(_MIX):
        part = (codes[offset : offset + count] + np.uint64(offset + 1)) * np.uint64(mix)
        hashes = (hashes ^ (part ^ (part >> np.uint64(29)))) * np.uint64(_MIX[0])
        hashes ^= hashes >> np.uint64(32)
    inside = rows[:count] == rows[SHINGLE - 1 :]
    return pl.DataFrame(
        {"row": rows[:count][inside].astype(np.uint32), "shingle": hashes[inside]}
    ).unique()


def similar_texts(left: pl.Series, right: pl.Series, threshold: float) -> pl.DataFrame:
    """Every pair of texts whose shingles have Jaccard similarity ≥ `threshold`.

    `left` and `right` hold normalised texts; an empty one is like nothing. Returns (`left`,
    `right`, `similarity`), positions in the two series. Exact: by the prefix filter (Chaudhuri et
    al., ICDE 2006), two sets of n and m shingles that alike share one of the
    n − ⌈threshold · n⌉ + 1 and m − ⌈threshold · m⌉ + 1 rarest.
    """
    texts = pl.concat([left, right]).unique().sort()
    numbers = pl.DataFrame({"text": texts}).with_row_index("row")
    sides = [
        pl.DataFrame({"text": side}).with_row_index(name).join(numbers, on="text").drop("text")
        for name, side in (("left", left), ("right", right))
    ]
    sets = shingles(texts)
    prefixes = _prefixes(sets, threshold)
    candidates = _candidates(
        prefixes.join(sides[0].select("row").unique(), on="row"),
        prefixes.join(sides[1].select("row").unique(), on="row"),
        threshold,
    )
    return (
        _verified(candidates, sets, threshold)
        .join(sides[0].rename({"row": "a"}), on="a")
        .join(sides[1].rename({"row": "b"}), on="b")
        .select("left", "right", "similarity")
        .sort("left", "right")
    )


def _prefixes(sets: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """The rarest shingles of each row, enough of them for the prefix filter."""
    rank = pl.int_range(pl.len()).over("row")
    size = pl.len().over("row").cast(pl.Int64)
    return (
        sets.with_columns(pl.len().over("shingle").alias("df"))
        .sort("row", "df", "shingle")
        .with_columns(rank.alias("rank"), size.alias("size"))
        .filter(pl.col("rank") <= pl.col("size") - (pl.col("size") * threshold - 1e-9).ceil())
        .select("row", "shingle", "size")
    )


def _candidates(left: pl.DataFrame, right: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Pairs of rows that could be alike, seen from their prefixes alone.

    Of the two prefixes one ends first in the common order; its row can share with the other no more
    than the shingles common to both prefixes and everything after its own prefix.
    """
    size, size_b = pl.col("size"), pl.col("size_b")
    rest = [(n * threshold - 1e-9).ceil() - 1 for n in (size, size_b)]
    needed = ((size + size_b) * (threshold / (1 + threshold)) - 1e-9).ceil()
    smaller, larger = pl.min_horizontal(size, size_b), pl.max_horizontal(size, size_b)
    return (
        left.join(right, on="shingle", suffix="_b")
        .filter(smaller >= larger * threshold - 1e-9)
        .group_by(pl.col("row").alias("a"), pl.col("row_b").alias("b"), "size", "size_b")
        .agg(pl.len().alias("common"))
        .filter(pl.col("common") + pl.max_horizontal(rest) >= needed)
    )


def _verified(candidates: pl.DataFrame, sets: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """The candidates that are alike, with their exact similarity."""
    union = pl.col("size") + pl.col("size_b") - pl.col("shared")
    return (
        candidates.join(sets.rename({"row": "a"}), on="a")
        .join(sets.rename({"row": "b"}), on=["b", "shingle"])
        .group_by("a", "b", "size", "size_b")
        .agg(pl.len().cast(pl.Int64).alias("shared"))
        .with_columns((pl.col("shared") / union).alias("similarity"))
        .filter(pl.col("similarity") >= threshold - 1e-9)
        .select("a", "b", "similarity")
    )


def jaccard(first: str, second: str) -> float:
    """Jaccard similarity of two normalised texts, 0 to 1; equal texts are 1, even empty ones."""
    if first == second:
        return 1.0
    one, two = _shingle_set(first), _shingle_set(second)
    return len(one & two) / len(one | two) if one and two else 0.0


def _shingle_set(text: str) -> set[str]:
    padded = text.ljust(SHINGLE) if text else ""
    return {padded[start : start + SHINGLE] for start in range(len(padded) - SHINGLE + 1)}
