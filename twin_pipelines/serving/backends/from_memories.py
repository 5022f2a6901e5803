"""The last link: no model at all, an honest answer made of what was recalled.

It says that it is not the twin's voice, and quotes what the history holds, with its days. What
reads like an instruction is left out, as it is of every prompt.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Literal

from twin_pipelines.generation.context import Line
from twin_pipelines.generation.remembered import Remembered, language_of, sort_out, told
from twin_pipelines.retrieval.telling import Language
from twin_pipelines.serving.backends.protocol import Asked, Signed, Word
from twin_pipelines.serving.engine import Reply

MODEL = "no-model"
MOST_LINES = 5
_WORDS: dict[Language, dict[Literal["some", "none"], str]] = {
    "en": {
        "some": "I cannot answer in my own words right now. What I remember about it:",
        "none": "I cannot answer in my own words right now, and no memory of it came to mind.",
    },
    "th": {
        "some": "ตอนนี้ฉันตอบด้วยคำของตัวเองไม่ได้ สิ่งที่ฉันจำได้เกี่ยวกับเรื่องนี้:",
        "none": "ตอนนี้ฉันตอบด้วยคำของตัวเองไม่ได้ และนึกอะไรเกี่ยวกับเรื่องนี้ไม่ออก",
    },
}


class FromMemories:
    """Always able, in Thai and English."""

    def __init__(self, deadline: float, name: str = "memories") -> None:
        self.name = name
        self.deadline = deadline

    def problem(self) -> str:
        """Nothing."""
        return ""

    def coming(self) -> bool:
        """Never."""
        return False

    def stirred(self) -> float:
        """Not known."""
        return 0.0

    async def speak(self, asked: Asked) -> AsyncGenerator[Word, None]:
        """The whole answer at once."""
        reply = honest_answer(asked.messages[-1]["content"], asked.recalled)
        yield Signed(self.name, MODEL)
        yield reply.text
        yield reply

    async def close(self) -> None:
        """Nothing to let go of."""


def honest_answer(question: str, recalled: Sequence[Remembered]) -> Reply:
    """What was recalled, quoted, in the language of the question. The same is always the same.

    The summary of the session is not repeated to whoever was there.
    """
    language = language_of(question)
    others = [memory for memory in recalled if memory.kind != "session"]
    kept, _ = sort_out(others, [question])
    kept = kept[:MOST_LINES]
    lines = [told(memory, language) for memory in kept]
    text = "\n".join([_WORDS[language]["some"], *lines]) if lines else _WORDS[language]["none"]
    sources = tuple(
        Line(line, memory.kind, memory.memory_ids, memory.message_ids)
        for line, memory in zip(lines, kept, strict=True)
    )
    return Reply(text, "stop", 0, 0, sources)
