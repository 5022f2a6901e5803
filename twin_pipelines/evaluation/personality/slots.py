"""What a person may tell of themselves that can be asked for: data, no code.

Each slot has a pattern on a normalised clause, whose groups `v…` are the answer, a question, a
sentence that answers it (in which `{v}` stands for the answer), and a pool: answers of one pool can
be mistaken for one another, and serve as one another's distractors. `{k}` is what the groups `k…`
caught (which relative, which kind of favourite).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count

_LATELY = r"(?:(?:currently|still|actually|also|now|originally|just|only|mostly|really) )*"
_IM = rf"(?:im|i am) {_LATELY}"
_V = r"(?P<v>.+)"
_RELATIVE = (
    r"(?P<k>mom|mother|dad|father|(?:\w+ )?(?:sister|brother)|husband|wife|boyfriend|girlfriend|"
    r"roommate|grandma|grandpa|dog|cat)"
)
_JOB = (
    r"teacher|nurse|engineer|programmer|developer|artist|writer|designer|musician|accountant|tutor|"
    r"researcher|manager|ta|lawyer|doctor|cashier|waiter|waitress|janitor|coach|student|freshman|"
    r"sophomore|junior|senior|photographer|missionary|therapist|assistant|instructor|major"
)
_PET = r"(?:dog|cat|puppy|kitten|fish|horse|hamster|rabbit|bird|snake|turtle|chicken)s?"
_COUNT = r"(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|no|an?|many|several)"


@dataclass(frozen=True)
class Slot:
    """One kind of fact."""

    name: str
    pattern: re.Pattern[str]
    question: str
    answer: str
    pool: str


def _slot(name: str, pattern: str, question: str, answer: str, pool: str = "") -> Slot:
    numbers = count(1)
    named = re.sub(r"\?P<([vk])2?>", lambda group: f"?P<{group[1]}{next(numbers)}>", pattern)
    return Slot(name, re.compile(f"^(?:{named})$"), question, answer, pool or name)


SLOTS: tuple[Slot, ...] = (
    _slot(
        "name", rf"my (?:first |real |full )?name is {_V}", "What is your name?", "My name is {v}"
    ),
    _slot("age", rf"{_IM}(?P<v>\d\d)(?: years? old)?", "How old are you?", "I am {v}"),
    _slot(
        "home",
        rf"i {_LATELY}live (?:in|near) {_V}|{_IM}living in {_V}",
        "Where do you live?",
        "I live in {v}",
        "place",
    ),
    _slot(
        "lived",
        rf"i (?:used to live|have lived|lived) (?:in|near) {_V}",
        "Where did you live before?",
        "I used to live in {v}",
        "place",
    ),
    _slot(
        "from", rf"{_IM}from {_V}|i come from {_V}", "Where are you from?", "I am from {v}", "place"
    ),
    _slot(
        "grew up",
        rf"i {_LATELY}(?:grew up|was raised|was born) {_LATELY}(?:in|on) {_V}",
        "Where did you grow up?",
        "I grew up in {v}",
        "place",
    ),
    _slot(
        "moved",
        rf"(?:i|we) {_LATELY}moved (?:here )?(?:to|from) {_V}",
        "Where have you moved?",
        "I moved to {v}",
        "place",
    ),
    _slot(
        "served",
        rf"i {_LATELY}served (?:a mission |my mission )?(?:in|at) {_V}",
        "Where did you serve?",
        "I served in {v}",
        "place",
    ),
    _slot(
        "visited",
        rf"(?:ive|i have) been to {_V}|i (?:went|traveled|travelled) to {_V}",
        "Where have you traveled?",
        "I have been to {v}",
        "place",
    ),
    _slot(
        "wants to see",
        r"i (?:really )?(?:want|would love) to (?:visit|go to|see|travel to) "
        rf"{_V}|i have always wanted to (?:visit|go to|see) {_V}",
        "Where do you want to go one day?",
        "I want to go to {v}",
        "place",
    ),
    _slot(
        "school",
        rf"i {_LATELY}(?:go|went) to (?P<v>byu|uvu|\w+ (?:university|college|state))|"
        rf"{_IM}(?:a student |studying )at {_V}",
        "What school do you go to?",
        "I go to {v}",
    ),
    _slot(
        "study",
        rf"{_IM}(?:studying|majoring in|minoring in|going into) {_V}|i {_LATELY}(?:study|"
        rf"studied|majored in|major in) {_V}|my (?:major|degree) (?:is|was)(?: in)? {_V}",
        "What do you study?",
        "I am studying {v}",
    ),
    _slot(
        "work",
        rf"i {_LATELY}(?:work|worked) (?:for|at|with) {_V}|{_IM}working (?:for|at) {_V}",
        "Who do you work for?",
        "I work for {v}",
    ),
    _slot(
        "job",
        rf"{_IM}an? (?P<v>(?:\w+ ){{0,3}}(?:{_JOB}))|i {_LATELY}(?:work|worked) as an? {_V}",
        "What do you do?",
        "I am a {v}",
    ),
    _slot(
        "siblings",
        rf"i (?:only )?have (?P<v>(?:{_COUNT} )?(?:\w+ )?(?:sisters?|brothers?|"
        r"siblings?))|(?:im|i am) (?P<v2>the (?:oldest|youngest|middle)(?: child| of \w+)?|"
        r"an only child)",
        "Do you have any brothers or sisters?",
        "I have {v}",
    ),
    _slot(
        "pets",
        rf"(?:i|we) {_LATELY}(?:have|had|own) (?P<v>(?:{_COUNT} )?(?:\w+ )?{_PET}"
        r"(?: named \w+)?)",
        "Do you have any pets?",
        "I have {v}",
    ),
    _slot(
        "relationship",
        rf"{_IM}(?P<v>(?:not )?(?:married|single|engaged|divorced|dating))\b.*",
        "Are you single or married?",
        "I am {v}",
    ),
    _slot(
        "relative",
        rf"my {_RELATIVE} (?:is|was) (?P<v>(?!\w+ing\b).+)",
        "Tell me about your {k}",
        "My {k} is {v}",
    ),
    _slot(
        "relative lives",
        rf"my {_RELATIVE} lives? in {_V}",
        "Where does your {k} live?",
        "My {k} lives in {v}",
        "place",
    ),
    _slot(
        "favorite",
        r"my (?:all time )?favou?rite (?P<k>\w+(?: \w+)?) (?:is|was|are|would be|has to "
        rf"be) {_V}",
        "What is your favorite {k}?",
        "My favorite {k} is {v}",
    ),
    _slot(
        "speaks",
        rf"i {_LATELY}(?:can )?(?:speak|spoke|learned|took) (?P<v>spanish|french|german|"
        r"chinese|mandarin|japanese|korean|portuguese|russian|italian|thai|hmong|asl|arabic|"
        r"english|latin|sign language)\b.*",
        "What languages do you know?",
        "I speak {v}",
    ),
    _slot(
        "plays",
        rf"i {_LATELY}(?:can |used to |do )?(?:play|played) {_V}",
        "What do you play?",
        "I play {v}",
    ),
    _slot(
        "graduated",
        rf"i {_LATELY}graduated? in (?P<v>.+)",
        "When did you graduate?",
        "I graduated in {v}",
    ),
    _slot(
        "listens",
        rf"i {_LATELY}(?:listen|listened) to {_V}",
        "What do you listen to?",
        "I listen to {v}",
        "media",
    ),
    _slot(
        "watches",
        rf"i {_LATELY}(?:watch|watched) {_V}|{_IM}watching {_V}",
        "What do you watch?",
        "I watch {v}",
        "media",
    ),
    _slot(
        "reads",
        rf"{_IM}reading {_V}|i {_LATELY}(?:read) {_V}",
        "What do you read?",
        "I read {v}",
        "media",
    ),
    _slot(
        "classes",
        rf"(?:i {_LATELY}(?:take|took)|{_IM}taking) (?:an? )?(?P<v>.+ class(?:es)?)",
        "What classes do you take?",
        "I am taking {v}",
    ),
    _slot(
        "teaches",
        rf"i {_LATELY}(?:teach|taught) {_V}|{_IM}teaching {_V}",
        "What do you teach?",
        "I teach {v}",
    ),
    _slot(
        "allergic",
        rf"{_IM}allergic to {_V}",
        "Are you allergic to anything?",
        "I am allergic to {v}",
    ),
    _slot(
        "afraid",
        rf"{_IM}(?:so |really |deathly )*(?:afraid|scared|terrified) of {_V}|my biggest "
        rf"fear is {_V}",
        "What are you afraid of?",
        "I am afraid of {v}",
    ),
    _slot(
        "faith",
        rf"{_IM}(?:an? )?(?P<v>(?:not )?(?:christian|lds|mormon|catholic|muslim|buddhist|"
        r"jewish|hindu|atheist|agnostic))",
        "What is your religion?",
        "I am {v}",
    ),
    _slot(
        "diet",
        rf"{_IM}(?:an? )?(?P<v>(?:not )?(?:vegan|vegetarian))\b.*",
        "Are you vegetarian?",
        "I am {v}",
    ),
    _slot(
        "born",
        r"my birthday is (?:in |on )?(?P<v>.+)|i was born (?:in|on) (?P<v2>\w+ \d+|\d{4})",
        "When is your birthday?",
        "My birthday is {v}",
    ),
    _slot(
        "becomes",
        r"i (?:want|hope|plan|would love) to (?:be|become) an? (?P<v>.+)",
        "What do you want to become?",
        "I want to be a {v}",
    ),
    _slot("drives", rf"i {_LATELY}(?:drive|own) an? {_V}", "What do you drive?", "I drive a {v}"),
)
_ME = r"(?:ดิฉัน|ฉัน|ผม|หนู|เรา|เค้า)"
THAI_SLOTS: tuple[Slot, ...] = tuple(
    Slot(name, re.compile(pattern), question, answer, pool)
    for name, pattern, question, answer, pool in (
        ("name", rf"{_ME}ชื่อ(?P<v>\S+)", "ชื่ออะไร", "ชื่อ{v}", "ชื่อ"),
        ("age", rf"{_ME}อายุ ?(?P<v>\d\d)", "อายุเท่าไหร่", "อายุ {v}", "อายุ"),
        (
            "home",
            rf"{_ME}(?:ก็|ยัง)?(?:อยู่ที่|อาศัยอยู่(?:ที่)?|พักอยู่(?:ที่)?)(?P<v>\S+)",
            "อยู่ที่ไหน",
            "อยู่ที่{v}",
            "ที่",
        ),
        (
            "from",
            rf"{_ME}(?:ก็)?(?:มาจาก|เกิดที่|เป็นคน(?=เชียง|กรุงเทพ|ขอนแก่น|ภูเก็ต))(?P<v>\S+)",
            "มาจากที่ไหน",
            "มาจาก{v}",
            "ที่",
        ),
        ("work", rf"{_ME}(?:ก็|กำลัง|เคย)?ทำงาน(?:ที่|เป็น)(?P<v>\S+)", "ทำงานอะไร", "ทำงาน{v}", "งาน"),
        (
            "study",
            rf"{_ME}(?:ก็|กำลัง|เคย)?เรียน(?:ที่|คณะ|วิชา)?(?P<v>\S+)",
            "เรียนอะไร",
            "เรียน{v}",
            "เรียน",
        ),
        (
            "pets",
            rf"{_ME}(?:ก็)?(?:มี|เลี้ยง)(?P<v>(?:แมว|หมา|สุนัข|ปลา|นก)\S*)",
            "เลี้ยงสัตว์อะไร",
            "เลี้ยง{v}",
            "สัตว์",
        ),
    )
)
