"""The forms a dream can take without a language model, in English and Thai: data, no code.

Each joins the phrases of two memories, in the first person: the subject dreams. `{a}` and `{b}`
stand for them. A Thai form serves also where one of the two phrases is English, as people who mix
the languages do.
"""

from __future__ import annotations

from dataclasses import dataclass

from twin_pipelines.memory.dreams.phrases import Role

KINDS = ("hope", "wish", "fear", "vision", "gratitude", "question", "plan")


@dataclass(frozen=True)
class Form:
    """One form: the kind of dream, the parts it joins, and how it is put."""

    kind: str
    a: Role
    b: Role
    english: str
    thai: str


FORMS: tuple[Form, ...] = (
    Form(
        "hope",
        "goal",
        "love",
        "I hope to {a} one day, and to still have {b} in my life by then.",
        "หวังว่าสักวันจะได้{a} และวันนั้นยังมี{b}อยู่ในชีวิต",
    ),
    Form(
        "hope",
        "goal",
        "kin",
        "I hope to {a} one day, and that {b} will hear of it first.",
        "หวังว่าสักวันจะได้{a} แล้ว{b}จะเป็นคนแรกที่รู้",
    ),
    Form(
        "wish",
        "love",
        "place",
        "I wish there was more room for {a} in {b}.",
        "อยากให้มี{a}มากกว่านี้ที่{b}",
    ),
    Form(
        "wish",
        "kin",
        "love",
        "I wish {a} and I had a whole day for {b}.",
        "อยากมีสักวันที่ได้อยู่กับ{a} มีแต่{b}ทั้งวัน",
    ),
    Form(
        "wish",
        "love",
        "love",
        "I wish for a day with nothing in it but {a} and {b}.",
        "อยากมีสักวันที่มีแค่{a}กับ{b}",
    ),
    Form(
        "fear",
        "dread",
        "goal",
        "Sometimes I am afraid that {a} will stand between me and the day I {b}.",
        "บางทีก็กลัวว่า{a}จะมาขวางวันที่ได้{b}",
    ),
    Form(
        "fear",
        "dread",
        "place",
        "I imagine {b} with nothing left in it but {a}, and it scares me.",
        "ลองนึกว่า{b}เหลือแต่{a} แล้วก็กลัวขึ้นมา",
    ),
    Form(
        "vision",
        "craft",
        "love",
        "I see a day when {a} and {b} have become one and the same thing for me.",
        "มองเห็นวันที่{a}กับ{b}กลายเป็นเรื่องเดียวกัน",
    ),
    Form(
        "vision",
        "goal",
        "place",
        "I see myself back in {b}, long after I set out to {a}.",
        "เห็นภาพตัวเองกลับมาที่{b} หลังจากได้{a}แล้วนานมาก",
    ),
    Form(
        "vision",
        "concept",
        "love",
        "I see a day when what I know of {a} makes {b} even better.",
        "มองเห็นวันที่ความรู้เรื่อง{a}ทำให้{b}ดียิ่งขึ้น",
    ),
    Form(
        "gratitude",
        "kin",
        "place",
        "I am grateful for {a}, and for everything {b} has been to me.",
        "ขอบคุณที่มี{a} และขอบคุณทุกอย่างที่{b}เคยให้มา",
    ),
    Form(
        "gratitude",
        "kin",
        "craft",
        "I am grateful for {a}, and that I can spend my days on {b}.",
        "ขอบคุณที่มี{a} และที่ได้ใช้เวลากับ{b}",
    ),
    Form(
        "question",
        "love",
        "dread",
        "Why do I love {a} and cannot stand {b}? I would like to understand that one day.",
        "ทำไมถึงชอบ{a}แต่ทน{b}ไม่ได้นะ สักวันอยากเข้าใจ",
    ),
    Form(
        "question",
        "craft",
        "love",
        "Could {a} teach me something about {b}?",
        "{a}จะสอนอะไรเกี่ยวกับ{b}ได้บ้างไหมนะ",
    ),
    Form(
        "question",
        "concept",
        "concept",
        "What do {a} and {b} have to do with each other?",
        "{a}กับ{b}เกี่ยวกันยังไงนะ",
    ),
    Form(
        "plan",
        "goal",
        "craft",
        "A plan: see {b} through, then {a}.",
        "แผนคือทำเรื่อง{b}ให้จบก่อน แล้วค่อย{a}",
    ),
    Form(
        "plan",
        "goal",
        "love",
        "A plan: {a}, and keep an evening a week for {b} on the way.",
        "แผนคือ{a} แล้วเก็บไว้อาทิตย์ละเย็นให้{b}",
    ),
)
