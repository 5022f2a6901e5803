"""A release made ready to speak: its weights, its tokenizer and what stands before every chat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twin_pipelines.foundation.models import resolve_model
from twin_pipelines.generation.local import load_model
from twin_pipelines.generation.prompt import Message, chat_messages, fit, tokenize
from twin_pipelines.promotion.in_force import CoreMemory, ReleaseInForce
from twin_pipelines.settings import TwinError, TwinSettings

TOKEN_CHARS = 16  # more than a token has but for long runs of one sign
MEMORIES = "What you know about yourself:"


class TooLong(TwinError):
    """A conversation of which not even the last message fits."""


@dataclass(frozen=True, eq=False)
class Voice:
    """Everything one release answers with. Requests hold on to the one they began with."""

    release: ReleaseInForce
    model: Any
    tokenizer: Any
    system: str
    context_tokens: int

    @property
    def name(self) -> str:
        """What answers call it."""
        return f"twin-{self.release.version}"

    def conversation(self, messages: Sequence[Message]) -> tuple[list[Message], int]:
        """The messages as the model reads them, oldest turns cut, and their number of tokens.

        The release's system prompt comes first; system messages of the request stand below it.
        Raises TooLong when the last message alone does not fit.
        """
        asked = [message["content"] for message in messages if message["role"] == "system"]
        system = "\n\n".join(part for part in (self.system, *asked) if part)
        turns = [message for message in messages if message["role"] != "system"]
        turns = _newest(turns, self.context_tokens * TOKEN_CHARS)
        whole = chat_messages(system, turns[:-1], turns[-1]["content"])
        kept, ids = fit(self.tokenizer, whole, self.context_tokens)
        if len(ids) > self.context_tokens:
            raise TooLong(
                f"The last message and the system prompt take {len(ids)} tokens and "
                f"{self.context_tokens} fit; shorten the message."
            )
        return kept, len(ids)


def _newest(turns: Sequence[Message], chars: int) -> list[Message]:
    """The last turns up to so many characters, and always the very last: fitting is slow."""
    kept: list[Message] = []
    for turn in reversed(turns):
        chars -= len(turn["content"]) + 1
        if kept and chars < 0:
            break
        kept.append(turn)
    return kept[::-1]


def load_voice(
    release: ReleaseInForce, settings: TwinSettings, present: Voice | None = None
) -> Voice:
    """Make a release ready to speak; weights that `present` already has are not loaded again.

    Raises TwinError when its adapter or base is missing, or the base is not the one it was trained
    on.
    """
    model, tokenizer = _weights(release, settings, present)
    serving = settings.serving
    positions = getattr(model.config, "max_position_embeddings", None)
    room = serving.context_tokens
    if positions:
        room = min(room, positions - serving.max_new_tokens)
    if room < 1:
        raise TwinError(
            f"The model of {release.base_reference} reads {positions} tokens, no more than "
            "serving.max_new_tokens; lower that."
        )
    told = [release.system_prompt, release.identity if serving.persona_page else ""]
    prompt = "\n\n".join(part for part in told if part)
    system = system_text(tokenizer, prompt, release.core_memories, serving.memory_tokens)
    return Voice(release, model, tokenizer, system, room)


def system_text(
    tokenizer: Any, prompt: str, memories: Sequence[CoreMemory], memory_tokens: int
) -> str:
    """The system prompt with as many core memories, most important first, as fit the budget.

    The budget is in tokens and for the memories alone; a memory that does not fit is passed over.
    """
    lines: list[str] = []
    for memory in memories:
        line = f"- {' '.join(memory.content.split())}"
        if len(tokenize(tokenizer, "\n".join([MEMORIES, *lines, line]))) <= memory_tokens:
            lines.append(line)
    if not lines:
        return prompt
    return "\n\n".join(part for part in (prompt, "\n".join([MEMORIES, *lines])) if part)


def _weights(
    release: ReleaseInForce, settings: TwinSettings, present: Voice | None
) -> tuple[Any, Any]:
    if present and present.release.adapter_id == release.adapter_id:
        return present.model, present.tokenizer
    adapter = settings.home / release.adapter
    if not adapter.is_dir():
        raise TwinError(
            f"The adapter of release {release.release_id} is missing ({adapter}); restore the "
            "folder, or promote another release."
        )
    base = resolve_model(release.base_reference, settings, purpose="causal")
    if release.base_sha256 and base.sha256 != release.base_sha256:
        raise TwinError(
            f"{release.base_reference} is not the base that release {release.release_id} was "
            "trained on (its weights have another hash); restore that base, or train anew."
        )
    return load_model(base, adapter, settings.training.dtype)
