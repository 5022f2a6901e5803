"""How somebody writes, in numbers: habits of length, marks, spelling, emoji, words and time.

Every habit is a function of sums over turns, so that it can be taken of anybody, with anybody and
of any time: `count_turns` gives the sums of each turn, `add_up` those of groups, `values` the
habits. A habit is judged only where enough turns had occasion for it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.words import words_of_all
from twin_pipelines.persona.style import words as style_words
from twin_pipelines.persona.style.habits import COUNTS, HABITS, NATURAL_LENGTH

FEWEST_TURNS = 20  # with occasion for a habit
LENGTH_WORDS = 200  # of a language, before its function words are judged
PLACES = ("turn", "conversation_id", "session_id", "speaker", "partner", "period")
WORD = "word:"


@dataclass(frozen=True)
class Feature:
    """A habit by name: its unit, and what is said of those who have more or less of it."""

    name: str
    group: str
    unit: str
    high: str
    low: str


def _features() -> dict[str, Feature]:
    named = [Feature(one.name, one.group, one.unit, one.high, one.low) for one in HABITS]
    words = [
        Feature(
            f"{WORD}{word}",
            "words",
            "per 100 Thai words" if is_thai(word) else "per 100 English words",
            f"often says “{word}”",
            f"seldom says “{word}”",
        )
        for word in style_words.FUNCTION_WORDS
    ]
    return {one.name: one for one in [*named, *words]}


def is_thai(word: str) -> bool:
    """Whether a word is written in Thai letters."""
    return "\u0e00" <= word[:1] <= "\u0e7f"


FEATURES: dict[str, Feature] = _features()
WORD_FEATURES = tuple(f"{WORD}{word}" for word in style_words.FUNCTION_WORDS)
_FROM_WORDS = (
    "spoken_words",
    "thai_words",
    "english_words",
    "english_letters",
    "addresses",
    "switches",
    "worded",
    "one_word",
    "long_turn",
    "log_words",
    "log_words_squared",
)
COUNTED = (*COUNTS, *_FROM_WORDS)
_OCCASIONS = sorted({one.per for one in HABITS} | {"english_words", "thai_words"})


def begun(turns: pl.DataFrame, days: DayRange) -> pl.DataFrame:
    """Turns of the sessions that begin on one of the days: a history in parts, each session once.

    `turns` are `features.store.load_session_turns` of the days.
    """
    first = pl.col("day").min().over("session_id")
    return turns.filter(first.is_between(days.first, days.last))


def count_turns(turns: pl.DataFrame, people: Collection[str] | None = None) -> pl.DataFrame:
    """The sums of each turn of `people` (None: of all), in the order of `turns`.

    `turns` (columns of `cleaned_messages`) holds whole sessions, so that delays, beginnings and
    ends are seen. Columns: PLACES (`turn` is the turn's id, `period` its month, `partner` the one
    who is answered, or else the next to speak; empty in a monologue), COUNTED, and one for each
    function word.
    """
    placed = _placed(turns)
    if people is not None:
        placed = placed.filter(pl.col("speaker").is_in(list(people)))
    plain = pl.col("text").str.replace_all(r"https?://\S+|www\.\S+", " ")
    counted = placed.with_columns(plain=plain).with_columns(**COUNTS)
    words, rows = _words(counted["plain"])
    whole = pl.concat([counted, *_word_counts(words, rows, counted.height)], how="horizontal")
    return whole.select(*PLACES, pl.col(COUNTED).cast(pl.Float64), *WORD_FEATURES)


def add_up(counts: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """The sums of groups of turns, with `with:<occasion>`: turns that had occasion for a habit."""
    tallies = [(pl.col(name) > 0).sum().alias(f"with:{name}") for name in _OCCASIONS]
    return counts.group_by(list(by), maintain_order=True).agg(
        pl.col(*COUNTED, *WORD_FEATURES).sum(), *tallies
    )


def add_sums(sums: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Sums of groups (`add_up`) taken together into those of larger groups."""
    return sums.group_by(list(by), maintain_order=True).agg(
        pl.col(*COUNTED, *WORD_FEATURES, *(f"with:{name}" for name in _OCCASIONS)).sum()
    )


def values(sums: pl.DataFrame, by: Sequence[str], fewest: int = FEWEST_TURNS) -> pl.DataFrame:
    """Habits of groups as rows: the columns `by`, `feature`, `value`, `n` (turns with occasion).

    Habits for which fewer than `fewest` turns had occasion, and function words of a language with
    fewer than LENGTH_WORDS words, are left out.
    """
    frames = [
        sums.select(
            *by,
            feature=pl.lit(one.name),
            value=one.value.cast(pl.Float64),
            n=pl.col(f"with:{one.per}").cast(pl.Int32),
        ).filter(pl.col("n") >= fewest)
        for one in HABITS
    ]
    frames += [_word_values(sums, by, fewest, thai) for thai in (False, True)]
    return pl.concat(frames).filter(pl.col("value").is_finite())


