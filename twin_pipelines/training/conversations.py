"""Dataset rows become token sequences with labels on the subject's replies, and those batches.

Neighbouring pairs of a session share most of their context: the second one's holds the first one's
message and reply. Read one by one, that context is computed again for every pair and nine tokens in
ten carry no label. So a pair that continues the previous one is appended to its sequence, as long
as `max_tokens` allows: every reply is learnt once, from at least the context its row gives, and
three to four times as many replies are learnt in the same time.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twin_pipelines.generation.forward import LENGTH_STEP
from twin_pipelines.generation.prompt import (
    Message,
    fit,
    reply_text,
    reply_tokens,
    template_text,
    tokenize,
)
from twin_pipelines.settings import TwinError

IGNORED = -100
MEGABATCH = 32  # batches that are sorted by length together


@dataclass
class Example:
    """One sequence. `labels` repeats the ids of reply tokens and is IGNORED elsewhere."""

    input_ids: list[int]
    labels: list[int]
    pairs: int = 1  # replies that are labelled

    @property
    def targets(self) -> int:
        return sum(label != IGNORED for label in self.labels)


@dataclass
class Examples:
    """The sequences of a split, and how many of its pairs were too long to use."""

    rows: list[Example] = field(default_factory=list)
    too_long: int = 0

    @property
    def pairs(self) -> int:
        return sum(row.pairs for row in self.rows)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a dataset file. Raises TwinError when it is missing, empty or broken."""
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        for row in rows:
            if row["prompt"][-1]["role"] != "user" or len(row["completion"]) != 1:
                raise ValueError("a prompt must end with the user, a completion be one message")
    except FileNotFoundError as error:
        raise TwinError(
            f"The dataset file {path} does not exist; materialise instruct_dataset again."
        ) from error
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise TwinError(
            f"The dataset file {path} is damaged ({error!r}); materialise instruct_dataset again."
        ) from error
    if not rows:
        raise TwinError(f"The dataset file {path} holds no pairs; import more conversations.")
    return rows


def make_examples(rows: Sequence[dict[str, Any]], tokenizer: Any, max_tokens: int) -> Examples:
    """Rows as sequences of at most `max_tokens` tokens, pairs of a session joined."""
    made = Examples()
    for session in _sessions(rows):
        open_sequence: _Sequence | None = None
        for row in session:
            if open_sequence and open_sequence.extend(row, max_tokens):
                continue
            started = _Sequence.start(row, tokenizer, max_tokens)
            if started is None:
                made.too_long += 1
                continue
            open_sequence = started
            made.rows.append(started.example)
    return made


def batches(lengths: Sequence[int], batch_size: int, count: int, seed: int) -> Iterator[list[int]]:
    """`count` batches of row numbers, each of rows of similar length (`batch_size` ≤ rows).

    Every epoch deals all rows anew in an order that only `seed` and the epoch decide; rows left
    over when an epoch does not divide by `batch_size` come first in the next.
    """
    left_over: list[int] = []
    epoch, made = 0, 0
    while made < count:
        dice = random.Random(f"{seed}/{epoch}")
        fresh = list(range(len(lengths)))
        dice.shuffle(fresh)
        order = left_over + fresh
        whole = len(order) // batch_size * batch_size
        left_over = order[whole:]
        dealt = []
        for start in range(0, whole, batch_size * MEGABATCH):
            part = order[start : min(start + batch_size * MEGABATCH, whole)]
            part.sort(key=lambda row: (lengths[row], row))
            dealt += [part[at : at + batch_size] for at in range(0, len(part), batch_size)]
        dice.shuffle(dealt)
        for batch in dealt[: count - made]:
            yield batch
            made += 1
        epoch += 1


