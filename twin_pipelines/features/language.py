"""Names the language of a text by its scripts, and counts its words.

The languages are `th`, `en`, `th+en`, `other` and `none`. It is the script that is seen, so any
language in Latin letters is called `en`, and no model is asked.

- Links, e-mail addresses and @mentions say nothing about the language and are left out first;
  so is laughter ("haha", "lol") beside Thai.
- `none`: no letters. `other`: letters of other scripts outnumber Thai and Latin together.
- `th+en`: a text with Thai (two letters at least) and English *words*. A Latin word counts at once
  when it is written small ("ไป meeting กัน"). Capitalised words may be names ("ใช้ iPhone 15",
  "ดู LINE ก่อน"), so they count only when there are three, or two that fill half of the letters.
- `th` or `en`: the one that is left.

Words: a run of letters and digits is one. Thai, Lao, Khmer and Burmese have no spaces and count one
word for every four letters and marks begun; Chinese and Japanese, one for every two.
"""

from __future__ import annotations

import polars as pl

LANGUAGES = ("th", "en", "th+en", "other", "none")

_ADDRESSES = r"(?i)(?-u:\b)(?:https?://|www\.)[!-~]+|[!-?A-~]+@[!-~]+\.[!-~]+|(?:^|\s)@[\w.]+"
_LAUGHTER = r"(?i)(?-u:\b)(?:(?:ha|he|hi){2,}h?|lo+l|xd+)(?-u:\b)"
_THAI = r"[\p{Thai}&&[\p{L}\p{M}]]"
_LATIN = r"\p{Latin}"
_LATIN_WORD = r"\p{Latin}{2,}"
_SMALL_WORD = (
    r"(?:^|[^\p{L}\p{M}\p{N}]|\p{Thai})[\p{Latin}&&\p{Ll}]{2,}(?:$|[^\p{L}\p{N}]|\p{Thai})"
)
_RUN_ON = r"[[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]&&[\p{L}\p{M}]]"
_CHARACTERS = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
_SPACED_WORD = (
    r"[[\p{L}\p{N}]--[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Han}\p{Hiragana}\p{Katakana}]]"
    r"(?:[[\p{L}\p{M}\p{N}]--[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Han}\p{Hiragana}\p{Katakana}]]"
    r"|['’_-][[\p{L}\p{N}]--[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Han}\p{Hiragana}\p{Katakana}]])*"
)


def detect_languages(texts: pl.Series) -> pl.Series:
    """The language of each text, one of `LANGUAGES`, by the rules above."""
    spoken = pl.col("text")
    frame = pl.DataFrame({"text": texts})
    if texts.str.contains(r"@|://|(?i)www\.").any():
        spoken = spoken.str.replace_all(_ADDRESSES, " ")
    frame = frame.select(spoken).with_columns(
        ascii=pl.col("text").str.len_bytes() == pl.col("text").str.len_chars(),
        latin=pl.col("text").str.contains(_LATIN),
    )
    simple = pl.when("latin").then(pl.lit("en")).otherwise(pl.lit("none"))
    languages = frame.select(simple).to_series()
    rows = frame["ascii"].not_().arg_true()
    if len(rows):
        languages = languages.scatter(rows, _by_scripts(frame["text"].gather(rows)))
    return languages.alias("language")


def count_words(texts: pl.Series) -> pl.Series:
    """Words of each text, as Int32."""
    frame = pl.DataFrame({"text": texts}).with_columns(
        words=pl.col("text").str.count_matches(r"[\w&&\p{ASCII}]+(?:['-][\w&&\p{ASCII}]+)*"),
        ascii=pl.col("text").str.len_bytes() == pl.col("text").str.len_chars(),
    )
    rows = frame["ascii"].not_().arg_true()
    words = frame["words"].cast(pl.Int32)
    if len(rows):
        text = pl.col("text")
        counted = (
            text.str.count_matches(_SPACED_WORD)
            + (text.str.count_matches(_RUN_ON) + 3) // 4
            + (text.str.count_matches(_CHARACTERS) + 1) // 2
        ).cast(pl.Int32)
        words = words.scatter(rows, frame[rows].select(counted).to_series())
    return words.alias("words")


def _by_scripts(texts: pl.Series) -> pl.Series:
    text = pl.col("text")
    spoken = pl.DataFrame({"text": texts.str.replace_all(_LAUGHTER, " ")})
    counts = spoken.select(
        thai=text.str.count_matches(_THAI),
        latin=text.str.count_matches(_LATIN),
        letters=text.str.count_matches(r"[\p{L}\p{Thai}&&[\p{L}\p{M}]]"),
        words=text.str.count_matches(_LATIN_WORD),
        small=text.str.contains(_SMALL_WORD),
    )
    thai, latin, words = pl.col("thai"), pl.col("latin"), pl.col("words")
    english = pl.col("small") | (words >= 3) | ((words >= 2) & (latin >= thai))
    return counts.select(
        pl.when(pl.col("letters") == 0)
        .then(pl.lit("none"))
        .when(pl.col("letters") > 2 * (thai + latin))
        .then(pl.lit("other"))
        .when((thai >= 2) & english)
        .then(pl.lit("th+en"))
        .when(english | (thai == 0))
        .then(pl.lit("en"))
        .otherwise(pl.lit("th"))
    ).to_series()
