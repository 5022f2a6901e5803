"""Characteristic words, phrases and emoji of somebody, and words they never use.

Weighed by the log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi & Quinn 2008,
"Fightin' Words", equations 16 to 22), each language for itself. Thai is segmented by a dictionary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from twin_pipelines.foundation.words import words_of_all
from twin_pipelines.persona.style.habits import EMOJI, EMOTICON

FEWEST_USES = 5
FEWEST_SESSIONS = 3
CERTAIN = 1.96  # standard deviations of the log-odds
TOGETHER = 1.0  # bits by which the words of a phrase attract one another, for each join
PART_OF_LONGER = 0.7  # share of a phrase's uses inside one longer phrase that make it superfluous
EXPECTED = 7.0  # uses of a word by somebody who writes as others do, before "never" means anything
COMMON = 0.3  # share of people who must use a word before its absence means anything
LONGEST_PHRASE = 6
SHARED_RUN = 3  # words two phrases may not have in common, one after the other
TRACED = 5  # messages kept of each term
MOST = {"word": 300, "phrase": 200, "emoji": 60, "never": 100}

VOCABULARY: dict[str, Any] = {
    "term": pl.String,
    "kind": pl.String,
    "language": pl.String,
    "uses": pl.Int32,
    "sessions": pl.Int32,
    "background": pl.Int32,
    "log_odds": pl.Float64,
    "z": pl.Float64,
    "message_ids": pl.List(pl.String),
}
TERM = ["term", "kind", "language"]
OWN: dict[str, Any] = {
    "term": pl.String,
    "kind": pl.String,
    "language": pl.String,
    "uses": pl.Int64,
    "sessions": pl.Int64,
    "message_ids": pl.List(pl.String),
}
OTHERS: dict[str, Any] = {
    "term": pl.String,
    "kind": pl.String,
    "language": pl.String,
    "speaker": pl.String,
    "uses": pl.Int64,
}
_BREAKS = r"[.!?…,;()\[\]\"“”]+(?:\s|$)"
_LINKS = r"https?://\S+|www\.\S+"
_EMOJI_OR_EMOTICON = rf"{EMOJI}|(?:^|\s){EMOTICON}"


def own_terms(turns: pl.DataFrame) -> pl.DataFrame:
    """Words, phrases and emoji of one person's turns of whole sessions, OWN."""
    return (
        _terms(_lines(turns))
        .group_by(TERM)
        .agg(
            uses=pl.len(),
            sessions=pl.col("session_id").n_unique(),
            message_ids=pl.col("ids").unique(maintain_order=True).head(TRACED).explode(),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in OWN.items())
    )


