"""The context builder: everything one answer is asked with, within a budget of tokens.

In this order: the system prompt the adapter was trained under, the core identity, what is pinned
and what is core; then, for one request, what was recalled, the summary of the session, and the
system messages of the request; last the turns. What stands for every request is made once
(`standing`), the rest by `build`. The same words and the same tokenizer give the same tokens.

Who gives way: the system prompt, the request's system messages and the last turn never do. Core and
pinned memories have tokens of their own. Of what is left, recalled memories may take
RECALLED_SHARE and the session's summary SESSION_SHARE; turns get the rest, the newest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, Literal

from twin_pipelines.generation.pieces import token_counts, token_ids
from twin_pipelines.generation.prompt import (
    Message,
    chat_messages,
    fit,
    template_text,
    without_special_tokens,
)
from twin_pipelines.generation.remembered import (
    NO_ROOM,
    Kind,
    LeftOut,
    Remembered,
    head,
    language_of,
    line_of,
    sort_out,
    told,
)
from twin_pipelines.retrieval.telling import Language, fitting, told_lines

RECALLED_SHARE = 0.5
SESSION_SHARE = 0.2
TOKEN_CHARS = 16  # more than a token has but for long runs of one sign
BEYOND = 16  # tokens by which a chat that is cut is longer than its room at first
_EXCHANGE: list[Message] = [
    {"role": role, "content": "a"} for role in ("user", "assistant", "user")
]
_BLOCKS: tuple[Kind, ...] = ("pinned", "core", "recalled", "imagined", "session", "said")

LineKind = Kind | Literal["prompt", "identity", "request", "turn"]


@dataclass(frozen=True)
class Line:
    """A line of the prompt, or a turn, as it stands there, and what it comes from.

    Heads of blocks and empty lines are no lines of their own, nor is a day above several lines:
    their text names it here, too.
    """

    text: str
    kind: LineKind
    memory_ids: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standing:
    """The part of a system prompt that is the same for every request."""

    text: str
    lines: tuple[Line, ...]
    language: Language
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Context:
    """What the model reads: `tokens` of rendered `messages`, the sources, and what is not there.

    `tokens` are more than the budget only when what never gives way is alone too long.
    """

    messages: list[Message]
    tokens: int
    lines: tuple[Line, ...]
    left_out: tuple[LeftOut, ...]


def standing(
    tokenizer: Any, prompt: str, identity: str, memories: Sequence[Remembered], memory_tokens: int
) -> Standing:
    """The system prompt, the core identity, and as many memories as `memory_tokens` have room for.

    `memories` are pinned and core ones, the most important first; pinned ones are told first, and
    one that does not fit is passed over. `prompt` and `identity` are the owner's and stand as they
    are.
    """
    language = language_of(prompt)
    lines = [*_lines(prompt, "prompt"), *_lines(identity, "identity")]
    ordered = sorted(memories, key=lambda memory: _BLOCKS.index(memory.kind))
    fresh, left_out = sort_out(ordered, [line.text for line in lines])
    parts = [part for part in (prompt, identity) if part]
    for _, block in groupby(fresh, key=lambda memory: memory.kind):
        taken: list[Remembered] = []
        for memory in block:
            text = _block([*taken, memory], language)
            if len(token_ids(tokenizer, text)) <= memory_tokens:
                taken.append(memory)
            else:
                left_out.append(LeftOut(memory, NO_ROOM))
        if taken:
            parts.append(_block(taken, language))
            memory_tokens -= len(token_ids(tokenizer, parts[-1]))
            lines += [_line(memory, language) for memory in taken]
    return Standing("\n\n".join(parts), tuple(lines), language, tuple(left_out))


def build(
    tokenizer: Any,
    stands: Standing,
    messages: Sequence[Message],
    max_tokens: int,
    recalled: Sequence[Remembered] = (),
) -> Context:
    """The context of one request, at most `max_tokens` long when rendered.

    `messages` are the request's, the partner's words last. `recalled` are memories, own turns and
    the session's summary, those that answer best first; what is chosen of them is told in the order
    of time, own turns in that of their rank. Suspicious and repeated ones are left out, and one
    that has no room is passed over. Raises ValueError without a turn.
    """
    request = [part["content"] for part in messages if part["role"] == "system" and part["content"]]
    turns = [part for part in messages if part["role"] != "system"]
    if not turns:
        raise ValueError("a context needs the words that are to be answered")
    turns = _newest(turns, max_tokens * TOKEN_CHARS)
    turns = chat_messages("", turns[:-1], turns[-1]["content"])
    asked = _Asked(tokenizer, stands, request, turns, max_tokens)
    chosen, left_out = _choose(asked, recalled) if recalled else ([], [])
    kept, ids = asked.fitted(chosen)
    if chosen and (least := len(ids)) > max_tokens:
        while chosen and least > max_tokens:
            left_out.append(LeftOut(chosen.pop(), NO_ROOM))
            least = asked.alone(chosen)
        kept, ids = asked.fitted(chosen)
    lines = [
        *stands.lines,
        *(_line(memory, stands.language) for memory in _in_order(chosen)),
        *(line for text in request for line in _lines(text, "request")),
        *(Line(turn["content"], "turn") for turn in kept if turn["role"] != "system"),
    ]
    return Context(kept, len(ids), tuple(lines), (*stands.left_out, *left_out))


@dataclass(frozen=True)
class _Asked:
    """A request on top of what stands; fits like `prompt.fit`, and quicker.

    To render a long chat once for every turn that goes is slow. The turns' own tokens tell where to
    begin, a little too long; were that too short after all, it begins earlier.
    """

    tokenizer: Any
    stands: Standing
    request: Sequence[str]
    turns: Sequence[Message]  # as a template takes them, roles alternating
    max_tokens: int

    def fitted(
        self, chosen: Sequence[Remembered], tokens: int | None = None
    ) -> tuple[list[Message], list[int]]:
        """Messages and token ids with these memories and as many turns as fit into `tokens`."""
        most = self.max_tokens if tokens is None else tokens
        system = self._system(chosen)
        if sum(len(turn["content"]) for turn in self.turns) <= most:
            return fit(self.tokenizer, [*system, *self.turns], most)
        alone, beyond = self.alone(chosen), BEYOND
        if alone > most:
            return fit(self.tokenizer, [*system, self.turns[-1]], most)
        while True:
            room: float = most + beyond - alone
            first = len(self.turns) - 1
            while first > 0 and room > 0:
                first -= 1
                room -= self._lengths[first]
            begun = [*system, *self.turns[first:]]
            kept, ids = fit(self.tokenizer, begun, most)
            if first == 0 or len(kept) < len(begun):
                return kept, ids
            beyond *= 4

    def alone(self, chosen: Sequence[Remembered]) -> int:
        """Tokens of what never gives way, with these memories."""
        messages = [*self._system(chosen), self.turns[-1]]
        return len(token_ids(self.tokenizer, template_text(self.tokenizer, messages)))

    def _system(self, chosen: Sequence[Remembered]) -> list[Message]:
        blocks = [
            _block(list(block), self.stands.language)
            for _, block in groupby(_in_order(chosen), key=lambda memory: memory.kind)
        ]
        parts = [part for part in (self.stands.text, *blocks, *self.request) if part]
        return [{"role": "system", "content": "\n\n".join(parts)}] if parts else []

    @cached_property
    def _lengths(self) -> list[float]:
        """About how many tokens each turn takes, with what the template writes around it."""
        one, three = (
            len(token_ids(self.tokenizer, template_text(self.tokenizer, _EXCHANGE[:turns])))
            for turns in (1, 3)
        )
        contents = [without_special_tokens(self.tokenizer, turn["content"]) for turn in self.turns]
        own = token_counts(self.tokenizer, [*contents, _EXCHANGE[0]["content"]])
        around = (three - one) / 2 - own[-1]
        return [tokens + around for tokens in own[:-1]]


def _choose(
    asked: _Asked, recalled: Sequence[Remembered]
) -> tuple[list[Remembered], list[LeftOut]]:
    """What is recalled and has room, the session's summary first, then the best; and the rest."""
    left = max(0, asked.max_tokens - asked.alone([]))
    for_session, for_others = int(left * SESSION_SHARE), int(left * RECALLED_SHARE)
    summary = [memory for memory in recalled if memory.kind == "session"]
    others = [memory for memory in recalled if memory.kind != "session"]
    taken = (for_session if summary else 0) + (for_others if others else 0)
    turns = asked.fitted([], tokens=asked.max_tokens - taken)[0]
    said = [line for turn in turns if turn["role"] != "system" for line in _said(turn)]
    stands = [line.text.removeprefix("- ") for line in asked.stands.lines]
    fresh, left_out = sort_out([*summary, *others], [*stands, *said])
    latest = [memory for memory in reversed(fresh) if memory.kind == "session"]
    best = [memory for memory in fresh if memory.kind != "session"]
    latest, no_room = _fitting(asked, latest, for_session)
    best, no_more_room = _fitting(asked, best, for_others)
    return [*reversed(latest), *best], [*left_out, *no_room, *no_more_room]