def matrix(sums: pl.DataFrame) -> tuple[np.ndarray, list[str]]:
    """All features of each row of sums, for telling writers apart: (rows, features) and the names.

    What had no occasion is nan.
    """
    columns = {one.name: one.value for one in HABITS}
    for thai, words in ((False, "english_words"), (True, "thai_words")):
        columns |= {
            name: pl.col(name) * 100 / pl.col(words)
            for name in WORD_FEATURES
            if is_thai(name.removeprefix(WORD)) is thai
        }
    found = sums.select(**columns).cast(pl.Float64)
    return np.where(np.isfinite(found.to_numpy()), found.to_numpy(), np.nan), found.columns


def _placed(turns: pl.DataFrame) -> pl.DataFrame:
    """Turns with what their place in the session tells."""
    ordered = turns.with_row_index("row").sort(
        "source", "conversation_id", "session_id", "sent_at", "place"
    )
    session = ["source", "conversation_id", "session_id"]
    speaker, own = pl.col("speaker"), [*session, "speaker"]
    return (
        ordered.with_columns(
            before=speaker.shift(1).over(session),
            after=speaker.shift(-1).over(session),
            gap=_seconds(pl.col("sent_at") - pl.col("ended_at").shift(1)).over(session).clip(0),
            own_gap=_seconds(pl.col("sent_at") - pl.col("sent_at").shift(1)).over(own),
            session_first=pl.int_range(pl.len()).over(session) == 0,
            own_first=pl.int_range(pl.len()).over(own) == 0,
            own_last=pl.int_range(pl.len()).over(own) == pl.len().over(own) - 1,
            turn="id",
            period=pl.col("day").dt.strftime("%Y-%m"),
        )
        .with_columns(answers=(pl.col("before") != speaker).fill_null(False))
        .with_columns(
            run=pl.col("answers").cum_sum().over(session),
            other_before=pl.when("answers").then("before"),
            other_after=pl.when(pl.col("after") != speaker).then("after"),
        )
        .with_columns(
            partner=pl.coalesce(
                pl.col("other_before").forward_fill().over([*session, "run"]),
                pl.col("other_after").backward_fill().over([*session, "run"]),
                pl.lit(""),
            )
        )
        .sort("row")
        .drop("row")
    )


def _seconds(span: pl.Expr) -> pl.Expr:
    return span.dt.total_seconds().cast(pl.Float64)


def _words(texts: pl.Series) -> tuple[pl.Series, np.ndarray]:
    """Words of all texts one after the other, and the row of each."""
    found = words_of_all(texts.to_list())
    rows = np.repeat(np.arange(len(found)), [len(one) for one in found])
    flat = [word for one in found for word in one]
    return pl.Series("word", flat, dtype=pl.String), rows


def _word_counts(words: pl.Series, rows: np.ndarray, height: int) -> list[pl.DataFrame]:
    """Words by language, letters, switches and function words of each of `height` turns."""
    spoken = pl.DataFrame({"row": rows, "word": words}).with_columns(
        thai=pl.col("word").str.contains(r"^\p{Thai}"),
        english=pl.col("word").str.contains(r"^\p{Latin}"),
        letters=pl.col("word").str.len_chars(),
        address=pl.col("word").is_in(style_words.ADDRESS_WORDS.split()),
    )
    spoken = spoken.with_columns(
        switch=(pl.col("thai") != pl.col("thai").shift(1)).over("row").fill_null(False)
        & (pl.col("thai") | pl.col("english"))
    )

    def total(values: pl.Series) -> np.ndarray:
        weights = values.cast(pl.Float64).fill_null(0.0).to_numpy()
        return np.bincount(rows, weights=weights, minlength=height)

    thai, english = total(spoken["thai"]), total(spoken["english"])
    everything = np.bincount(rows, minlength=height).astype(float)
    logs = np.log(np.maximum(everything, 1.0))
    frame = {
        "spoken_words": everything,
        "thai_words": thai,
        "english_words": english,
        "english_letters": total(spoken.select(pl.col("letters") * pl.col("english")).to_series()),
        "addresses": total(spoken["address"]),
        "switches": total(spoken["switch"]),
        "worded": (everything > 0).astype(float),
        "one_word": (everything == 1).astype(float),
        "long_turn": (everything >= NATURAL_LENGTH).astype(float),
        "log_words": logs,
        "log_words_squared": logs**2,
    }
    numbers = {word: place for place, word in enumerate(style_words.FUNCTION_WORDS)}
    place = words.replace_strict(numbers, default=-1, return_dtype=pl.Int64).to_numpy()
    known = place >= 0
    cells = rows[known] * len(numbers) + place[known]
    table = np.bincount(cells, minlength=height * len(numbers)).reshape(height, len(numbers))
    return [pl.DataFrame(frame), pl.from_numpy(table.astype(np.uint16), schema=WORD_FEATURES)]


def _word_values(sums: pl.DataFrame, by: Sequence[str], fewest: int, thai: bool) -> pl.DataFrame:
    words = "thai_words" if thai else "english_words"
    names = [name for name in WORD_FEATURES if is_thai(name.removeprefix(WORD)) is thai]
    enough = (pl.col(words) >= LENGTH_WORDS) & (pl.col(f"with:{words}") >= fewest)
    return (
        sums.filter(enough)
        .select(
            *by,
            pl.col(names).cast(pl.Float64) * 100 / pl.col(words),
            n=pl.col(f"with:{words}").cast(pl.Int32),
        )
        .unpivot(names, index=[*by, "n"], variable_name="feature", value_name="value")
        .select(*by, "feature", "value", "n")
    )
