"""A release made ready to speak: its weights, its tokenizer and what stands before every chat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from twin_pipelines.foundation.models import ResolvedModel, resolve_model
from twin_pipelines.generation.context import Context, Standing, build, standing
from twin_pipelines.generation.local import load_model
from twin_pipelines.generation.prompt import Message, tokenize
from twin_pipelines.generation.remembered import Remembered
from twin_pipelines.promotion.in_force import ReleaseInForce
from twin_pipelines.settings import Serving, TwinError, TwinSettings

IDENTITY_SHARE = 0.4  # of the context, that the persona page of an untaught model may take


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
    called: str = ""  # where it is no release

    @property
    def name(self) -> str:
        """What answers call it."""
        return self.called or f"twin-{self.release.version}"

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
    room = _room(model, release, settings.serving)
    return Voice(release, model, tokenizer, what_stands(tokenizer, release, settings.serving), room)


def load_base(release: ReleaseInForce, settings: TwinSettings) -> Voice:
    """The base of a release without its adapter, which is told the persona page instead.

    Of the page, as many lines as IDENTITY_SHARE of the context has room for. Raises TwinError when
    the base is missing or has other weights.
    """
    base = _base(release, settings)
    model, tokenizer = load_model(base, None, settings.training.dtype)
    room = _room(model, release, settings.serving)
    told = with_page(tokenizer, release, settings.serving, int(room * IDENTITY_SHARE))
    return Voice(release, model, tokenizer, told, room, f"base-{base.sha256[:8]}")


def with_page(
    tokenizer: Any, release: ReleaseInForce, serving: Serving, page_tokens: int
) -> Standing:
    """As `what_stands`, with the first lines of the persona page that fit, for untaught models."""
    lines = release.identity.splitlines()
    while lines and len(tokenize(tokenizer, "\n".join(lines))) > page_tokens:
        del lines[-max(1, len(lines) // 10) :]
    page = replace(release, identity="\n".join(lines).strip())
    return what_stands(tokenizer, page, serving.model_copy(update={"persona_page": True}))


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
    return load_model(_base(release, settings), adapter, settings.training.dtype)


def _base(release: ReleaseInForce, settings: TwinSettings) -> ResolvedModel:
    base = resolve_model(release.base_reference, settings, purpose="causal")
    if release.base_sha256 and base.sha256 != release.base_sha256:
        raise TwinError(
            f"{release.base_reference} is not the base that release {release.release_id} was "
            "trained on (its weights have another hash); restore that base, or train anew."
        )
    return base


def _room(model: Any, release: ReleaseInForce, serving: Serving) -> int:
    """Tokens of a rendered conversation, so that a whole reply follows it."""
    positions = getattr(model.config, "max_position_embeddings", None)
    room = serving.context_tokens
    if positions:
        room = min(room, positions - serving.max_new_tokens)
    if room < 1:
        raise TwinError(
            f"The model of {release.base_reference} reads {positions} tokens, no more than "
            "serving.max_new_tokens; lower that."
        )
    return room
