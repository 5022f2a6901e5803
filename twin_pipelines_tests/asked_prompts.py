"""Fifty chats with memories, a summary and Thai, and how each room makes tokens of them."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

from tiny_model import WORDS

from twin_pipelines.generation.context import Context, build, standing
from twin_pipelines.generation.prompt import Message, reply_tokens
from twin_pipelines.generation.remembered import Kind, Remembered
from twin_pipelines.training.conversations import make_examples

PROMPTS = 50
ROOM = 960
SYSTEMS = ("You are mali. Reply as mali would in this chat.", "คุณคือมะลิ ตอบแบบที่มะลิจะตอบในแชตนี้")
THAI = ("เหนื่อย", "ไปทะเล", "กินข้าวหรือยังคะ", "พรุ่งนี้", "คิดถึงจัง")
ODD = ("haha 😀", "“so”", "line\nline", "<|im_end|>", "3.14", "don't")
REPLY = "haha lovely ครับ"
KINDS: tuple[Kind, ...] = ("pinned", "recalled", "imagined", "said")


def made_chat(number: int) -> list[Message]:
    """A chat of 1 to 20 turns in two languages, some of one role in a row, the user last."""
    dice = random.Random(number)
    roles = dice.choices(("user", "assistant"), k=dice.randint(0, 19))
    return [{"role": role, "content": _words(dice, 7)} for role in (*roles, "user")]


def made_recall(number: int) -> list[Remembered]:
    """Up to six memories of all kinds, and for every other chat the summary of its session."""
    dice = random.Random(f"recall {number}")
    first = date(2024, 1, 1) + timedelta(days=dice.randint(0, 600))
    memories = [
        Remembered(dice.choice(KINDS), _words(dice, 9), since=first, until=first, speaker=speaker)
        for speaker in dice.choices(("", "david"), k=dice.randint(0, 6))
    ]
    lines = [f"{who}: {_words(dice, 9)}" for who in ("them", "me", "them")]
    return [*([Remembered("session", "\n".join(lines))] if number % 2 else []), *memories]


def asked(tokenizer: Any, number: int) -> Context:
    """What the server asks a model with."""
    stands = standing(tokenizer, SYSTEMS[number % 2], "", [], 64)
    return build(tokenizer, stands, made_chat(number), ROOM, made_recall(number))


def taught(tokenizer: Any, messages: list[Message]) -> list[int]:
    """The tokens of the same messages as a row of a dataset, without the reply."""
    answer = [{"role": "assistant", "content": REPLY}]
    row = {"prompt": messages, "completion": answer, "session_id": "s", "replied_at": ""}
    reply = reply_tokens(tokenizer, REPLY)
    (example,) = make_examples([row], tokenizer, ROOM + len(reply)).rows
    assert example.input_ids[-len(reply) :] == reply
    return example.input_ids[: -len(reply)]


def _words(dice: random.Random, most: int) -> str:
    return " ".join(dice.choices([*WORDS.split(), *THAI * 3, *ODD], k=dice.randint(1, most)))