def _fitting(
    asked: _Asked, memories: Sequence[Remembered], room: int
) -> tuple[list[Remembered], list[LeftOut]]:
    """The memories that fit into so many tokens with the heads of their blocks, the first first."""
    language = asked.stands.language
    places = fitting(
        [line_of(memory, language) for memory in memories],
        room,
        lambda texts: token_counts(asked.tokenizer, texts),
        {memory.kind: head(memory.kind, language) for memory in memories},
    )
    taken = set(places)
    left_out = [memory for place, memory in enumerate(memories) if place not in taken]
    return [memories[place] for place in places], [LeftOut(one, NO_ROOM) for one in left_out]


def _said(turn: Message) -> list[str]:
    """A turn whole and, as several messages may have become one, line by line."""
    return [turn["content"], *turn["content"].splitlines()]


def _in_order(chosen: Sequence[Remembered]) -> list[Remembered]:
    """By block; memories in a block by their last day and their first, those without one first."""

    def place(memory: Remembered) -> tuple[int, int, int]:
        days = [day for day in (memory.until, memory.since) if day]
        dated = bool(days) and memory.kind in ("recalled", "imagined")
        last, first = (days[0].toordinal(), days[-1].toordinal()) if dated else (0, 0)
        return _BLOCKS.index(memory.kind), last, first

    return sorted(chosen, key=place)


def _block(memories: Sequence[Remembered], language: Language) -> str:
    """Memories of one kind under their head, a day that several share above them."""
    lines = told_lines([line_of(memory, language) for memory in memories])
    return "\n".join([head(memories[0].kind, language), *lines])


def _line(memory: Remembered, language: Language) -> Line:
    return Line(told(memory, language), memory.kind, memory.memory_ids, memory.message_ids)


def _lines(text: str, kind: LineKind) -> list[Line]:
    return [Line(line, kind) for line in text.split("\n") if line.strip()]


def _newest(turns: Sequence[Message], chars: int) -> list[Message]:
    """The last turns up to so many characters, and always the very last: fitting is slow."""
    kept: list[Message] = []
    for turn in reversed(turns):
        chars -= len(turn["content"]) + 1
        if kept and chars < 0:
            break
        kept.append(turn)
    return kept[::-1]
