"""The day a sentence speaks of, English or Thai, seen from the day it was said.

Read is normalised text (`foundation.similarity.normal_text`). Only days to come count: what was is
told by the message's own time. A week, month or year stands for its first day to come, and
`precision` says so. Clock times are not read; what may be another word ("may", "march") needs a
word before it ("in may") or a day beside it.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

BUDDHIST_ERA = 543  # years ahead of the common era
_FURTHEST = timedelta(days=366 * 30)


@dataclass(frozen=True)
class When:
    """A day to come: `words` as they stand in the normalised sentence, `precision` one of day,
    week, month, year."""

    day: date
    words: str
    precision: str


# fmt: off
_NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "a couple of": 2, "three": 3, "four": 4, "five": 5,
    "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
    "หนึ่ง": 1, "สอง": 2, "สาม": 3, "สี่": 4, "ห้า": 5, "หก": 6, "เจ็ด": 7, "แปด": 8, "เก้า": 9,
    "สิบ": 10,
}
_WEEKDAYS = {
    "monday": 0, "tuesday": 1, "wednesday": 2, "thursday": 3, "friday": 4, "saturday": 5,
    "sunday": 6, "tues": 1, "thurs": 3,
    "จันทร์": 0, "อังคาร": 1, "พุธ": 2, "พฤหัสบดี": 3, "พฤหัส": 3, "ศุกร์": 4, "เสาร์": 5, "อาทิตย์": 6,
}
_ENGLISH_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)
_THAI_MONTHS = (
    "มกรา(?:คม)?", "กุมภา(?:พันธ์)?", "มีนา(?:คม)?", "เมษา(?:ยน)?", "พฤษภา(?:คม)?",
    "มิถุนา(?:ยน)?", "กรกฎา(?:คม)?", "สิงหา(?:คม)?", "กันยา(?:ยน)?", "ตุลา(?:คม)?",
    "พฤศจิกา(?:ยน)?", "ธันวา(?:คม)?",
)
# fmt: on
_FEASTS = (  # normalised words, month, day
    (r"christmas eve", 12, 24),
    (r"christmas|คริสต์มาส", 12, 25),
    (r"new years eve|วันสิ้นปี|สิ้นปี", 12, 31),
    (r"new years?(?: day)?\b(?! old)|วันปีใหม่|ปีใหม่", 1, 1),
    (r"halloween|ฮาโลวีน", 10, 31),
    (r"valentines(?: day)?|วาเลนไทน์", 2, 14),
    (r"สงกรานต์|songkran", 4, 13),
)
_NUMBER = "|".join(sorted(_NUMBERS, key=len, reverse=True)) + r"|\d{1,3}"
_DAY_NAMES = "|".join(sorted((d for d in _WEEKDAYS if d.isascii()), key=len, reverse=True))
_THAI_DAYS = "|".join(sorted((d for d in _WEEKDAYS if not d.isascii()), key=len, reverse=True))
_MONTH_NAMES = "|".join(_ENGLISH_MONTHS) + "|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec"
_MONTHS_TH = "|".join(_THAI_MONTHS)
_UNIT_DAYS = {"day": 1, "week": 7, "วัน": 1, "สัปดาห์": 7, "อาทิตย์": 7}
_THAI_DIGITS = str.maketrans("๐๑๒๓๔๕๖๗๘๙", "0123456789")

Reader = Callable[["re.Match[str]", date], "tuple[date, str] | None"]


def find_when(normal: str, said_on: date) -> When | None:
    """The first day, from `said_on` on, that the sentence speaks of; None when it names none."""
    text = normal.translate(_THAI_DIGITS)
    found: list[tuple[int, int, When]] = []
    for pattern, read in _READERS:
        for match in pattern.finditer(text):
            told = read(match, said_on)
            if told and said_on <= told[0] <= said_on + _FURTHEST:
                when = When(told[0], match.group().strip(), told[1])
                found.append((match.start(), -match.end(), when))
                break
    return min(found, key=lambda one: one[:2])[2] if found else None


def _after(days: int, precision: str = "day") -> Reader:
    return lambda _, said_on: (said_on + timedelta(days=days), precision)


def _number(words: str) -> int:
    return int(words) if words.isdigit() else _NUMBERS[words]


def _months_on(said_on: date, months: int) -> date:
    year, month = divmod(said_on.year * 12 + said_on.month - 1 + months, 12)
    return date(year, month + 1, 1)


def _in_units(match: re.Match[str], said_on: date) -> tuple[date, str] | None:
    number, unit = _number(match["number"]), match["unit"].removesuffix("s")
    if days := _UNIT_DAYS.get(unit):
        return said_on + timedelta(days=days * number), "day" if days == 1 else "week"
    if number > 99:
        return None
    monthly = unit in ("month", "เดือน")
    first = _months_on(said_on, number if monthly else 12 * number)
    day = min(said_on.day, monthrange(first.year, first.month)[1])
    return first.replace(day=day), "month" if monthly else "year"


def _next_unit(match: re.Match[str], said_on: date) -> tuple[date, str]:
    unit = match["unit"]
    if unit in ("week", "สัปดาห์", "อาทิตย์"):
        return said_on + timedelta(days=7 - said_on.weekday()), "week"
    if unit in ("month", "เดือน"):
        return _months_on(said_on, 1), "month"
    return date(said_on.year + 1, 1, 1), "year"


def _weekend(match: re.Match[str], said_on: date) -> tuple[date, str]:
    days = max(0, 5 - said_on.weekday())
    later = match.group().startswith("next") or match.group().endswith("หน้า")
    return said_on + timedelta(days=days + 7 * later), "day"


def _weekday(match: re.Match[str], said_on: date) -> tuple[date, str]:
    """The next such day; "next friday" is the one of the week after this."""
    ahead = (_WEEKDAYS[match["name"]] - said_on.weekday()) % 7
    if match["next"]:
        ahead = 7 - said_on.weekday() + _WEEKDAYS[match["name"]]
    return said_on + timedelta(days=ahead or 7), "day"


def _dated(match: re.Match[str], said_on: date) -> tuple[date, str] | None:
    """A month, with or without day and year."""
    parts = match.groupdict()
    month = _month(parts["month"])
    year = int(parts["year"]) if parts.get("year") else None
    if year and year > 2400:
        year -= BUDDHIST_ERA
    day = int(parts["day"]) if parts.get("day") else None
    if year is None:
        passed = (month, day or 31) < (said_on.month, said_on.day)
        year = said_on.year + passed
    if day is None and (year, month) == (said_on.year, said_on.month):
        if match.group().startswith("next"):
            return date(year + 1, month, 1), "month"
        return said_on, "month"
    if not 1 <= (day or 1) <= monthrange(year, month)[1]:
        return None
    return date(year, month, day or 1), "day" if day else "month"


def _month(name: str) -> int:
    if name.isascii():
        return next(
            n for n, full in enumerate(_ENGLISH_MONTHS, start=1) if full.startswith(name[:3])
        )
    return next(n for n, form in enumerate(_THAI_MONTHS, start=1) if re.fullmatch(form, name))


def _iso(match: re.Match[str], _: date) -> tuple[date, str] | None:
    try:
        return date(int(match["year"]), int(match["month"]), int(match["day"])), "day"
    except ValueError:
        return None


def _day_of_month(match: re.Match[str], said_on: date) -> tuple[date, str] | None:
    day = int(match["day"])
    first = said_on.replace(day=1) if day >= said_on.day else _months_on(said_on, 1)
    if not 1 <= day <= monthrange(first.year, first.month)[1]:
        return None
    return first.replace(day=day), "day"


def _month_end(_: re.Match[str], said_on: date) -> tuple[date, str]:
    return said_on.replace(day=monthrange(said_on.year, said_on.month)[1]), "day"


def _feast(month: int, day: int) -> Reader:
    def read(_: re.Match[str], said_on: date) -> tuple[date, str]:
        passed = (month, day) < (said_on.month, said_on.day)
        return date(said_on.year + passed, month, day), "day"

    return read


def _year(match: re.Match[str], said_on: date) -> tuple[date, str]:
    year = int(match["year"])
    year -= BUDDHIST_ERA if year > 2400 else 0
    return (said_on if year == said_on.year else date(max(year, 1), 1, 1)), "year"


_READERS: tuple[tuple[re.Pattern[str], Reader], ...] = tuple(
    (re.compile(pattern), read)
    for pattern, read in (
        (r"\b(?P<year>20\d\d) (?P<month>\d\d?) (?P<day>\d\d?)\b", _iso),
        (r"\b(?:today|tonight|this (?:morning|afternoon|evening))\b|วันนี้|คืนนี้|เย็นนี้", _after(0)),
        (r"\bday after tomorrow\b|มะรืน(?:นี้)?", _after(2)),
        (r"\b(?<!day after )(?:tomorrow|tmrw?|tmw)\b|พรุ่งนี้", _after(1)),
        (
            rf"\b(?:in|within) (?:about |like |another )?(?P<number>{_NUMBER})(?: more)? "
            r"(?P<unit>days?|weeks?|months?|years?)\b",
            _in_units,
        ),
        (rf"อีก\s*(?P<number>{_NUMBER})\s*(?P<unit>วัน|สัปดาห์|อาทิตย์|เดือน|ปี)", _in_units),
        (r"\b(?:this|next) weekend\b|(?:สุดสัปดาห์|เสาร์อาทิตย์|วันหยุด)(?:นี้|หน้า)", _weekend),
        (r"\bnext (?P<unit>week|month|year)\b", _next_unit),
        (r"(?<!วัน)(?<!เสาร์)(?P<unit>สัปดาห์|อาทิตย์|เดือน|ปี)หน้า", _next_unit),
        (rf"\b(?:on|by|this|until|till|(?P<next>next)) (?P<name>{_DAY_NAMES})\b", _weekday),
        (rf"วัน(?P<name>{_THAI_DAYS})(?:นี้|(?P<next>หน้า))", _weekday),
        (
            rf"\b(?:on |the )*(?P<month>{_MONTH_NAMES}) (?P<day>\d\d?)(?:st|nd|rd|th)?\b"
            r"(?! (?:years|days|weeks|months|minutes|hours))(?: (?P<year>20\d\d)\b)?",
            _dated,
        ),
        (
            rf"\b(?P<day>\d\d?)(?:st|nd|rd|th)? (?:of )?(?P<month>{_MONTH_NAMES})\b"
            r"(?: (?P<year>20\d\d)\b)?",
            _dated,
        ),
        (
            rf"\b(?:in|by|until|till|this|next|during|of) (?P<month>{_MONTH_NAMES})\b"
            r"(?: (?P<year>20\d\d)\b)?",
            _dated,
        ),
        (
            rf"(?:วันที่\s*)?(?P<day>\d\d?)\s*(?P<month>{_MONTHS_TH})"
            r"(?:\s*(?:ปี|พ\s?ศ)?\s*(?P<year>2[05]\d\d))?",
            _dated,
        ),
        (
            rf"(?<!\d)(?<!\d )(?:เดือน\s*|ตอน\s*|ช่วง\s*)(?P<month>{_MONTHS_TH})"
            r"(?:\s*(?:ปี|พ\s?ศ)?\s*(?P<year>2[05]\d\d))?",
            _dated,
        ),
        (rf"วันที่\s*(?P<day>\d\d?)(?!\d)(?!\s*(?:{_MONTHS_TH}))", _day_of_month),
        (r"\bend of (?:the|this) month\b|สิ้นเดือน(?:นี้)?", _month_end),
        (r"\b(?:in|by|until) (?P<year>20\d\d)\b", _year),
        (r"ปี\s*(?:พ\s?ศ\s*)?(?P<year>2[05]\d\d)(?!\d)", _year),
        *((form, _feast(month, day)) for form, month, day in _FEASTS),
    )
)
