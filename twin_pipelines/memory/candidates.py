"""From statements to candidates for core memories: what says the same is one, with its evidence."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import polars as pl

from twin_pipelines.memory.importance import WEIGHTS, weigh

STEM = 4  # characters of a word that are compared
MOST_OF = 0.75
_DENIED = r"\b(?:not|no|never|none|\w*n(?:t|ot)|cannot)\b|ไม่"
CANDIDATES: dict[str, Any] = {
    "memory_id": pl.String,
    "title": pl.String,
    "content": pl.String,
    "importance": pl.Float32,
    "parts": pl.Struct(dict.fromkeys(WEIGHTS, pl.Float32)),
    "sessions": pl.Int32,
    "first_said_at": pl.Datetime("us", "UTC"),
    "last_said_at": pl.Datetime("us", "UTC"),
    "message_ids": pl.List(pl.String),
}


def core_candidates_of(statements: pl.DataFrame) -> pl.DataFrame:
    """Candidates (CANDIDATES) made of statements (`statements.STATEMENTS`), weightiest first.

    The content is the most typical wording; the identity comes from the first, so that it stays
    when the thing is said again.
    """
    if statements.is_empty():
        return pl.DataFrame(schema=CANDIDATES)
    grouped = with_groups(statements.sort("said_at", "bare"))
    evidence = grouped.group_by("group", maintain_order=True).agg(
        pl.col("kind").first().alias("title"),
        pl.col("bare").first().alias("first_wording"),
        pl.struct("text", "bare", "gist").alias("said"),
        pl.col("said_at").min().alias("first_said_at"),
        pl.col("said_at").max().alias("last_said_at"),
        pl.col("message_ids")
        .list.explode(keep_nulls=False, empty_as_null=False)
        .unique(maintain_order=True),
    )
    return (
        evidence.join(weigh(grouped), on="group", maintain_order="left")
        .with_columns(
            pl.Series(
                "memory_id",
                [_identity(*row) for row in evidence.select("title", "first_wording").iter_rows()],
                pl.String,
            ),
            pl.Series(
                "content", [_typical(said) for said in evidence["said"].to_list()], pl.String
            ),
        )
        .select(list(CANDIDATES))
        .sort(["importance", "memory_id"], descending=[True, False])
    )


def with_groups(statements: pl.DataFrame) -> pl.DataFrame:
    """Statements with `group`, a number shared by those that say nearly the same.

    Compared are the gists: word beginnings of `STEM` characters, so that "study" and "studying" are
    one. Two statements of one kind, both affirmed or both denied, say the same when their gists are
    equal, or share two beginnings or more and either half of all or `MOST_OF` of the smaller. A
    statement joins the earliest group whose first statement it resembles; resemblance is not passed
    on, so a chain of small changes does not make everything one group.
    """
    leaders: list[frozenset[str]] = []
    by_word: dict[tuple[str, bool, str], list[int]] = {}
    groups = []
    denied = statements["bare"].str.contains(_DENIED)
    for kind, gist, no in zip(statements["kind"], statements["gist"], denied, strict=True):
        words = frozenset(word[:STEM] for word in gist)
        near = sorted({group for word in words for group in by_word.get((kind, no, word), ())})
        found = next((group for group in near if _same(words, leaders[group])), None)
        if found is None:
            found = len(leaders)
            leaders.append(words)
            for word in words:
                by_word.setdefault((kind, no, word), []).append(found)
        groups.append(found)
    return statements.with_columns(pl.Series("group", groups, pl.Int64))


def _same(one: frozenset[str], other: frozenset[str]) -> bool:
    shared = len(one & other)
    if shared < 2:
        return one == other
    return shared >= len(one | other) / 2 or shared >= MOST_OF * min(len(one), len(other))


def _identity(title: str, first_wording: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{title}/{first_wording}"))


def _typical(said: list[dict[str, Any]]) -> str:
    """The wording most frequent word for word, then one without fillers, then the one that others
    share most of."""
    wordings = Counter(one["text"] for one in said)
    shared = Counter(word[:STEM] for one in said for word in set(one["gist"]))

    def typicality(one: dict[str, Any]) -> tuple[int, bool, float, int, str]:
        words = {word[:STEM] for word in one["gist"]}
        common = sum(shared[word] - 1 for word in words) / (len(words) + 1)
        plain = len(one["bare"].split()) >= len(one["text"].split())
        return wordings[one["text"]], plain, common, -len(one["text"]), one["text"]

    return max(said, key=typicality)["text"]
