"""The systems that are compared, and what each of them said, remembered on disk.

Base: untuned. Prompted: the base with real train exchanges as examples. Twin: base and adapter.
Champion: the adapter that serves now. A system's answers are kept under a hash of everything they
depend on, so that a retraining, another evaluation or one that was killed computes only what is
new. A model is loaded when the first answer is missing, and not before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from twin_pipelines.evaluation.frozen import Exchange
from twin_pipelines.foundation.fingerprints import hash_file, read_json, write_json
from twin_pipelines.foundation.models import ResolvedModel
from twin_pipelines.generation.local import (
    Score,
    choose_dtype,
    generate_replies,
    load_model,
    score_choices,
)
from twin_pipelines.generation.prompt import Message, fit, reply_tokens
from twin_pipelines.settings import TwinError

Report = Callable[[str], None]
EXAMPLES = 8
EXAMPLE_WORDS = (3, 20)  # of the message and of the reply
CACHE = 1  # raise it when generation or scoring changes: everything is then computed anew
SMALL_BATCH, LARGE_BATCH = 16, 32  # a long shared beginning is copied for every row
LONG_TOKENS = 256
REPORT_EVERY = 0.25


@dataclass(frozen=True)
class Sampling:
    """How replies are generated."""

    max_new_tokens: int
    temperature: float
    top_p: float
    seed: int


class System:
    """One model, with or without an adapter, whose answers are cached."""

    def __init__(
        self,
        name: str,
        base: ResolvedModel,
        adapter: Path | None,
        *,
        cache: Path,
        max_tokens: int,
        dtype: str = "auto",
        report: Report = print,
    ) -> None:
        self.name = name
        self.base = base
        self.adapter = adapter
        self.max_tokens = max_tokens
        self.identity = [base.sha256, _adapter_hash(adapter), str(choose_dtype(dtype))]
        self._cache = cache
        self._dtype = dtype
        self._report = report
        self._loaded: tuple[Any, Any] | None = None

    def replies(
        self,
        conversations: Sequence[Sequence[Message]],
        sampling: Sampling,
        max_tokens: int | None = None,
    ) -> list[str]:
        """One sampled reply to each conversation, cut to `max_tokens` (default: the system's)."""
        room = max_tokens or self.max_tokens

        def compute() -> list[str]:
            model, tokenizer = self._model()
            return generate_replies(
                model,
                tokenizer,
                conversations,
                **vars(sampling),
                batch_size=LARGE_BATCH if room <= LONG_TOKENS else SMALL_BATCH,
                max_tokens=room,
                progress=self._progress("replies written"),
            )

        return self._remembered(["replies", conversations, vars(sampling), room], compute)

    def greedy(self, conversations: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        """The likeliest continuation of each conversation, token by token."""
        return self.replies(conversations, Sampling(max_new_tokens, 0.0, 1.0, 0))

    def scores(
        self,
        conversations: Sequence[Sequence[Message]],
        candidates: Sequence[Sequence[str | tuple[int, ...]]],
        what: str,
    ) -> list[list[Score]]:
        """How likely each candidate (a reply, or its first token ids) is after its conversation.

        `what` names them in the log.
        """

        def compute() -> list[list[Score]]:
            model, tokenizer = self._model()
            return score_choices(
                model,
                tokenizer,
                conversations,
                candidates,
                max_tokens=self.max_tokens,
                progress=self._progress(f"{what} scored"),
            )

        kept = self._remembered(["scores", conversations, candidates, self.max_tokens], compute)
        return [[Score(*score) for score in group] for group in kept]

    def tokens(self, replies: Sequence[str]) -> list[tuple[int, ...]]:
        """Token ids of replies, the end of turn included."""
        return [tuple(reply_tokens(self._tokenizer, reply)) for reply in replies]

    def cut(self, conversation: Sequence[Message]) -> list[Message]:
        """The conversation without the oldest turns that do not fit, as the system reads it."""
        return fit(self._tokenizer, conversation, self.max_tokens)[0]

    def unload(self) -> None:
        """Let go of the model's memory."""
        self._loaded = None

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        folder = self.adapter or self.base.path
        try:
            return AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError) as error:
            raise TwinError(
                f"No usable tokenizer in {folder} ({error}); resolve or train the model again."
            ) from error

    def _model(self) -> tuple[Any, Any]:
        if self._loaded is None:
            self._report(f"{self.name}: loading the model")
            from twin_pipelines.training.attention import register

            model, tokenizer = load_model(self.base, self.adapter, self._dtype)
            if model.device.type == "cpu":
                model.set_attn_implementation(register())
            self._loaded = model, tokenizer
        return self._loaded

    def _remembered(self, question: list[Any], compute: Callable[[], list[Any]]) -> list[Any]:
        key = hashlib.sha256(json.dumps([CACHE, self.identity, *question]).encode()).hexdigest()
        path = self._cache / f"{key[:32]}.json"
        kept = read_json(path)
        if "answers" not in kept:
            kept = {"system": self.name, "what": question[0], "answers": compute()}
            write_json(path, kept)
        with suppress(FileNotFoundError):
            path.touch()
        return kept["answers"]

    def _progress(self, what: str) -> Callable[[int, int], None]:
        told = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal told
            if done == total or done / total >= told + REPORT_EVERY:
                told = done / total
                self._report(f"{self.name}: {done} of {total} {what}")

        return progress


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


def _adapter_hash(adapter: Path | None) -> str:
    if adapter is None:
        return ""
    files = sorted(adapter.glob("adapter_*"))
    if not files:
        raise TwinError(f"There is no adapter in {adapter}; materialise lora_adapter again.")
    return "/".join(hash_file(path) for path in files)
