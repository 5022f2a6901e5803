"""The habits of writing: what is counted in a turn, and what is made of the sums. Data, no frames.

A habit's value is `over` divided by `per` (times a factor), both summed over turns; a spread is the
standard deviation of what was summed with its squares.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from twin_pipelines.persona.style import words

NATURAL_LENGTH = 30  # words from which a turn is long
ANSWERED_WITHIN = 3_600  # seconds; what takes longer is no delay of typing
_EMOJI_CHARACTER = (
    r"(?:[\x{1F1E6}-\x{1F1FF}]{2}|\p{Extended_Pictographic}[\x{FE0F}\x{20E3}\x{1F3FB}-\x{1F3FF}]*)"
)
EMOJI = rf"{_EMOJI_CHARACTER}(?:\x{{200D}}{_EMOJI_CHARACTER})*"
EMOTICON = (
    r"(?:[:;=8][-'^o]?[)(\]\[DPpOo/\\|*3]+|[(][:;=]|<3+|\^[_.]?\^|[TQ][_.][TQ]|>[_.]?<|-_+-|"
    r":'\(|[xX]D+)"
)
_STANDING = rf"(?:^|\s){EMOTICON}(?:$|\s|[.,!?])"
_SAME = "|".join(f"{letter}{{3,}}" for letter in "abcdefghijklmnopqrstuvwxyz")
_SAME_THAI = "|".join(f"{chr(code)}{{3,}}" for code in [*range(0xE01, 0xE2F), *range(0xE30, 0xE4D)])
ELONGATION = rf"(?i)(?:{_SAME}|{_SAME_THAI})"

_TEXT = pl.col("plain")


def _matches(pattern: str) -> pl.Expr:
    return _TEXT.str.count_matches(pattern)


def _flag(condition: pl.Expr) -> pl.Expr:
    return condition.fill_null(False).cast(pl.Float64)


_has_emoji = _TEXT.str.contains(EMOJI)
_mixed = pl.col("language") == "th+en"
_delay = pl.when(pl.col("answers") & (pl.col("gap") <= ANSWERED_WITHIN)).then(pl.col("gap"))
_pause = pl.when(pl.col("own_gap") <= ANSWERED_WITHIN).then(pl.col("own_gap"))

COUNTS: dict[str, pl.Expr] = {
    "turns": pl.lit(1.0),
    "messages": pl.col("raw_ids").list.len(),
    "lines": _matches(r"(?m)^.*\S.*$"),
    "sentences": _matches(r"(?:[.!?。…]+(?:\s|$))|(?:[^.!?。…\s]\s*(?:\n|$))"),
    "characters": _TEXT.str.len_chars(),
    "period_ends": _matches(r"(?m)[^.\s]\.\s*$"),
    "unmarked_ends": _matches(r"(?m)[\p{L}\p{M}\p{N}]\s*$"),
    "question_ends": _matches(r"(?m)[?？]\s*$"),
    "exclamation_ends": _matches(r"(?m)!\s*$"),
    "ellipses": _matches(r"\.{2,}|…"),
    "repeated_marks": _matches(r"[!?]{2,}"),
    "commas": _matches(r","),
    "dashes": _matches(r"\s-+\s|—|–|--"),
    "quotes": _matches(r"[\"“”]"),
    "parentheses": _matches(r"[(（][^)]*[)）]"),
    "tildes": _matches(r"~+"),
    "colons": _matches(r"[;:](?:\s|$)"),
    "digits": _matches(r"\p{N}+"),
    "lettered_lines": _matches(r"(?m)^\W*\p{Latin}"),
    "lower_lines": _matches(r"(?m)^\W*[\p{Latin}&&\p{Ll}]"),
    "lower_i": _matches(r"(?-u:\b)i(?-u:\b)"),
    "any_i": _matches(r"(?-u:\b)[iI](?-u:\b)"),
    "capitals": _matches(r"[\p{Latin}&&\p{Lu}]"),
    "shouted": _matches(r"\b[A-Z]{3,}\b"),
    "elongations": _matches(ELONGATION),
    "contractions": _matches(words.CONTRACTION),
    "bare_contractions": _matches(words.BARE_CONTRACTION),
    "any_contractions": _matches(words.CONTRACTION) + _matches(words.BARE_CONTRACTION),
    "repetition_marks": _matches(r"ๆ"),
    "laughter_haha": _flag(_TEXT.str.contains(words.LAUGHTER_HAHA)),
    "laughter_lol": _flag(_TEXT.str.contains(words.LAUGHTER_LOL)),
    "laughter_555": _flag(_TEXT.str.contains(words.LAUGHTER_555)),
    "emoji": _matches(EMOJI),
    "emoji_turns": _flag(_has_emoji),
    "emoji_ends": _flag(_TEXT.str.contains(rf"{EMOJI}\s*$")),
    "emoji_alone": _flag(_TEXT.str.contains(rf"^\s*(?:{EMOJI}\s*)+$")),
    "emoji_runs": _flag(_TEXT.str.contains(rf"{EMOJI}\s*{EMOJI}")),
    "emoticons": _matches(_STANDING),
    "thai_lines": _matches(r"(?m)^.*\p{Thai}.*$"),
    "polite_ends": _matches(words.POLITE_ENDING),
    "soft_ends": _matches(words.SOFT_ENDING),
    "romanised_ends": _flag(_TEXT.str.contains(words.ROMANISED_ENDING)),
    "thai_turns": _flag(pl.col("language").is_in(["th", "th+en"])),
    "mixed_turns": _flag(_mixed),
    "languaged": _flag(pl.col("language") != "none"),
    "questions": _flag(
        _TEXT.str.contains(r"[?？]|(?:ไหม|มั้ย|หรือเปล่า|รึเปล่า|หรอ|เหรอ|หรือยัง)(?:คะ|ครับ)?\s*$")
    ),
    "openings": _flag(pl.col("own_first")),
    "greetings": _flag(pl.col("own_first") & _TEXT.str.contains(words.GREETING)),
    "starts": _flag(pl.col("session_first")),
    "closings": _flag(pl.col("own_last")),
    "farewells": _flag(pl.col("own_last") & _TEXT.str.contains(words.FAREWELL)),
    "hedges": _matches(words.HEDGE),
    "intensifiers": _matches(words.INTENSIFIER),
    "thanks": _flag(_TEXT.str.contains(words.THANKS)),
    "answered": _flag(_delay.is_not_null()),
    "log_delay": (_delay + 1).log().fill_null(0.0),
    "paused": _flag(_pause.is_not_null()),
    "pause": _pause.fill_null(0.0),
    "pause_squared": (_pause**2).fill_null(0.0),
}


@dataclass(frozen=True)
class Habit:
    """`over` counts what shows the habit, `per` the occasions; `value` is made of their sums."""

    name: str
    group: str
    over: str
    per: str
    value: pl.Expr
    unit: str
    high: str
    low: str


def _rate(name: str, group: str, parts: tuple[str, str], *said: str, times: float = 1.0) -> Habit:
    over, per = parts
    value = pl.col(over).cast(pl.Float64) * times / pl.col(per)
    unit, high, low = said
    return Habit(name, group, over, per, value, unit, high, low)


def _spread(total: str, squares: str, count: str) -> tuple[pl.Expr, pl.Expr]:
    """Mean and standard deviation of what was summed."""
    mean = pl.col(total) / pl.col(count)
    return mean, (pl.col(squares) / pl.col(count) - mean**2).clip(0).sqrt()


_mean_pause, _pause_spread = _spread("pause", "pause_squared", "paused")
_TURNS, _LINES, _WORDS = "turns", "lines", "spoken_words"
_SHARE, _OF_LINES, _PER_100 = "share of turns", "share of lines", "per 100 words"

HABITS: tuple[Habit, ...] = (
    _rate("words_per_turn", "length", (_WORDS, "worded"), "words",
          "writes long turns", "writes short turns"),
    Habit("turn_length_spread", "length", "log_words", "worded",
          _spread("log_words", "log_words_squared", "worded")[1], "sd of log words",
          "mixes short and long turns", "keeps turns about equally long"),
    _rate("messages_per_turn", "length", ("messages", _TURNS), "messages",
          "sends several messages in a row", "says it in one message"),
    _rate("words_per_line", "length", (_WORDS, _LINES), "words",
          "writes long messages", "writes short messages"),
    _rate("words_per_sentence", "length", (_WORDS, "sentences"), "words",
          "writes long sentences", "writes short sentences"),
    _rate("letters_per_word", "length", ("english_letters", "english_words"), "letters",
          "uses long English words", "uses short English words"),
    _rate("one_word_turns", "length", ("one_word", "worded"), _SHARE,
          "often answers with one word", "seldom answers with one word"),
    _rate("long_turns", "length", ("long_turn", "worded"), _SHARE,
          f"often writes {NATURAL_LENGTH} words or more",
          f"seldom writes {NATURAL_LENGTH} words or more"),
    _rate("period_ends", "punctuation", ("period_ends", _LINES), _OF_LINES,
          "ends messages with a full stop", "seldom ends a message with a full stop"),
    _rate("no_mark_ends", "punctuation", ("unmarked_ends", _LINES), _OF_LINES,
          "leaves the end of messages unmarked", "marks the end of messages"),
    _rate("question_ends", "punctuation", ("question_ends", _LINES), _OF_LINES,
          "ends many messages with a question mark", "ends few messages with a question mark"),
    _rate("exclamation_ends", "punctuation", ("exclamation_ends", _LINES), _OF_LINES,
          "ends many messages with an exclamation mark",
          "ends few messages with an exclamation mark"),
    _rate("ellipses", "punctuation", ("ellipses", _WORDS), _PER_100,
          "trails off with dots", "seldom trails off with dots", times=100),
    _rate("repeated_marks", "punctuation", ("repeated_marks", _LINES), "per line",
          "repeats marks (!!, ??)", "seldom repeats marks (!!, ??)"),
    _rate("commas", "punctuation", ("commas", _WORDS), _PER_100,
          "uses many commas", "uses few commas", times=100),
    _rate("dashes", "punctuation", ("dashes", _WORDS), _PER_100,
          "uses dashes", "seldom uses dashes", times=100),
    _rate("quotes", "punctuation", ("quotes", _WORDS), _PER_100,
          "uses quotation marks", "seldom uses quotation marks", times=100),
    _rate("parentheses", "punctuation", ("parentheses", _WORDS), _PER_100,
          "adds asides in brackets", "seldom adds asides in brackets", times=100),
    _rate("tildes", "punctuation", ("tildes", _LINES), "per line", "uses ~", "seldom uses ~"),
    _rate("colons", "punctuation", ("colons", _WORDS), _PER_100,
          "uses colons and semicolons", "seldom uses colons or semicolons", times=100),
    _rate("digits", "punctuation", ("digits", _WORDS), _PER_100,
          "writes numbers as digits", "writes few digits", times=100),
    _rate("lower_starts", "casing", ("lower_lines", "lettered_lines"), _OF_LINES,
          "begins messages in lower case", "begins messages with a capital"),
    _rate("lower_i", "casing", ("lower_i", "any_i"), "share of “I”",
          "writes “i” small", "writes “I” as a capital"),
    _rate("capitals", "casing", ("capitals", "english_words"), "per English word",
          "uses many capitals", "uses few capitals"),
    _rate("shouting", "casing", ("shouted", "english_words"), "per 100 English words",
          "writes words in capitals", "seldom writes words in capitals", times=100),
    _rate("elongations", "spelling", ("elongations", _WORDS), _PER_100,
          "stretches words (sooo, มากกก)", "seldom stretches words", times=100),
    _rate("bare_contractions", "spelling", ("bare_contractions", "any_contractions"),
          "share of contractions", "leaves out apostrophes (dont, im)", "keeps apostrophes"),
    _rate("contractions", "spelling", ("any_contractions", "english_words"),
          "per 100 English words",
          "contracts (it's, don't)", "seldom contracts", times=100),
    _rate("repetition_marks", "spelling", ("repetition_marks", "thai_words"), "per 100 Thai words",
          "doubles Thai words with ๆ", "seldom doubles Thai words with ๆ", times=100),
    _rate("laughter_haha", "laughter", ("laughter_haha", _TURNS), _SHARE,
          "laughs as “haha”", "seldom laughs as “haha”"),
    _rate("laughter_lol", "laughter", ("laughter_lol", _TURNS), _SHARE,
          "laughs as “lol”", "seldom laughs as “lol”"),
    _rate("laughter_555", "laughter", ("laughter_555", _TURNS), _SHARE,
          "laughs as “555”", "seldom laughs as “555”"),
    _rate("emoji", "emoji", ("emoji", _TURNS), "per turn", "uses many emoji", "uses few emoji"),
    _rate("emoji_turns", "emoji", ("emoji_turns", _TURNS), _SHARE,
          "puts emoji in many turns", "puts emoji in few turns"),
    _rate("emoji_ends", "emoji", ("emoji_ends", "emoji_turns"), "share of turns with emoji",
          "ends with the emoji", "puts emoji inside the text"),
    _rate("emoji_alone", "emoji", ("emoji_alone", "emoji_turns"), "share of turns with emoji",
          "answers with emoji alone", "seldom answers with emoji alone"),
    _rate("emoji_runs", "emoji", ("emoji_runs", "emoji_turns"), "share of turns with emoji",
          "puts several emoji in a row", "uses one emoji at a time"),
    _rate("emoticons", "emoji", ("emoticons", _TURNS), "per turn",
          "types emoticons such as :)", "seldom types emoticons"),
    _rate("polite_endings", "particles", ("polite_ends", "thai_lines"), "share of Thai lines",
          "ends Thai messages with ครับ or ค่ะ", "seldom ends Thai messages with ครับ or ค่ะ"),
    _rate("soft_endings", "particles", ("soft_ends", "thai_lines"), "share of Thai lines",
          "ends Thai messages with นะ, จ้า, เลย and the like",
          "seldom ends Thai messages with นะ, จ้า, เลย"),
    _rate("romanised_endings", "particles", ("romanised_ends", _TURNS), _SHARE,
          "types Thai particles in Latin letters (krub, na ka)",
          "seldom types Thai particles in Latin letters"),
    _rate("thai_turns", "languages", ("thai_turns", "languaged"), _SHARE,
          "writes Thai", "seldom writes Thai"),
    _rate("mixed_turns", "languages", ("mixed_turns", "thai_turns"), "share of Thai turns",
          "mixes English words into Thai", "keeps Thai free of English words"),
    _rate("switches", "languages", ("switches", "thai_turns"), "per Thai turn",
          "switches often between Thai and English", "seldom switches between Thai and English"),
    _rate("questions", "manner", ("questions", _TURNS), _SHARE,
          "asks many questions", "asks few questions"),
    _rate("greetings", "manner", ("greetings", "openings"), "share of first turns",
          "opens with a greeting", "seldom opens with a greeting"),
    _rate("farewells", "manner", ("farewells", "closings"), "share of last turns",
          "ends with a goodbye", "seldom ends with a goodbye"),
    _rate("starts", "manner", ("starts", "openings"), "share of sessions",
          "starts conversations", "seldom starts conversations"),
    _rate("address", "manner", ("addresses", _WORDS), _PER_100,
          "calls people by words such as dude or พี่", "seldom calls people anything", times=100),
    _rate("hedges", "manner", ("hedges", _WORDS), _PER_100,
          "hedges (I think, maybe, น่าจะ)", "seldom hedges", times=100),
    _rate("intensifiers", "manner", ("intensifiers", _WORDS), _PER_100,
          "intensifies (really, so, มาก)", "seldom intensifies", times=100),
    _rate("thanks", "manner", ("thanks", _TURNS), _SHARE, "thanks often", "seldom thanks"),
    Habit("reply_delay", "timing", "log_delay", "answered",
          (pl.col("log_delay") / pl.col("answered")).exp() - 1, "seconds, geometric mean",
          "takes time to answer", "answers at once"),
    Habit("burst_gap", "timing", "pause", "paused",
          (_pause_spread - _mean_pause) / (_pause_spread + _mean_pause),
          "burstiness, -1 even to 1 bursty", "writes in bursts", "writes at an even pace"),
)  # fmt: skip