def pack(rows: Sequence[Mapping[str, list[int]]], filler: int) -> dict[str, list[int]]:
    """Rows (`input_ids`, `labels`) one after the other, filled up to a multiple of LENGTH_STEP.

    `position_ids` begin at 0 with each row, and are 0 at every `filler`, so that it sees itself
    alone; `attention_mask` is 0 there. Rows begin with a token that carries no label, or the end of
    one would be asked for the beginning of the next.
    """
    packed: dict[str, list[int]] = {
        name: [] for name in ("input_ids", "labels", "position_ids", "attention_mask")
    }
    for row in rows:
        packed["input_ids"] += row["input_ids"]
        packed["labels"] += [IGNORED, *row["labels"][1:]]
        packed["position_ids"] += range(len(row["input_ids"]))
        packed["attention_mask"] += [1] * len(row["input_ids"])
    empty = -len(packed["input_ids"]) % LENGTH_STEP
    fillers = {"input_ids": filler, "labels": IGNORED, "position_ids": 0, "attention_mask": 0}
    for name, value in fillers.items():
        packed[name] += [value] * empty
    return packed


def pad(rows: Sequence[Mapping[str, list[int]]], filler: int) -> dict[str, list[list[int]]]:
    """Rows side by side, filled up to the longest's next multiple of LENGTH_STEP."""
    longest = max(len(row["input_ids"]) for row in rows)
    width = -(-longest // LENGTH_STEP) * LENGTH_STEP
    padded: dict[str, list[list[int]]] = {"input_ids": [], "labels": [], "attention_mask": []}
    for row in rows:
        known = len(row["input_ids"])
        empty = width - known
        padded["input_ids"].append([*row["input_ids"], *[filler] * empty])
        padded["labels"].append([*row["labels"], *[IGNORED] * empty])
        padded["attention_mask"].append([1] * known + [0] * empty)
    return padded


@dataclass
class _Sequence:
    """A sequence that may still grow."""

    tokenizer: Any
    messages: list[Message]
    text: str
    example: Example

    @classmethod
    def start(cls, row: dict[str, Any], tokenizer: Any, max_tokens: int) -> _Sequence | None:
        """A sequence of one pair, its context cut; None when prompt and reply do not fit."""
        prompt, reply = row["prompt"], row["completion"][0]
        answer = reply_tokens(tokenizer, reply["content"])
        kept, ids = fit(tokenizer, prompt, max_tokens - len(answer))
        if len(ids) + len(answer) > max_tokens:
            return None
        example = Example(ids + answer, [IGNORED] * len(ids) + answer)
        text = _closed(tokenizer, template_text(tokenizer, kept), reply)
        return cls(tokenizer, [*kept, reply], text, example)

    def extend(self, row: dict[str, Any], max_tokens: int) -> bool:
        """Append a pair that continues this sequence; False when it does not, or does not fit."""
        prompt, reply = row["prompt"], row["completion"][0]
        fresh = _continuation(self.messages, prompt)
        if not fresh:
            return False
        messages = [*self.messages, *fresh]
        text = template_text(self.tokenizer, messages)
        if not text.startswith(self.text):
            return False
        asked = tokenize(self.tokenizer, text[len(self.text) :])
        answer = reply_tokens(self.tokenizer, reply["content"])
        if len(self.example.input_ids) + len(asked) + len(answer) > max_tokens:
            return False
        self.example.input_ids += asked + answer
        self.example.labels += [IGNORED] * len(asked) + answer
        self.example.pairs += 1
        self.messages = [*messages, reply]
        self.text = _closed(self.tokenizer, text, reply)
        return True


def _sessions(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Rows by session, in the order of time."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["replied_at"]):
        found.setdefault(row["session_id"], []).append(row)
    return list(found.values())


def _continuation(messages: Sequence[Message], prompt: Sequence[Message]) -> list[Message]:
    """What `prompt` says after the end of `messages`; nothing when it does not follow on.

    It follows on when the last messages known, ending with a reply, are how its context begins.
    """
    system, turns = _split_system(prompt)
    known_system, known = _split_system(messages)
    if system != known_system:
        return []
    for overlap in range(min(len(known), len(turns) - 1), 0, -1):
        if known[-overlap:] == turns[:overlap]:
            return turns[overlap:]
    return []


def _split_system(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    system = [message for message in messages if message["role"] == "system"]
    return system, [message for message in messages if message["role"] != "system"]


def _closed(tokenizer: Any, text: str, reply: Message) -> str:
    """The rendered text with the reply and the end of the turn after it."""
    return text + reply_text(tokenizer, reply["content"])
