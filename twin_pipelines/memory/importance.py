"""How much a self-statement matters: six named parts of 0–1 and their weighted sum.

- self_reference   how much the kind of statement says about who someone is (`KIND_WEIGHT`), halved
                   where it speaks of a passing moment ("today", "coming up").
- repetition       1 − 2^(1 − s) for s distinct sessions it was said in: saying it again to somebody
                   else is the best sign that it is true and matters.
- specificity      half 1 − e^(−w/3) for w content words; half the rarity of its rarest word,
                   1 − log(n) / log(N) when n of N different things said hold it.
- emotion          1 − e^(−m) for m marks of feeling (words, exclamation, emoji, capitals).
- partner_reaction what it called forth: 0.5 when the partner takes up its words, 0.3 when they ask
                   on, 0.2 when they exclaim; the best of all times it was said.
- explicit         1 when the subject asked for it to be remembered.

The weights (`WEIGHTS`) sum to 1. With the default threshold of 0.55 a fact of life said in two
sessions passes, a liking needs something specific besides, and what was said once stays at or below
0.60 (0.70 when it was asked to be remembered) and fails on `memory.core_sessions`.
"""

from __future__ import annotations

import math

import polars as pl

from twin_pipelines.persona.patterns import PASSING

WEIGHTS = {
    "self_reference": 0.30,
    "repetition": 0.30,
    "specificity": 0.15,
    "emotion": 0.05,
    "partner_reaction": 0.10,
    "explicit": 0.10,
}
EXPLICIT = "Asked to be remembered"
KIND_WEIGHT = {
    EXPLICIT: 1.0,
    "Who I am": 1.0,
    "Family and relations": 1.0,
    "Home": 0.9,
    "Work and study": 0.9,
    "Values and beliefs": 0.9,
    "Likes": 0.75,
    "Dislikes and fears": 0.75,
    "Habits and skills": 0.6,
    "Plans and promises": 0.6,
    "Feelings": 0.5,
}
_FEELING = (
    r"(?i:\b(?:love|loved|hate|hated|happy|happiest|sad|saddest|scared|afraid|excited|proud|grateful|"
    r"thankful|miss|heartbroken|terrified|favou?rite|best|worst|amazing|awesome|terrible|cried|"
    r"passionate|obsessed|died|devastated)\b)|!|[\x{1F300}-\x{1FAFF}\x{2764}]|<3|\b[A-Z]{4,}\b"
    r"|รัก|คิดถึง|เสียใจ|ดีใจ|กลัว|ภูมิใจ|เหงา|เศร้า|มีความสุข|เกลียด|ร้องไห้"
)


def weigh(grouped: pl.DataFrame) -> pl.DataFrame:
    """Statements that say one thing (same `group`) with `parts`, `importance` and `sessions` of it.

    `grouped` has `group, kind, text, bare, gist, session_id, answer`; one row a group comes back.
    """
    words = grouped["gist"].to_list()
    rarity = _rarity(words, grouped["group"].to_list())
    marked = grouped.with_columns(
        _self_reference().alias("self_reference"),
        pl.Series("specificity", [_specificity(own, rarity) for own in words], pl.Float64),
        (1 - (-pl.col("text").str.count_matches(_FEELING).cast(pl.Float64)).exp()).alias("emotion"),
        pl.Series(
            "partner_reaction",
            [_reaction(own, answer) for own, answer in zip(words, grouped["answer"], strict=True)],
            pl.Float64,
        ),
        (pl.col("kind") == EXPLICIT).cast(pl.Float64).alias("explicit"),
    )
    sessions = pl.col("session_id").n_unique()
    parts = marked.group_by("group", maintain_order=True).agg(
        sessions.alias("sessions"),
        (1 - pl.lit(2.0).pow(1 - sessions.cast(pl.Float64))).alias("repetition"),
        pl.col("self_reference", "specificity", "emotion", "partner_reaction", "explicit").max(),
    )
    return parts.select(
        "group",
        pl.col("sessions").cast(pl.Int32),
        pl.struct(pl.col(name).cast(pl.Float32).round(3) for name in WEIGHTS).alias("parts"),
        pl.sum_horizontal(pl.col(name) * weight for name, weight in WEIGHTS.items())
        .clip(0, 1)
        .cast(pl.Float32)
        .alias("importance"),
    )


def _self_reference() -> pl.Expr:
    passing = pl.col("bare").str.contains(PASSING.pattern)
    weight = pl.col("kind").replace_strict(KIND_WEIGHT, return_dtype=pl.Float64)
    return weight * pl.when(passing).then(0.5).otherwise(1.0)


def _rarity(words: list[list[str]], groups: list[int]) -> dict[str, float]:
    """0 for a word in every group, 1 for a word in one."""
    holders: dict[str, set[int]] = {}
    for own, group in zip(words, groups, strict=True):
        for word in own:
            holders.setdefault(word, set()).add(group)
    whole = math.log(max(2, len(set(groups))))
    return {word: 1 - math.log(len(held)) / whole for word, held in holders.items()}


def _specificity(words: list[str], rarity: dict[str, float]) -> float:
    rarest = max((rarity[word] for word in words), default=0.0)
    return 0.5 * (1 - math.exp(-len(words) / 3)) + 0.5 * rarest


def _reaction(words: list[str], answer: str | None) -> float:
    if answer is None:
        return 0.0
    taken_up = any(word in answer.lower() for word in words)
    return 0.5 * taken_up + 0.3 * ("?" in answer) + 0.2 * ("!" in answer)
