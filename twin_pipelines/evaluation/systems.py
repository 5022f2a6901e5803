"""The systems that are compared, and what each of them said, remembered on disk.

Base: untuned. Prompted: the base with real train exchanges as examples. Twin: base and adapter.
Champion: the adapter that serves now. Questions are put in pieces; the answers to a piece are kept
under a hash of everything they depend on, so that a retraining, another evaluation or one that was
killed computes only what is new.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from twin_pipelines.evaluation.frozen import Exchange
from twin_pipelines.evaluation.workers import Job, Model, Workers
from twin_pipelines.foundation.fingerprints import hash_file, read_json, write_json
from twin_pipelines.generation.local import Score, choose_dtype
from twin_pipelines.generation.prompt import Message, fit, reply_tokens
from twin_pipelines.settings import TwinError

Report = Callable[[str], None]
EXAMPLES = 8
EXAMPLE_WORDS = (3, 20)  # of the message and of the reply
CACHE = 1  # raise it when generation or scoring changes: everything is then computed anew
SMALL_BATCH, LARGE_BATCH = 16, 32  # a long shared beginning is copied for every row
LONG_TOKENS = 256
PIECE, SCORED_PIECE = 32, 15  # conversations of one job
SEEDS = 1_000


class Written(NamedTuple):
    """A reply that a system wrote."""

    text: str
    tokens: int  # without the end of turn
    ended: bool  # by itself, within the tokens it was given


@dataclass(frozen=True)
class Sampling:
    """How replies are generated."""

    max_new_tokens: int
    temperature: float
    top_p: float
    seed: int


class System:
    """One model, with or without an adapter, whose answers are cached piece by piece."""

    def __init__(
        self,
        name: str,
        model: Model,
        workers: Workers,
        *,
        cache: Path,
        max_tokens: int,
        report: Report = print,
    ) -> None:
        self.name = name
        self.model = model
        self.max_tokens = max_tokens
        self.identity = [
            model.base.sha256,
            _adapter_hash(model.adapter),
            str(choose_dtype(model.dtype)),
        ]
        self._workers = workers
        self._cache = cache
        self._report = report

    def replies(
        self,
        conversations: Sequence[Sequence[Message]],
        sampling: Sampling,
        max_tokens: int | None = None,
    ) -> list[str]:
        """The texts of what `written` gives."""
        return [reply.text for reply in self.written(conversations, sampling, max_tokens)]

    def written(
        self,
        conversations: Sequence[Sequence[Message]],
        sampling: Sampling,
        max_tokens: int | None = None,
    ) -> list[Written]:
        """One sampled reply to each conversation, cut to `max_tokens` (default: the system's)."""
        room = max_tokens or self.max_tokens
        pieces = _pieces(conversations, PIECE)
        questions = [
            {
                "conversations": [conversations[place] for place in piece],
                **vars(sampling),
                "seed": sampling.seed * SEEDS + number,
                "max_tokens": room,
                "batch_size": LARGE_BATCH if room <= LONG_TOKENS else SMALL_BATCH,
            }
            for number, piece in enumerate(pieces)
        ]
        answers = self._answers("written", pieces, questions, "replies written")
        return [Written(*answer) for answer in answers]

    def timings(
        self,
        conversations: Sequence[Sequence[Message]],
        sampling: Sampling,
        among: Sequence[System] = (),
    ) -> list[tuple[float, int]]:
        """Seconds and tokens (end of turn included) of each reply, one conversation at a time.

        Kept like every answer, for as long as it is compared `among` the same systems: who is
        compared with another is timed when the other is.
        """
        question = {
            "conversations": list(conversations),
            **vars(sampling),
            "max_tokens": self.max_tokens,
        }
        kept_for = [system.identity for system in among]
        piece = list(range(len(conversations)))
        timed = self._answers("timed", [piece], [question], "replies timed", kept_for)
        return [(seconds, tokens) for seconds, tokens in timed]

    def greedy(self, conversations: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        """The likeliest continuation of each conversation, token by token."""
        return self.replies(conversations, Sampling(max_new_tokens, 0.0, 1.0, 0))

    def scores(
        self,
        conversations: Sequence[Sequence[Message]],
        candidates: Sequence[Sequence[str | tuple[int, ...]]],
        what: str,
        max_tokens: int | None = None,
    ) -> list[list[Score]]:
        """How likely each candidate (a reply, or its first token ids) is after its conversation.

        `what` names them in the log; conversations are cut to `max_tokens` (default: the system's).
        """
        pieces = _pieces(conversations, SCORED_PIECE)
        questions = [
            {
                "conversations": [conversations[place] for place in piece],
                "candidates": [candidates[place] for place in piece],
                "max_tokens": max_tokens or self.max_tokens,
            }
            for piece in pieces
        ]
        answers = self._answers("scores", pieces, questions, f"{what} scored")
        return [[Score(*score) for score in group] for group in answers]

    def tokens(self, replies: Sequence[str]) -> list[tuple[int, ...]]:
        """Token ids of replies, the end of turn included."""
        return [tuple(reply_tokens(self.tokenizer, reply)) for reply in replies]

    def cut(self, conversation: Sequence[Message]) -> list[Message]:
        """The conversation without the oldest turns that do not fit, as the system reads it."""
        return fit(self.tokenizer, conversation, self.max_tokens)[0]

    @cached_property
    def tokenizer(self) -> Any:
        """The adapter's tokenizer, or the base's. Raises TwinError where there is none."""
        from transformers import AutoTokenizer

        folder = self.model.adapter or self.model.base.path
        try:
            return AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError) as error:
            raise TwinError(
                f"No usable tokenizer in {folder} ({error}); resolve or train the model again."
            ) from error

    def _answers(
        self,
        kind: Literal["written", "timed", "scores"],
        pieces: Sequence[Sequence[int]],
        questions: Sequence[dict[str, Any]],
        what: str,
        kept_for: Sequence[Any] = (),
    ) -> list[Any]:
        """Answers in the order of the conversations; those that are kept are not asked for."""
        total = sum(map(len, pieces))
        answers: list[Any] = [None] * total
        done = 0
        missing = []
        for piece, question in zip(pieces, questions, strict=True):
            path = self._kept(kind, {**question, "for": kept_for} if kept_for else question)
            kept = read_json(path)
            if "answers" not in kept:
                missing.append((piece, question, path))
                continue
            path.touch()
            done += _fill(answers, piece, kept["answers"])
        jobs = [Job(kind, self.model, question) for _, question, _ in missing]
        for number, found in self._workers.run(jobs):
            piece, _, path = missing[number]
            write_json(path, {"system": self.name, "kind": kind, "answers": found})
            done += _fill(answers, piece, found)
            self._report(f"{self.name}: {done} of {total} {what}")
        return answers

    def _kept(self, kind: str, question: dict[str, Any]) -> Path:
        content = json.dumps([CACHE, self.identity, kind, question])
        return self._cache / f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.json"


def examples(train: Sequence[Exchange], number: int = EXAMPLES) -> list[Message]:
    """Real train exchanges as chat messages, for the prompted base.

    Messages and replies of a middling length, one exchange of a session, chosen by a hash so that
    they stay the same while the train split does.
    """
    low, high = EXAMPLE_WORDS
    ranked = sorted(
        (
            exchange
            for exchange in train
            if all(low <= len(said.split()) <= high for said in (exchange.input, exchange.reply))
        ),
        key=lambda exchange: hashlib.sha256(exchange.pair_id.encode()).hexdigest(),
    )
    by_session = {exchange.session_id: exchange for exchange in reversed(ranked)}
    chosen = [one for one in ranked if by_session[one.session_id] is one][:number]
    return [
        message
        for exchange in chosen
        for message in (
            {"role": "user", "content": exchange.input},
            {"role": "assistant", "content": exchange.reply},
        )
    ]


def with_examples(prompt: Sequence[Message], shown: Sequence[Message]) -> list[Message]:
    """A conversation with examples between its system message and its first turn."""
    system = [message for message in prompt if message["role"] == "system"]
    return [*system, *shown, *[message for message in prompt if message["role"] != "system"]]


def forget_old_answers(cache: Path, keep: int) -> int:
    """Delete all but the `keep` answers used last; returns how many went."""
    files = sorted(cache.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[keep:]:
        path.unlink(missing_ok=True)
    return len(files[keep:])


def _pieces(conversations: Sequence[Sequence[Message]], size: int) -> list[list[int]]:
    """Conversation numbers in pieces of similar length, the longest first."""

    def length(place: int) -> int:
        return sum(len(part["content"]) for part in conversations[place])

    order = sorted(range(len(conversations)), key=lambda place: (-length(place), place))
    return [order[start : start + size] for start in range(0, len(order), size)]


def _fill(answers: list[Any], piece: Sequence[int], found: Sequence[Any]) -> int:
    for place, answer in zip(piece, found, strict=True):
        answers[place] = answer
    return len(piece)


def _adapter_hash(adapter: Path | None) -> str:
    if adapter is None:
        return ""
    files = sorted(adapter.glob("adapter_*"))
    if not files:
        raise TwinError(f"There is no adapter in {adapter}; materialise lora_adapter again.")
    return "/".join(hash_file(path) for path in files)
