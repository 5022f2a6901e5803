"""Cleans the text of messages, and changes nothing a reader would see.

What belongs here: everything that looks at one text alone. Texts go in and out as polars series;
the work is done by polars' own string expressions, and Python sees only rows with HTML entities.
"""

from __future__ import annotations

import html
import re
from html.entities import html5

import polars as pl

# Spelt as \x{…}: these characters are invisible, so none of them stands in this file.
_BREAKS = r"\r\n|[\r\x{0B}\x{0C}\x{85}\x{2028}\x{2029}]"
_INVISIBLE = (
    r"[\p{Cc}--[\t\n\r\x{0B}\x{0C}\x{85}]]"  # control characters that are not white space
    r"|[\x{AD}\x{61C}\x{180E}\x{200B}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2060}-\x{206F}\x{FEFF}"
    r"\x{FDD0}-\x{FDEF}\x{FFF9}-\x{FFFC}\x{FFFE}\x{FFFF}]"
)
_JOINERS = r"\x{200C}\x{200D}\x{E0000}-\x{E007F}"
_EMOJI = r"\p{Extended_Pictographic}[\x{FE0F}\x{20E3}\x{1F3FB}-\x{1F3FF}]*"
_JOINING_SCRIPT = (
    r"[\p{Arabic}\p{Syriac}\p{Devanagari}\p{Bengali}\p{Gurmukhi}\p{Gujarati}\p{Oriya}\p{Tamil}"
    r"\p{Telugu}\p{Kannada}\p{Malayalam}\p{Sinhala}\p{Myanmar}\p{Khmer}]"
)
# A joiner inside an emoji sequence, a flag or a word that needs it is kept with its neighbours;
# any other matches the last branch and vanishes.
_JOINED = (
    rf"((?:{_EMOJI}(?:\x{{200D}}{_EMOJI})+)"
    rf"|(?:{_JOINING_SCRIPT}(?:[\x{{200C}}\x{{200D}}]{_JOINING_SCRIPT})+)"
    r"|(?:\x{1F3F4}[\x{E0020}-\x{E007E}]+\x{E007F}))"
    rf"|[{_JOINERS}]"
)
# Spellings a reader cannot tell apart: nikhahit + sara aa for sara am, sara e twice for sara ae.
_SARA_AM = r"\x{E4D}([\x{E48}-\x{E4B}]?)\x{E32}|([\x{E48}-\x{E4B}])\x{E4D}\x{E32}"
_SARA_E_TWICE = r"\x{E40}\x{E40}"

_UNTIDY = (
    r"[\s--[ \n]]|  | \n|\n |\n\n\n|^\s|\s$"
    rf"|{_INVISIBLE}|[{_JOINERS}]|\x{{E4D}}|{_SARA_E_TWICE}"
)
_ENTITY = r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
_ENTITY_PYTHON = re.compile(_ENTITY)
_VISIBLE = r"[^\s\p{Cc}\p{Cf}\x{34F}\x{115F}\x{1160}\x{2800}\x{3164}\x{FFA0}\x{FE00}-\x{FE0F}]"


def clean_texts(texts: pl.Series) -> pl.Series:
    """Clean each text; cleaning twice changes nothing more.

    NFC; no control, zero-width or bidirectional characters (joiners stay inside emoji sequences,
    flags and the scripts that need them, variation selectors stay everywhere); HTML entities that
    end in a semicolon unescaped until none is left; any white space one space, any line break
    "\\n", at most one empty line in a row, none at the ends; Thai sara am and sara ae in their one
    usual spelling.
    """
    cleaned = _tidy(texts)
    rows = cleaned.str.contains(_ENTITY).arg_true()
    while len(rows):
        unescaped = [_unescape(text) for text in cleaned.gather(rows)]
        tidied = _tidy(pl.Series(cleaned.name, unescaped, dtype=pl.String))
        changed = tidied != cleaned.gather(rows)
        rows, tidied = rows.filter(changed), tidied.filter(changed)
        cleaned = cleaned.scatter(rows, tidied)
    return cleaned


def has_content(text: pl.Expr) -> pl.Expr:
    """Whether a cleaned text shows anything: not only blanks, fillers and variation selectors."""
    return text.str.contains(_VISIBLE)


def _tidy(texts: pl.Series) -> pl.Series:
    """Everything but the entities; the steps run only on rows that need one of them."""
    tidy = texts.str.normalize("NFC")
    rows = tidy.str.contains(_UNTIDY).arg_true()
    if not len(rows):
        return tidy
    text = (
        pl.col("text")
        .str.replace_all(_BREAKS, "\n")
        .str.replace_all(_INVISIBLE, "")
        .str.replace_all(_JOINED, "${1}")
        .str.normalize("NFC")
        .str.replace_all(_SARA_AM, "${1}${2}\u0e33")
        .str.replace_all(_SARA_E_TWICE, "\u0e41")
        .str.replace_all(r"[\s--\n]+", " ")
        .str.replace_all(r" ?\n ?", "\n")
        .str.replace_all(r"\n{3,}", "\n\n")
        .str.strip_chars(" \n")
    )
    mended = pl.DataFrame({"text": tidy.gather(rows)}).select(text).to_series()
    return tidy.scatter(rows, mended)


def _unescape(text: str) -> str:
    return _ENTITY_PYTHON.sub(_character, text)


def _character(entity: re.Match[str]) -> str:
    """The character an entity stands for; an unknown name is left as it is."""
    found = entity.group()
    if found[1] == "#":
        return html.unescape(found)
    return html5.get(found[1:], found)