def add_terms(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """`own_terms` of several runs of sessions taken together."""
    return (
        pl.concat([pl.DataFrame(schema=OWN), *parts])
        .group_by(TERM, maintain_order=True)
        .agg(
            pl.col("uses", "sessions").sum(),
            pl.col("message_ids").explode().drop_nulls().head(TRACED),
        )
        .sort("uses", *TERM, descending=[True, False, False, False])
    )


def others_terms(turns: pl.DataFrame, phrases: pl.DataFrame) -> pl.DataFrame:
    """Words, emoji and those of `phrases` (a column `term`) in turns, by speaker, OTHERS."""
    return (
        _terms(_lines(turns).select("text", "speaker"), phrases["term"])
        .group_by(*TERM, "speaker")
        .agg(uses=pl.len())
        .select(pl.col(name).cast(dtype) for name, dtype in OTHERS.items())
    )


def frequent_phrases(own: pl.DataFrame) -> pl.DataFrame:
    """Phrases of `add_terms` that may be shown: often enough, and no chance neighbours.

    Two words attract one another when they stand together more often than their frequencies say
    (pointwise mutual information, Church & Hanks 1990); what is nearly always part of one longer
    phrase is left out. A phrase of function words may pass; whether others say it too decides.
    """
    spoken = own.filter(pl.col("kind") == "word")
    uses = dict(zip(spoken["term"], spoken["uses"], strict=True))
    total = max(1, sum(uses.values()))
    candidates = own.filter(
        pl.col("kind") == "phrase",
        pl.col("uses") >= FEWEST_USES,
        pl.col("sessions") >= FEWEST_SESSIONS,
    )
    words = words_of_all(candidates["term"].to_list())
    bits = [
        math.log2(count / total) - sum(math.log2(uses.get(word, count) / total) for word in parts)
        for count, parts in zip(candidates["uses"], words, strict=True)
    ]
    joins = pl.Series("joins", [max(1, len(parts) - 1) for parts in words], dtype=pl.Float64)
    together = candidates.filter(pl.Series(bits, dtype=pl.Float64) >= joins * TOGETHER)
    return _without_parts(together)


def characteristic(own: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """What somebody says more than others, and what others say and they never do, VOCABULARY.

    `own` is `add_terms`, its phrases `frequent_phrases`; `others` is `others_terms`. Nothing is
    said of a language that others did not write.
    """
    theirs = others.group_by(TERM).agg(
        background=pl.col("uses").sum(), people=pl.col("speaker").n_unique()
    )
    weighed = own.join(theirs, on=TERM, how="full", coalesce=True).with_columns(
        pl.col("uses", "sessions", "background", "people").fill_null(0),
        pl.col("message_ids").fill_null(pl.lit([], dtype=pl.List(pl.String))),
    )
    parts = [
        _weigh(weighed.filter(chosen), *_totals(own, others, language))
        for language, chosen in _languages(weighed).items()
    ]
    people = max(1, others["speaker"].n_unique())
    found = pl.concat([pl.DataFrame(schema=_WEIGHED), *parts])
    kept = found.filter(
        pl.col("uses") >= FEWEST_USES,
        pl.col("sessions") >= FEWEST_SESSIONS,
        pl.col("z") >= CERTAIN,
    )
    never = found.filter(
        pl.col("uses") == 0,
        pl.col("kind") != "phrase",
        pl.col("expected") >= EXPECTED,
        pl.col("people") >= COMMON * people,
    ).with_columns(kind=pl.lit("never"))
    return (
        pl.concat([_apart(kept), never])
        .sort(pl.col("z").abs(), pl.col("term"), descending=[True, False])
        .filter(pl.int_range(pl.len()).over("kind") < pl.col("kind").replace_strict(MOST))
        .select(pl.col(name).cast(dtype) for name, dtype in VOCABULARY.items())
    )


def log_odds(
    uses: np.ndarray, total: float, other_uses: np.ndarray, other_total: float
) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds ratio of each term with an informative Dirichlet prior, and its z (Monroe et al.).

    The prior has the terms' shares in both together and the weight of `total` words.
    """
    prior = total * (uses + other_uses) / (total + other_total)
    own, other = uses + prior, other_uses + prior
    ratio = np.log(own / (2 * total - own)) - np.log(other / (other_total + total - other))
    return ratio, ratio / np.sqrt(1 / own + 1 / other)


_WEIGHED: dict[str, Any] = {
    **OWN,
    "background": pl.Int64,
    "people": pl.Int64,
    "log_odds": pl.Float64,
    "z": pl.Float64,
    "expected": pl.Float64,
}


def _weigh(terms: pl.DataFrame, total: int, other_total: int) -> pl.DataFrame:
    if not total or not other_total:
        return pl.DataFrame(schema=_WEIGHED)
    uses, theirs = (terms[name].to_numpy().astype(float) for name in ("uses", "background"))
    ratio, z = log_odds(uses, float(total), theirs, float(other_total))
    return terms.with_columns(
        log_odds=pl.Series(ratio),
        z=pl.Series(z),
        expected=pl.col("background") * total / other_total,
    ).select(pl.col(name).cast(dtype) for name, dtype in _WEIGHED.items())


def _languages(terms: pl.DataFrame) -> Mapping[str, pl.Expr]:
    return {name: pl.col("language") == name for name in terms["language"].unique().sort()}


def _totals(own: pl.DataFrame, others: pl.DataFrame, language: str) -> tuple[int, int]:
    """Words of the language, of the subject and of others; of emoji (`none`), all words."""
    words = pl.col("kind") == "word"
    if language != "none":
        words &= pl.col("language") == language
    return int(own.filter(words)["uses"].sum()), int(others.filter(words)["uses"].sum())


def _lines(turns: pl.DataFrame) -> pl.DataFrame:
    """Lines of turns: `text` without links, `session_id`, `speaker`, `ids` of their messages.

    A turn with as many lines as messages has one message a line; else a line's are the turn's.
    """
    lines = pl.col("text").str.replace_all(_LINKS, " ").str.split("\n")
    split = turns.select(
        "session_id",
        "speaker",
        "raw_ids",
        text=lines,
        exact=lines.list.len() == pl.col("raw_ids").list.len(),
    )
    one_each = (
        split.filter("exact")
        .explode("text", "raw_ids")
        .with_columns(raw_ids=pl.concat_list("raw_ids"))
    )
    together = split.filter(~pl.col("exact")).explode("text")
    return pl.concat([one_each, together]).select(
        "text", "session_id", "speaker", ids=pl.col("raw_ids")
    )


def _terms(lines: pl.DataFrame, phrases: pl.Series | None = None) -> pl.DataFrame:
    """Every use of a word, a phrase or an emoji: TERM and the columns of the line but its text.

    `phrases` are the only ones looked for; None: all.
    """
    held = [name for name in lines.columns if name != "text"]
    emoji = (
        lines.select(*held, term=pl.col("text").str.extract_all(_EMOJI_OR_EMOTICON))
        .explode("term")
        .drop_nulls("term")
        .with_columns(
            pl.col("term").str.strip_chars(), kind=pl.lit("emoji"), language=pl.lit("none")
        )
    )
    segments = lines.with_columns(
        pl.col("text").str.replace_all(_BREAKS, "\n").str.split("\n")
    ).explode("text")
    spoken = (
        segments.with_columns(
            pl.Series("term", words_of_all(segments["text"].to_list()), pl.List(pl.String))
        )
        .with_row_index("segment")
        .drop("text")
        .explode("term")
        .drop_nulls("term")
        .with_columns(language=_language(pl.col("term")))
    )
    parts = [
        spoken.filter(pl.col("language") != "none").with_columns(kind=pl.lit("word")),
        *(_phrases(spoken, length, phrases) for length in range(2, LONGEST_PHRASE + 1)),
    ]
    columns = [*TERM, *held]
    return pl.concat([part.select(columns) for part in [*parts, emoji]])


def _phrases(spoken: pl.DataFrame, length: int, phrases: pl.Series | None) -> pl.DataFrame:
    """Runs of words inside a segment, Thai ones written together as Thai is."""
    term, thai = pl.col("term"), pl.col("language") == "th"
    joined, inside = term, pl.lit(True)
    sought = pl.lit(True) if phrases is None else pl.col("phrase").is_in(phrases.implode())
    for place in range(1, length):
        follows = term.shift(-place)
        joint = (
            pl.when(thai.shift(-place) & thai.shift(-place + 1))
            .then(pl.lit(""))
            .otherwise(pl.lit(" "))
        )
        joined = joined + joint + follows
        inside &= pl.col("segment").shift(-place) == pl.col("segment")
    return (
        spoken.with_columns(phrase=joined, inside=inside, kind=pl.lit("phrase"))
        .filter(pl.col("inside"), pl.col("language") != "none", sought)
        .with_columns(term="phrase")
        .drop("phrase", "inside")
    )


def _language(word: pl.Expr) -> pl.Expr:
    """`th`, `en` (Latin letters), `other`, or `none` of numbers; 555 is Thai laughter."""
    return (
        pl.when(word.str.contains(r"^\p{Thai}|^5{3,}$"))
        .then(pl.lit("th"))
        .when(word.str.contains(r"^\p{Latin}"))
        .then(pl.lit("en"))
        .when(word.str.contains(r"^\p{L}"))
        .then(pl.lit("other"))
        .otherwise(pl.lit("none"))
    )


def _without_parts(phrases: pl.DataFrame) -> pl.DataFrame:
    """Phrases that are not nearly always part of one longer phrase."""
    longest: dict[str, int] = {}
    for term, uses in phrases.select("term", "uses").iter_rows():
        for part in _inner(term):
            longest[part] = max(longest.get(part, 0), uses)
    inside = phrases["term"].replace_strict(longest, default=0, return_dtype=pl.Int64)
    return phrases.filter(inside < PART_OF_LONGER * pl.col("uses"))


def _apart(terms: pl.DataFrame) -> pl.DataFrame:
    """Terms without the phrases that share a run of words with a more characteristic one."""
    seen: set[tuple[str, ...]] = set()
    spare = []
    phrases = terms.filter(pl.col("kind") == "phrase").sort("z", "term", descending=[True, False])
    for term, words in zip(phrases["term"], words_of_all(phrases["term"].to_list()), strict=True):
        starts = range(len(words) - SHARED_RUN + 1)
        runs = {tuple(words[start : start + SHARED_RUN]) for start in starts}
        if runs & seen:
            spare.append(term)
        seen |= runs
    return terms.filter((pl.col("kind") != "phrase") | ~pl.col("term").is_in(spare))


def _inner(term: str) -> list[str]:
    """The phrase without its first and without its last word."""
    words = term.split(" ")
    return [" ".join(words[1:]), " ".join(words[:-1])] if len(words) > 2 else []
