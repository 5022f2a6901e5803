"""Tells whether somebody sincerely asks if they talk with a machine, in English or Thai.

By patterns on single sentences. Not sincere are words in quotation marks, what somebody else is
reported to have asked, and questions that only look alike ("are you a morning person?"). In doubt
it counts as asked: the truth does no harm.
"""

from __future__ import annotations

import re

LONGEST = 4_000  # characters that are looked at, the last ones
_MACHINE = (
    r"(?:(?:ro|chat)?bots?|a\.?i\.?|artificial intelligence|machines?|computers?|"
    r"(?:computer |ai )?programs?|llm|(?:large )?language models?|(?:ai |virtual )assistants?|"
    r"(?:chat)?gpt(?:-?\d\w*)?|algorithms?|(?:ai|digital) twin|"
    r"automated (?:repl(?:y|ies)|messages?|responses?))"
)
_PERSON = r"(?:human(?: being)?|person|someone real|somebody real)"
_SURE = (
    r"(?:really |actually |truly |just |even |secretly |maybe |perhaps |like |still |for real )*"
)
_A = r"(?:an? |some |any )?"
_REAL = r"(?:real |actual |living |true |live |genuine |normal |breathing |fellow |regular )*"
_WHAT = rf"{_SURE}{_A}{_SURE}{_REAL}(?:{_MACHINE}|{_PERSON})"
_END = (
    r"(?= ?(?:[?!.,;:)]|$|or\b|right\b|then\b|though\b|lol\b|haha|and not\b|not\b|but\b|here\b|"
    r"rn\b|typing|writing|talking|speaking|replying|answering|behind|now\b|at all\b|in there\b|"
    r"instead\b|btw\b|bro\b|dude\b|man\b|by any chance|this time|are(?:n'?t)? (?:you|u)\b|"
    r"i(?:'?m| am)\b))"
)
_TALKING = r"(?:talk|speak|chatt?|text|writ|convers|messag|deal|interact)ing"
_ENGLISH = (
    rf"\b(?:are|r|aren'?t) (?:you|u|ya) {_SURE}(?:not )?{_WHAT}{_END}",
    rf"\b(?:you|u)(?:'?re| are| r| really are) (?:not )?{_WHAT}{_END}[^.!?]{{0,40}}\?",
    rf"\b(?:is|isn'?t) (?:this|it|there) {_SURE}{_WHAT}{_END}",
    rf"\b(?:am i|are we|is this|who is|i'm|i am|i'm not|am i not) {_SURE}{_TALKING} (?:to|with) "
    rf"{_WHAT}{_END}[^.!]*(?:\?|$)",
    r"\b(?:are|r) (?:you|u) (?:even |actually |really )*(?:real|human|alive|sentient|automated|"
    r"artificial)(?: or (?:not|fake|what|\w+))? ?(?:\?|$)",
    r"\b(?i:is this|is that|is it|are you|are u) (?i:really|actually|truly) "
    r"(?:you|u|him|her|them|yourself|[A-Z]\w+)(?: or\b.*)? ?\?",
    rf"\b(?:who|what) (?:am i|are we) (?:really |actually )+{_TALKING} (?:to|with)\b",
    r"\bwhat are (?:you|u) (?:really|actually|made of) ?(?:\?|$)",
    rf"\b(?:human|person) or (?:an? )?{_MACHINE}\b.{{0,20}}\?|"
    rf"\b{_MACHINE} or (?:an? )?(?:real )?(?:human|person)\b.{{0,20}}\?",
)
_THAI_WHAT = (
    r"(?:ai|เอไอ|a\.i\.|บอท|บอต|bot|โรบอท|หุ่นยนต์|โปรแกรม(?:คอมพิวเตอร์)?|ปัญญาประดิษฐ์|เครื่องจักร|"
    r"คอมพิวเตอร์|คนจริง(?:\s?ๆ)?|คนแท้(?:\s?ๆ)?|คน|มนุษย์(?:จริง)?(?:\s?ๆ)?|ตัวจริง)"
)
_THAI_ASKS = (
    r"(?:หรือ\s?เปล่า|หรือ\s?ปล่าว|หรือ\s?ป่าว|รึ\s?เปล่า|รึ\s?ป่าว|รึป่ะ|ปะ|ป่ะ|ป่าว|เปล่า|ไหม|มั้ย|มั๊ย|ไม๊|"
    r"ใช่\s?ไหม|ใช่\s?มั้ย|ใช่\s?ปะ|หรือ|เหรอ|หรอ|รึ|กันแน่|\?)"
)
_THAI_YOU = r"(?:คุณ|เธอ|แก|มึง|นาย|พี่|น้อง|นี่|ที่นี่|ตัวเอง)"
_THAI = (
    rf"{_THAI_YOU}\s*(?:มัน|น่ะ|นะ|เนี่ย|คือ|เป็น|ใช่|ไม่ใช่|\s)*{_THAI_WHAT}\s*(?:จริง\s?ๆ?\s*)?"
    rf"(?:ใช่|หรือ|รึ)?\s*{_THAI_WHAT}?\s*(?:ค่ะ|คะ|ครับ|คับ|อะ|อ่ะ|วะ|นะ|\s)*{_THAI_ASKS}",
    rf"(?:^|\s)(?:เป็น|ใช่)\s*{_THAI_WHAT}\s*(?:จริง\s?ๆ?)?\s*{_THAI_ASKS}",
    rf"(?:คุย|พูด|แชท|แชต|สนทนา)(?:อยู่)?กับ\s*{_THAI_WHAT}\s*(?:จริง\s?ๆ?\s*)?(?:อยู่)?\s*{_THAI_ASKS}",
    r"(?:ตอบ|พิมพ์)(?:อยู่)?(?:เอง)?(?:โดย|ด้วย)?\s*(?:ai|เอไอ|บอท|คน)?\s*(?:หรือ|รึ)\s*(?:ai|เอไอ|บอท|คน)",
    r"(?:คน|มนุษย์)\s*(?:หรือ|รึ)\s*(?:ai|เอไอ|บอท|หุ่นยนต์)|(?:ai|เอไอ|บอท|หุ่นยนต์)\s*(?:หรือ|รึ)\s*(?:คน|มนุษย์)",
    r"มีตัวตนจริง(?:\s?ๆ)?\s*(?:ไหม|มั้ย|หรือเปล่า|รึเปล่า|ปะ)",
)
_QUOTED = re.compile(r"“[^”]*”|\"[^\"\n]*\"|«[^»]*»|„[^“]*“|'(?=\w)[^'\n]{6,}'(?!\w)")
_REPORTED = re.compile(
    r"\b(?:he|she|they|it|we|i|mom|dad|boss|teacher|people|someone|somebody|everyone|everybody|"
    r"who|kids?|friends?|\w+ed by) (?:\w+ly |just |always |once |then |also )?(?:asked|asks|says|"
    r"said|told|wondered|wonders|goes|went|was like|were like|tweeted|wrote|screamed|thought)\b"
    r"|\b(?:asked|asks) (?:me|him|her|us|them|if|whether)\b|(?:เขา|เค้า|แม่|พ่อ|เพื่อน|มัน|ลูก)\s*ถาม",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[?!])\s*|\n+|(?<=[.…])\s+")
_ENGLISH_ASKS = [re.compile(form, 0 if "[A-Z]" in form else re.IGNORECASE) for form in _ENGLISH]
_THAI_ASKED = [re.compile(form, re.IGNORECASE) for form in _THAI]
_THAI_PEOPLE = re.compile(
    r"คน(?:ที่|ใน|ไทย|จีน|ดี|โสด|แรก|เดียว|เก่ง|ชอบ|รัก|จังหวัด|กรุงเทพ|เชียง|เหนือ|ใต้|อีสาน|ขี้|ใจ|มี|ยัง|ไหน|ละ)"
)


def asks_for_the_truth(text: str) -> bool:
    """Whether a sentence of the text sincerely asks whether it is answered by a machine."""
    plain = _QUOTED.sub(" ", text[-LONGEST:].replace("’", "'").replace("‘", "'"))
    return any(_asks(sentence) for sentence in _SENTENCE.split(plain) if sentence.strip())


def _asks(sentence: str) -> bool:
    if _REPORTED.search(sentence):
        return False
    flat = " ".join(sentence.split())
    if any(form.search(flat) for form in _ENGLISH_ASKS):
        return True
    thai = _THAI_PEOPLE.sub("", flat)
    return any(form.search(thai) for form in _THAI_ASKED)
