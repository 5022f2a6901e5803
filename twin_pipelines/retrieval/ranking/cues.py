"""What a question tells besides its words: who is meant, and when.

A time cue is a span of days in which the answer was said or happened: "in May 2023", "last
summer", "two weeks ago", "เมื่อวาน", "เดือนที่แล้ว", "พฤษภาคม 2566". Relative words count from the day
of asking.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Sequence
from datetime import date, timedelta

Span = tuple[date, date]  # first and last day, both included
Read = Callable[["re.Match[str]", date, Span], "list[Span]"]

BUDDHIST_ERA = 543  # years ahead of the common era

# fmt: off
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)
_THAI_MONTHS = (
    "มกรา", "กุมภา", "มีนา", "เมษา", "พฤษภา", "มิถุนา", "กรกฎา", "สิงหา", "กันยา", "ตุลา", "พฤศจิกา",
    "ธันวา",
)
_NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "a couple of": 2, "three": 3, "a few": 3, "four": 4,
    "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "หนึ่ง": 1, "สอง": 2, "สาม": 3, "สี่": 4, "ห้า": 5, "หก": 6, "เจ็ด": 7, "แปด": 8, "เก้า": 9, "สิบ": 10,
}
_WEEKDAYS = {
    "monday": 0, "tuesday": 1, "wednesday": 2, "thursday": 3, "friday": 4, "saturday": 5,
    "sunday": 6, "จันทร์": 0, "อังคาร": 1, "พุธ": 2, "พฤหัส": 3, "ศุกร์": 4, "เสาร์": 5, "อาทิตย์": 6,
}
_SEASONS = {  # first month and how many, northern
    "spring": (3, 3), "summer": (6, 3), "autumn": (9, 3), "fall": (9, 3), "winter": (12, 3),
    "หน้าร้อน": (3, 3), "หน้าฝน": (6, 5), "หน้าหนาว": (11, 4),
}
# fmt: on
_UNITS = {"day": 1, "วัน": 1, "week": 7, "สัปดาห์": 7, "อาทิตย์": 7, "month": 30, "เดือน": 30, "ปี": 365}
_MONTH = r"(?P<month>january|february|march|april|may|june|july|august|september|october"
_MONTH += r"|november|december|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec)\b\.?"
_MONTH_TH = rf"(?P<month>{'|'.join(_THAI_MONTHS)})(?:คม|ยน|พันธ์)?"
_NUMBER = "|".join(sorted(_NUMBERS, key=len, reverse=True)) + r"|\d{1,3}"
_YEAR = r"(?P<year>(?:19|20|25)\d\d)"
_SEASON = "|".join(name for name in _SEASONS if name.isascii())
_SEASON_TH = "|".join(name for name in _SEASONS if not name.isascii())
_DAY = "|".join(name for name in _WEEKDAYS if name.isascii())
_DAY_TH = "|".join(name for name in _WEEKDAYS if not name.isascii())
_LAST_TH = r"(?:ที่แล้ว|ที่ผ่านมา|ก่อน)"


def speakers_named(query: str, speakers: Sequence[str]) -> list[bool]:
    """For each speaker whether the question names them: the whole name, or its first word.

    Thai names are found without spaces around; a first word of one or two letters is no name.
    """
    lowered = query.lower()
    return [any(_stands(name, lowered) for name in _forms(speaker)) for speaker in speakers]


def time_spans(query: str, asked_on: date, history: Span) -> list[Span]:
    """Spans of days the question speaks of, in the order of their words; none without a cue.

    A month or season without a year is meant in every year of `history`, first and last day.
    """
    lowered = query.lower()
    found: list[tuple[int, list[Span]]] = []
    taken: list[tuple[int, int]] = []
    for pattern, read in _READERS:
        for match in pattern.finditer(lowered):
            first, last = match.span()
            if any(first < end and start < last for start, end in taken):
                continue
            if spans := read(match, asked_on, history):
                taken.append((first, last))
                found.append((first, spans))
    return [span for _, spans in sorted(found, key=lambda one: one[0]) for span in spans]


def _forms(speaker: str) -> list[str]:
    name = speaker.lower().strip()
    first = name.split()[0] if name.split() else ""
    return [form for form in {name, first} if len(form) > 2 or form == name != ""]


def _stands(name: str, text: str) -> bool:
    if name.isascii():
        return re.search(rf"(?<!\w){re.escape(name)}(?![a-z0-9_])", text) is not None
    return name in text


def _number(words: str) -> int:
    return int(words) if words.isdigit() else _NUMBERS[words]


def _year(match: re.Match[str]) -> int | None:
    told = match.groupdict().get("year")
    year = int(told) if told else None
    return year - BUDDHIST_ERA if year and year > 2400 else year


def _month_number(name: str) -> int:
    if name.isascii():
        return next(n for n, full in enumerate(_MONTHS, 1) if full.startswith(name[:3]))
    return _THAI_MONTHS.index(name) + 1


def _months(year: int, month: int, count: int = 1) -> Span:
    last_year, last_month = divmod(year * 12 + month - 1 + count - 1, 12)
    last = date(last_year, last_month + 1, monthrange(last_year, last_month + 1)[1])
    return date(year, month, 1), last


def _years(match: re.Match[str], history: Span) -> list[int]:
    year = _year(match)
    return [year] if year else list(range(history[0].year, history[1].year + 1))


def _in_month(match: re.Match[str], _: date, history: Span) -> list[Span]:
    month = _month_number(match["month"])
    told = match.groupdict().get("day")
    spans = [_months(year, month) for year in _years(match, history)]
    if told is None:
        return spans
    days = [(first, int(told)) for first, last in spans if 1 <= int(told) <= last.day]
    return [(first.replace(day=day), first.replace(day=day)) for first, day in days]


def _in_season(match: re.Match[str], _: date, history: Span) -> list[Span]:
    month, count = _SEASONS[match["season"]]
    return [_months(year, month, count) for year in _years(match, history)]


def _last_season(match: re.Match[str], asked_on: date, _: Span) -> list[Span]:
    month, count = _SEASONS[match["season"]]
    span = _months(asked_on.year, month, count)
    return [span if span[1] < asked_on else _months(asked_on.year - 1, month, count)]


def _whole_year(match: re.Match[str], _: date, __: Span) -> list[Span]:
    year = _year(match)
    return [(date(year, 1, 1), date(year, 12, 31))] if year else []


def _iso(match: re.Match[str], _: date, __: Span) -> list[Span]:
    try:
        day = date(int(match["year"]), int(match["number"]), int(match["day"]))
    except ValueError:
        return []
    return [(day, day)]


def _days_ago(first: int, last: int) -> Read:
    def read(_: re.Match[str], asked_on: date, __: Span) -> list[Span]:
        return [(asked_on - timedelta(days=first), asked_on - timedelta(days=last))]

    return read


def _last_unit(match: re.Match[str], asked_on: date, _: Span) -> list[Span]:
    unit = match["unit"]
    if unit in ("week", "สัปดาห์", "อาทิตย์"):
        monday = asked_on - timedelta(days=asked_on.weekday() + 7)
        return [(monday, monday + timedelta(days=6))]
    if unit in ("month", "เดือน"):
        before = asked_on.replace(day=1) - timedelta(days=1)
        return [(before.replace(day=1), before)]
    return [(date(asked_on.year - 1, 1, 1), date(asked_on.year - 1, 12, 31))]


def _units_ago(match: re.Match[str], asked_on: date, _: Span) -> list[Span]:
    """So many units ago, give or take half a unit."""
    unit, number = _UNITS.get(match["unit"].removesuffix("s"), 365), _number(match["number"])
    if number * unit > 36_500:
        return []
    day = asked_on - timedelta(days=number * unit)
    return [(day - timedelta(days=unit // 2), day + timedelta(days=unit // 2))]


def _last_weekday(match: re.Match[str], asked_on: date, _: Span) -> list[Span]:
    back = (asked_on.weekday() - _WEEKDAYS[match["name"]]) % 7 or 7
    day = asked_on - timedelta(days=back)
    return [(day, day)]


_READERS: tuple[tuple[re.Pattern[str], Read], ...] = tuple(
    (re.compile(pattern), read)
    for pattern, read in (
        (r"\b(?P<year>(?:19|20)\d\d)-(?P<number>\d\d?)-(?P<day>\d\d?)\b", _iso),
        (rf"\b(?P<day>\d\d?)(?:st|nd|rd|th)?,? (?:of )?{_MONTH},?(?: {_YEAR}\b)?", _in_month),
        (rf"\b{_MONTH} (?P<day>\d\d?)(?:st|nd|rd|th)?\b,?(?: {_YEAR}\b)?", _in_month),
        (rf"\b{_MONTH},?(?: of)? {_YEAR}\b", _in_month),
        (rf"\b(?:in|during|since|around|by|of|last|early|late|mid|this) {_MONTH}", _in_month),
        (rf"(?:(?P<day>\d\d?)\s*)?{_MONTH_TH}(?:\s*(?:ปี|พ\.ศ\.)?\s*{_YEAR}(?!\d))?", _in_month),
        (rf"\blast (?P<season>{_SEASON})\b", _last_season),
        (rf"(?P<season>{_SEASON_TH}){_LAST_TH}", _last_season),
        (
            rf"\b(?:in|during|of|this) (?:the )?(?P<season>{_SEASON})\b(?: of)?(?: {_YEAR})?",
            _in_season,
        ),
        (rf"\b(?P<season>{_SEASON}) (?:of )?{_YEAR}\b", _in_season),
        (rf"(?P<season>{_SEASON_TH})", _in_season),
        (rf"\b(?P<number>{_NUMBER}) (?P<unit>(?:day|week|month|year)s?) ago\b", _units_ago),
        (rf"(?P<number>{_NUMBER})\s*(?P<unit>วัน|สัปดาห์|อาทิตย์|เดือน|ปี){_LAST_TH}", _units_ago),
        (r"\b(?:last|past|previous) (?P<unit>week|month|year)\b", _last_unit),
        (rf"(?<!วัน)(?P<unit>สัปดาห์|อาทิตย์|เดือน|ปี){_LAST_TH}", _last_unit),
        (rf"\blast (?P<name>{_DAY})\b", _last_weekday),
        (rf"วัน(?P<name>{_DAY_TH})(?:บดี)?{_LAST_TH}", _last_weekday),
        (r"\bthe day before yesterday\b|เมื่อวานซืน|วานซืน", _days_ago(2, 2)),
        (r"\byesterday\b|\blast night\b|เมื่อวาน(?:นี้)?|เมื่อคืน", _days_ago(1, 1)),
        (r"\blast weekend\b", _days_ago(8, 1)),
        (r"\btoday\b|\btonight\b|วันนี้", _days_ago(0, 0)),
        (r"\brecently\b|\blately\b|ช่วงนี้|เร็ว\s?ๆ\s?นี้", _days_ago(30, 0)),
        (rf"\b(?:in|during|since|by|of) {_YEAR}\b", _whole_year),
        (rf"ปี\s*(?:พ\.ศ\.\s*)?{_YEAR}(?!\d)", _whole_year),
    )
)
