"""Rows of made-up datasets."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tiny_model import WORDS

from twin_pipelines.generation.prompt import chat_messages

SYSTEM = "reply as mali would in this chat"


def made_session(name: str, replies: list[str], seed: int = 0, context: int = 4) -> list[dict]:
    """Rows of one session, in which every reply's context holds the earlier ones."""
    dice = random.Random(f"{seed}/{name}")
    history: list[dict[str, str]] = []
    rows = []
    for number, reply in enumerate(replies):
        said = " ".join(dice.choices(WORDS.split(), k=dice.randint(2, 7)))
        rows.append(
            {
                "pair_id": f"{name}-{number}",
                "prompt": chat_messages(SYSTEM, history[-context:], said),
                "completion": [{"role": "assistant", "content": reply}],
                "partner": "p1",
                "session_id": name,
                "replied_at": f"2018-05-01T12:{number:02}:00+00:00",
                "quality": 5.0,
            }
        )
        history += [{"role": "user", "content": said}, {"role": "assistant", "content": reply}]
    return rows


def write_rows(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
