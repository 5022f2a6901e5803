"""A release made ready to speak: its weights, its tokenizer and what stands before every chat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twin_pipelines.foundation.models import resolve_model
from twin_pipelines.generation.context import Context, Standing, build, standing
from twin_pipelines.generation.local import load_model
from twin_pipelines.generation.prompt import Message
from twin_pipelines.generation.remembered import Remembered
from twin_pipelines.promotion.in_force import ReleaseInForce
from twin_pipelines.settings import Serving, TwinError, TwinSettings


class TooLong(TwinError):
    """A conversation of which not even the last message fits."""


@dataclass(frozen=True, eq=False)
class Voice:
    """Everything one release answers with. Requests hold on to the one they began with."""

    release: ReleaseInForce
    model: Any
    tokenizer: Any
    standing: Standing
    context_tokens: int

    @property
    def name(self) -> str:
        """What answers call it."""
        return f"twin-{self.release.version}"

    @property
    def system(self) -> str:
        """The system prompt that every request begins with."""
        return self.standing.text

    def context(self, messages: Sequence[Message], recalled: Sequence[Remembered] = ()) -> Context:
        """What the model is asked with, and the sources of every line (`generation.context`).

        The release's system prompt comes first; system messages of the request stand below it, and
        the oldest turns are cut. Raises TooLong when the last message alone does not fit.
        """
        built = build(self.tokenizer, self.standing, messages, self.context_tokens, recalled)
        if built.tokens > self.context_tokens:
            raise TooLong(
                f"The last message and the system prompt take {built.tokens} tokens and "
                f"{self.context_tokens} fit; shorten the message."
            )
        return built

    def conversation(self, messages: Sequence[Message]) -> tuple[list[Message], int]:
        """The messages of `context` without anything recalled, and their number of tokens."""
        built = self.context(messages)
        return built.messages, built.tokens


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
    return Voice(release, model, tokenizer, what_stands(tokenizer, release, serving), room)


def what_stands(tokenizer: Any, release: ReleaseInForce, serving: Serving) -> Standing:
    """What every request to a release begins with: its prompt, persona page and core memories.

    The most important memories that fit into `serving.memory_tokens`, which are for them alone.
    """
    return standing(
        tokenizer,
        release.system_prompt,
        release.identity if serving.persona_page else "",
        [
            Remembered("core", memory.content, (memory.memory_id,), memory.message_ids)
            for memory in release.core_memories
        ],
        serving.memory_tokens,
    )


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
