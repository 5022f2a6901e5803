"""How a procedure is put into words, in English and in Thai: data, and the sentences made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """The words of one language: situations, titles, moves, and how they are joined."""

    when: Mapping[str, str]
    title: Mapping[str, str]
    moves: Mapping[str, str]
    counted: str
    answers: str
    does: str
    codes: str
    then: str

    def step(self, move: str, cases: int, whole: int, elsewhere: float) -> str:
        """A move with how often it is made: `cases` of `whole` times, elsewhere that share."""
        counts = self.counted.format(cases=cases, whole=whole, elsewhere=round(100 * elsewhere))
        return f"{self.moves[move]} {counts}"

    def content(self, situation: str, name: str, steps: Sequence[str], example: str) -> str:
        """What the subject does when the partner makes a situation, with an example."""
        joined = self.then.join(steps)
        return self.answers.format(
            when=self.when[situation], name=name, steps=joined, example=example
        )

    def told(self, name: str, steps: Sequence[str]) -> str:
        """What the subject told step by step."""
        return self.does.format(name=name, steps=self.then.join(steps))

    def coding(self, name: str, habits: Sequence[str]) -> str:
        """What the subject says they do when they write code."""
        return self.codes.format(name=name, steps="; ".join(habits))


ENGLISH = Wording(
    when={
        "conflict": "somebody reproaches or contradicts them",
        "sad news": "somebody tells something sad",
        "good news": "somebody tells something good",
        "affection": "somebody shows affection",
        "farewell": "somebody takes leave",
        "greeting": "somebody greets",
        "code": "it is about code",
        "request": "somebody asks for something",
        "question": "somebody asks a question",
        "thanks": "somebody thanks them",
        "apology": "somebody apologises",
        "compliment": "somebody pays a compliment",
        "joke": "somebody jokes or laughs",
        "assent": "somebody agrees",
    },
    title={
        "conflict": "Settling a quarrel",
        "sad news": "Comforting",
        "good news": "Sharing joy",
        "affection": "Showing affection",
        "farewell": "Parting",
        "greeting": "Greeting",
        "code": "Writing code",
        "request": "Helping",
        "question": "Answering",
        "thanks": "Being thanked",
        "apology": "Forgiving",
        "compliment": "Being praised",
        "joke": "Joking",
        "assent": "Going on",
    },
    moves={
        "sympathise": "sympathise",
        "congratulate": "congratulate",
        "reassure": "reassure",
        "encourage": "encourage",
        "show affection": "show affection",
        "apologise": "apologise",
        "thank": "say thanks",
        "take leave": "take leave",
        "greet": "greet",
        "offer help": "offer help",
        "advise": "give advice",
        "praise": "praise",
        "disagree": "disagree",
        "agree": "agree",
        "laugh": "laugh",
        "tell of themselves": "tell of themselves",
        "ask back": "ask back",
    },
    counted="({cases} of {whole} times, elsewhere {elsewhere} %)",
    answers="When {when}, {name} tends to: {steps}. As in: “{example}”",
    does="{name} does it like this: {steps}.",
    codes="When writing code, {name}: {steps}.",
    then=", then ",
)
THAI = Wording(
    when={
        "conflict": "มีคนตำหนิหรือไม่เห็นด้วย",
        "sad news": "มีคนเล่าเรื่องเศร้า",
        "good news": "มีคนเล่าเรื่องดีๆ",
        "affection": "มีคนแสดงความรัก",
        "farewell": "มีคนบอกลา",
        "greeting": "มีคนทักทาย",
        "code": "คุยเรื่องโค้ด",
        "request": "มีคนขออะไรบางอย่าง",
        "question": "มีคนถามคำถาม",
        "thanks": "มีคนขอบคุณ",
        "apology": "มีคนขอโทษ",
        "compliment": "มีคนชม",
        "joke": "มีคนพูดเล่นหรือหัวเราะ",
        "assent": "มีคนเห็นด้วย",
    },
    title={
        "conflict": "การคลี่คลายความขัดแย้ง",
        "sad news": "การปลอบใจ",
        "good news": "การร่วมยินดี",
        "affection": "การแสดงความรัก",
        "farewell": "การบอกลา",
        "greeting": "การทักทาย",
        "code": "การเขียนโค้ด",
        "request": "การช่วยเหลือ",
        "question": "การตอบคำถาม",
        "thanks": "การรับคำขอบคุณ",
        "apology": "การให้อภัย",
        "compliment": "การรับคำชม",
        "joke": "การพูดเล่น",
        "assent": "การคุยต่อ",
    },
    moves={
        "sympathise": "แสดงความเห็นใจ",
        "congratulate": "แสดงความยินดี",
        "reassure": "บอกว่าไม่เป็นไร",
        "encourage": "ให้กำลังใจ",
        "show affection": "แสดงความรัก",
        "apologise": "ขอโทษ",
        "thank": "ขอบคุณ",
        "take leave": "บอกลา",
        "greet": "ทักทาย",
        "offer help": "เสนอตัวช่วย",
        "advise": "ให้คำแนะนำ",
        "praise": "ชม",
        "disagree": "แย้ง",
        "agree": "เห็นด้วย",
        "laugh": "หัวเราะ",
        "tell of themselves": "เล่าเรื่องของตัวเอง",
        "ask back": "ถามกลับ",
    },
    counted="({cases} จาก {whole} ครั้ง ปกติ {elsewhere} %)",
    answers="เมื่อ{when} {name} มักจะ: {steps} เช่น “{example}”",
    does="{name} ทำแบบนี้: {steps}",
    codes="เวลาเขียนโค้ด {name}: {steps}",
    then=" แล้วก็ ",
)
