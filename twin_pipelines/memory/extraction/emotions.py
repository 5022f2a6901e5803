"""Emotional moments: sentences in which somebody says, in earnest and strongly, what they feel.

English sentences count when they begin, after fillers, with the speaker feeling it ("I'm so
happy", "that made me cry"); Thai ones, whose subject is mostly left out, when they hold the
feeling and nobody else stands before it. Questions, hypotheses, quotations and denials ("not
happy") are left out, and so is a feeling that is named but not strong.

Intensity is 1 − 2^−s: s is 0.5 for naming a feeling, 1.5 for words that are strong by themselves
("heartbroken", "ร้องไห้"), and 1 more for each of: a word of degree ("so", "มากๆ"), exclamation, an
emoji of the feeling, capitals or a drawn-out word. `STRONG` is the least of a moment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from twin_pipelines.persona.statements.patterns import ASIDE, QUESTION, UNSURE

STRONG = 0.6
MOST_WORDS = 40


@dataclass(frozen=True)
class Feeling:
    """An emotion somebody tells of themselves: `cue` are the words that say so."""

    emotion: str
    intensity: float
    cue: str


@dataclass(frozen=True)
class _Words:
    """The ways to say one feeling. `felt` follow "I am"; `said` begin a sentence themselves."""

    felt: str = ""
    felt_strongly: str = ""
    said: str = ""
    said_strongly: str = ""
    thai: str = ""
    thai_strong: str = ""
    emoji: str = ""

    @property
    def openings(self) -> list[str]:
        return [form for form in (self.said, self.said_strongly) if form]


_LEXICON: dict[str, _Words] = {
    "joy": _Words(
        felt="happy|overjoyed|delighted|blessed",
        felt_strongly="ecstatic|thrilled|elated|over the moon|on cloud nine",
        said_strongly=r"(?:it|this|that) (?:is|was) the (?:best|happiest) (?:day|moment) (?:of my "
        r"life|ever)|i cried happy tears",
        thai="ดีใจ|มีความสุข|สุขใจ|ฟิน(?=มาก|สุด)",
        thai_strong="ดีใจจน|ปลื้มใจ|ปลาบปลื้ม",
        emoji="😊😁😄🥳😍🎉🥰😭",
    ),
    "excitement": _Words(
        felt="excited|psyched",
        felt_strongly="pumped|stoked|hyped",
        said="i (?:just )?cant wait",
        thai="ตื่นเต้น|อดใจรอ",
        thai_strong="รอไม่ไหว",
        emoji="🤩🎉🥳😍😆",
    ),
    "love": _Words(
        felt="in love",
        felt_strongly="madly in love|head over heels",
        said="i (?:really |truly |do )*(?:love|adore) (?:you|u)\\b|"
        "i fell in love with (?:him|her|you)",
        thai="(?:หลง|(?<!ที่))รัก(?:ที่รัก|เธอ|คุณ|พี่|มาก|ที่สุด|นะ)",
        emoji="❤💕💖💜💗💙🥰😘",
    ),
    "gratitude": _Words(
        felt="grateful|thankful",
        said_strongly="thank you from the bottom of my heart|i cant thank you enough",
        thai="ขอบคุณจากใจ|ขอบคุณ(?:ที่รัก|ที่อยู่|ที่เข้าใจ|ที่ดูแล)",
        thai_strong="ซาบซึ้ง|ขอบพระคุณ|ตื้นตัน",
        emoji="🙏💜❤🥹",
    ),
    "pride": _Words(felt="proud", thai="ภูมิใจ", emoji="💪🏆🥹"),
    "relief": _Words(
        felt="relieved", said="what a relief", thai="โล่งใจ|โล่งอก|สบายใจขึ้น", emoji="😌😮"
    ),
    "surprise": _Words(
        felt="surprised|amazed",
        felt_strongly="shocked|stunned|speechless|blown away|in shock",
        thai="ตกใจ|แปลกใจ|ไม่อยากเชื่อ",
        thai_strong="ช็อก|ช็อค|อึ้ง",
        emoji="😱😲🤯😳",
    ),
    "longing": _Words(
        felt_strongly="homesick",
        said=r"i (?:really |already |still |do |just )*miss (?!(?:it|that|this|out|those|them|the "
        r"(?:bus|train|class|exit|game|deadline))\b)\w+",
        thai="คิดถึง",
        emoji="🥺😢❤💜",
    ),
    "sadness": _Words(
        felt="sad|depressed|disappointed|upset",
        felt_strongly="heartbroken|devastated|crushed|miserable|in tears",
        said_strongly=r"i (?:\w+ )?(?:cried|was crying|sobbed|burst into tears|bawled)\b"
        r"|(?:it|that|this|which) (?:broke my heart|made me cry)"
        r"|(?:it|this|that) (?:is|was) the worst day (?:of my life|ever)",
        thai="เสียใจ|เศร้า|ผิดหวัง|น้อยใจ",
        thai_strong="ร้องไห้|น้ำตา(?:ไหล|ซึม|คลอ)|ใจสลาย",
        emoji="😭😢😞💔🥺",
    ),
    "loneliness": _Words(
        felt="lonely|all alone", thai="เหงา|โดดเดี่ยว", thai_strong="อ้างว้าง", emoji="😔😢🥺"
    ),
    "fear": _Words(
        felt="scared|afraid|nervous|anxious|worried",
        felt_strongly="terrified|petrified|panicking|freaking out",
        thai="กลัว|กังวล|เป็นห่วง",
        thai_strong="หวาดกลัว|ผวา",
        emoji="😨😰😱🥺",
    ),
    "stress": _Words(
        felt="stressed(?: out)?|overwhelmed|burnt out|burned out",
        thai="เครียด|เหนื่อยใจ|ท้อ",
        emoji="😫😩😵",
    ),
    "anger": _Words(
        felt="mad|angry|annoyed|frustrated|irritated|pissed(?: off)?",
        felt_strongly="furious|livid|enraged",
        said_strongly=r"(?:it|that|this) (?:really )?(?:pisses me off|"
        r"drives me (?:crazy|nuts|insane))",
        thai="โกรธ|โมโห|หงุดหงิด|รำคาญ",
        thai_strong="เดือดดาล",
        emoji="😡😠🤬",
    ),
    "shame": _Words(
        felt="embarrassed|ashamed|guilty",
        felt_strongly="mortified|humiliated",
        thai="อาย(?=มาก|จัง|สุด)|ละอาย|รู้สึกผิด",
        emoji="😳🙈😞",
    ),
}
EMOTIONS = tuple(_LEXICON)

_DEGREE = (
    r"(?:so+|very+|really+|super|extremely|incredibly|absolutely|deeply|terribly|totally|truly|"
    r"such|too|completely|genuinely|freaking|literally|insanely|beyond)"
)
_FIRST = (
    r"^(?:i (?:am|was|feel|felt|got|get)|im|ive been|i have been|"
    r"(?:it|that|this|which|he|she|they) (?:makes?|made) me(?: feel)?) "
    r"(?:just |also |still |honestly |actually |feeling |getting |kind of |kinda )*"
)
_THAI_DEGREE = re.compile(r"มาก|ม้าก|ที่สุด|สุดๆ|สุด ๆ|จัง|เหลือเกิน|จริงๆ|จริง ๆ|โคตร|เลย$")
_THAI_DENIED = r"(?<!ไม่)(?<!ไม่ได้)(?<!ไม่ต้อง)(?<!อย่า)(?<!ไม่เคย)(?<!ไม่ค่อย)(?<!หาย)(?<!เลิก)"
_THAI_OTHERS = (
    r"(?<!เธอ)(?<!คุณ)(?<!เขา)(?<!ใคร)(?<!น่า)(?<!ให้)(?<!คนที่)(?<!คน)(?<!มัน)(?<!ความ)(?<!แฟน)"
)
_THAI = re.compile(r"[\u0e00-\u0e7f]")
_LONG = re.compile(r"([^\W\d_])\1{2,}")
_CAPITALS = re.compile(r"\b(?!LOL|LMAO|OMG|BYU|USA)[A-Z]{3,}\b")
_FINAL_DEGREE = re.compile(
    r"\b(?:so much|a lot|to death|like crazy|more than anything|out of my mind)\b"
)
_SPOILT = re.compile(
    r"^(?:i am|im|i was|i feel) (?:\w+ ){0,3}(?:happy|glad) to (?:help|hear|chat|meet|talk|see)\b"
    r"|^(?:i am|im|i was) (?:\w+ ){0,3}(?:happy|glad) (?:with|about|for) (?:it|that|this)\b"
    r"|^(?:i am|im|i was) (?:\w+ ){0,3}happy for\b|^i (?:\w+ )?cried\b.*\bhappy\b"
    r"|\b(?:with|about|by|at|for|to|of) (?:that|it|this|them)$"
    r"|\bfor a (?:second|sec|minute|moment)\b"
    r"|\bi miss(?:ed)? (?:your?|u) (?:message|text|question|name|last)"
)


_ENGLISH_FORMS = [
    (
        emotion,
        re.compile(
            rf"{_FIRST}(?P<degree>(?:{_DEGREE} )*)(?:(?P<strong>{words.felt_strongly or '(?!)'})"
            rf"|(?:{words.felt or '(?!)'}))\b"
        ),
        re.compile(rf"^(?:(?P<strong>{words.said_strongly or '(?!)'})|(?:{words.said or '(?!)'}))"),
    )
    for emotion, words in _LEXICON.items()
]
_FIRST_OR_SAID = re.compile(
    "|".join([_FIRST, *(f"^(?:{said})" for words in _LEXICON.values() for said in words.openings)])
)
_THAI_FORMS = [
    (
        emotion,
        re.compile(
            rf"{_THAI_DENIED}{_THAI_OTHERS}(?:(?P<strong>{words.thai_strong or '(?!)'})"
            rf"|(?:{words.thai or '(?!)'}))"
        ),
    )
    for emotion, words in _LEXICON.items()
]


def feeling_of(sentence: str, bare: str) -> Feeling | None:
    """The strong feeling a sentence tells of its speaker; None when it tells none.

    `bare` is the sentence through `normal_text` and without fillers (`StatementFinder.bare`).
    """
    thai = _THAI.search(bare) is not None
    told = (_told_in_thai(bare) if thai else None) or _told_in_english(bare)
    if told is None or len(bare.split()) > MOST_WORDS:
        return None
    if QUESTION.search(sentence) or ASIDE.search(sentence) or UNSURE.search(bare):
        return None
    emotion, cue, strong, degree = told
    marks = (
        degree,
        "!" in sentence,
        any(sign in sentence for sign in _LEXICON[emotion].emoji),
        bool(_CAPITALS.search(sentence) or _LONG.search(sentence)),
    )
    intensity = round(1 - 2 ** -((1.5 if strong else 0.5) + sum(marks)), 3)
    return Feeling(emotion, intensity, cue) if intensity >= STRONG else None


def _told_in_english(bare: str) -> tuple[str, str, bool, bool] | None:
    if not _FIRST_OR_SAID.match(bare) or _SPOILT.search(bare):
        return None
    final = _FINAL_DEGREE.search(bare) is not None
    for emotion, felt, said in _ENGLISH_FORMS:
        if match := felt.match(bare):
            return (
                emotion,
                match.group(),
                match["strong"] is not None,
                bool(match["degree"]) or final,
            )
        if match := said.match(bare):
            return emotion, match.group(), match["strong"] is not None, final
    return None


def _told_in_thai(bare: str) -> tuple[str, str, bool, bool] | None:
    told = [
        (match.start(), emotion, match)
        for emotion, form in _THAI_FORMS
        if (match := form.search(bare))
    ]
    if not told:
        return None
    start, emotion, match = min(told, key=lambda one: one[0])
    degree = _THAI_DEGREE.search(bare[start:]) is not None
    return emotion, match.group(), match["strong"] is not None, degree
