"""An answer is composed here and nowhere else: the chat, what is recalled, who says it, what stays.

`Composer.open` finds out what is to be answered, `Composer.events` answers it word by word. Who
takes part, and in which order, stands in `hooks`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool

from twin_pipelines.generation.prompt import Message
from twin_pipelines.generation.remembered import Remembered
from twin_pipelines.serving.backends.chain import Chain
from twin_pipelines.serving.backends.protocol import Asked, Event, PassedOver, Signed
from twin_pipelines.serving.engine import Engine, Reply, Sampling
from twin_pipelines.serving.hooks import (
    AnswerCache,
    Answered,
    Chats,
    Guard,
    Opened,
    Recall,
    Recollects,
    Watch,
)
from twin_pipelines.serving.metrics import Metrics
from twin_pipelines.serving.wire import MODEL, ChatRequest, remembered
from twin_pipelines.settings import Serving, TwinError

QUESTION = 4_000  # characters of the last message that memories are searched by
HOOK_SECONDS = 10.0  # that a database may take before the answer goes on without it
SEAM = " …\n\n"  # between the words of a backend that fell silent and those of the next
GUARD, CACHE = "guard", "cache"  # where no backend was asked
NOT_RECALLED = "This server searches no memories."
NOT_KEPT = "This server keeps no chats."
SLOW = f"The database did not answer within {HOOK_SECONDS:g} seconds, so the answer goes without."

Result = TypeVar("Result")


@dataclass(frozen=True)
class Parts:
    """Who takes part in an answer besides the chain; None: nobody does that here."""

    recollection: Recollects | None = None
    chats: Chats | None = None
    guard: Guard | None = None
    cache: AnswerCache | None = None


@dataclass(eq=False)
class Answer:
    """One answer while it is composed, and all that is told of it at its end."""

    asked: ChatRequest
    messages: list[Message]
    sampling: Sampling
    opened: Opened | None = None
    recall: Recall = field(default_factory=Recall)
    recalled: list[Remembered] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    signed: Signed | None = None
    tried: list[PassedOver] = field(default_factory=list)
    watch: Watch | None = None
    heard: str = ""  # everything the user was told
    begun: int = 0  # where in it the words of the last backend begin
    place: int | None = None
    kept: bool = False
    started: float = field(default_factory=time.monotonic)

    def besides(self, reply: Reply) -> dict[str, Any]:
        """What only a twin tells: who answered, who did not and why, the chat, the memories."""
        signed = self.signed or Signed("", MODEL)
        twin: dict[str, Any] = {
            "backend": signed.backend,
            "release": signed.release,
            "problem": " ".join(self.problems),
            "tried": [{"backend": one.backend, "why": one.why} for one in self.tried],
        }
        if self.watch and self.watch.changed:
            twin["guarded"] = list(self.watch.changed)
        if self.asked.twin.memories:
            twin["memories"] = remembered(reply.lines, self.recall.why)
        if self.asked.twin.cached:
            twin["cached"] = signed.backend == CACHE
        if self.opened:
            twin |= self.opened.told(self.place)
        return {"twin": twin}


class Composer:
    """Composes answers. Used from one event loop only."""

    def __init__(
        self, engine: Engine, chain: Chain, settings: Serving, metrics: Metrics, parts: Parts
    ) -> None:
        self._engine = engine
        self._chain = chain
        self._settings = settings
        self._metrics = metrics
        self._parts = parts
        self._later: set[asyncio.Task[None]] = set()

    async def open(self, asked: ChatRequest) -> Answer:
        """What is to be answered: the request's turns, or the chat that it goes on with."""
        answer = Answer(asked, asked.plain(), asked.sampling(self._settings))
        wishes, chats = asked.twin, self._parts.chats
        if wishes.chat and chats is None:
            answer.problems.append(NOT_KEPT)
        elif wishes.chat and chats:
            opened = await self._hook(
                answer,
                lambda: chats.open(
                    wishes.chat or "",
                    answer.messages,
                    consent=wishes.consent,
                    partner=wishes.partner,
                ),
            )
            if opened:
                answer.opened = opened
                answer.messages = list(opened.messages)
                _note(answer, opened.problem)
        return answer

    async def events(self, answer: Answer) -> AsyncGenerator[Event, None]:
        """`Signed`, words, and the whole reply with the text as it was told.

        `PassedOver` with `spoke` tells that what was said so far stays unfinished. Raises what the
        chain raises. What was heard of a chat is kept, whenever the user leaves.
        """
        _note(answer, self._engine.withheld)
        if self._parts.guard:
            answer.watch = self._parts.guard.watch(answer.messages)
        try:
            async with aclosing(self._source(answer)) as words:
                async for word in words:
                    if isinstance(word, Reply):
                        rest = self._told(answer, answer.watch.rest() if answer.watch else "")
                        if rest:
                            yield rest
                        yield await self._ended(answer, word)
                    elif isinstance(word, str):
                        piece = answer.watch.feed(word) if answer.watch else word
                        if self._told(answer, piece):
                            yield piece
                    else:
                        yield self._noted(answer, word)
        finally:
            if answer.heard and not answer.kept:
                self._keep_later(answer)

    async def _source(self, answer: Answer) -> AsyncGenerator[Event, None]:
        """The words before anybody has seen to them: a rule's, the cache's, or the chain's."""
        guard, cache = self._parts.guard, self._parts.cache
        rule = guard.disclosure(answer.messages) if guard else ""
        if rule:
            for word in _at_once(Signed(GUARD, MODEL), Reply(rule, "stop", 0, 0)):
                yield word
            return
        await self._recall(answer)
        key = await self._key(answer) if cache and answer.asked.twin.cached else None
        known = cache.get(key) if cache and key else None
        if cache and answer.asked.twin.cached:
            self._metrics.cache("answers", hit=known is not None)
        if known:
            name = self._release()
            for word in _at_once(Signed(CACHE, name or MODEL, name), known):
                yield word
            return
        asked = Asked(answer.messages, answer.sampling, answer.recalled)
        async with aclosing(self._chain.speak(asked)) as words:
            async for word in words:
                if isinstance(word, Reply) and cache and key and not answer.tried:
                    cache.put(key, word, answer.signed.backend if answer.signed else "")
                yield word

    async def _recall(self, answer: Answer) -> None:
        """Pinned memories and those for the last message; without the database it goes without."""
        wish = answer.asked.twin.recall
        k = self._settings.recall if wish is None else wish
        summary = list(answer.opened.session) if answer.opened else []
        recollection = self._parts.recollection
        if k and recollection:
            begun = time.monotonic()
            question = answer.messages[-1]["content"][:QUESTION]
            turns = [turn for turn in answer.messages[:-1] if turn["role"] != "system"]
            found = await self._hook(
                answer,
                lambda: (recollection.pinned(), recollection.recall(question, turns, k)),
            )
            self._metrics.recalled(time.monotonic() - begun)
            if found:
                pinned, answer.recall = found
                _note(answer, answer.recall.problem)
                answer.recalled = [*pinned, *summary, *answer.recall.memories]
                return
        elif wish:
            answer.problems.append(NOT_RECALLED)
        answer.recalled = summary

    async def _key(self, answer: Answer) -> str | None:
        """What an answer is known by; None where it may not be answered from the cache."""
        cache, recollection = self._parts.cache, self._parts.recollection
        assert cache, "asked for with a cache only"
        version = await self._hook(answer, recollection.version) if recollection else 0
        release = self._release()
        return cache.key(answer.messages, answer.recalled, answer.sampling, release, version)

    def _release(self) -> str:
        return self._engine.voice.name if self._engine.voice else ""

    def _told(self, answer: Answer, piece: str) -> str:
        """Enter what the user is told."""
        if piece and len(answer.heard) == answer.begun and answer.signed:
            backend = answer.signed.backend
            self._metrics.answered(backend, time.monotonic() - answer.started)
        answer.heard += piece
        return piece

    def _noted(self, answer: Answer, event: Event) -> Event:
        """Enter who speaks, and who does not."""
        if isinstance(event, PassedOver):
            answer.tried.append(event)
            if event.cause != "unable":
                self._metrics.fell_back(event.backend, event.cause)
        if isinstance(event, Signed):
            answer.signed = event
            if answer.heard:
                answer.heard += SEAM
                answer.begun = len(answer.heard)
        return event

    async def _ended(self, answer: Answer, reply: Reply) -> Reply:
        """The reply as it was told, once the chat is kept."""
        self._metrics.wrote(reply.prompt_tokens, reply.reply_tokens)
        await self._keep(answer, reply)
        return replace(reply, text=answer.heard[answer.begun :].strip())

    async def _keep(self, answer: Answer, reply: Reply | None) -> None:
        answer.kept = True
        chats, opened, signed = self._parts.chats, answer.opened, answer.signed
        if not (chats and opened and signed):
            return
        ids = [one for line in reply.lines for one in line.memory_ids if one] if reply else []
        answered = Answered(
            text=answer.heard,
            backend=signed.backend,
            release=signed.release,
            adapter_id=signed.adapter_id,
            prompt=reply.messages if reply and reply.messages else answer.messages,
            memory_ids=list(dict.fromkeys(ids)),
        )
        answer.place = await self._hook(answer, lambda: chats.said(opened, answered))

    def _keep_later(self, answer: Answer) -> None:
        """Keep what was heard of an answer whose user left."""
        task = asyncio.get_running_loop().create_task(self._keep(answer, None))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _hook(self, answer: Answer, call: Callable[[], Result]) -> Result | None:
        """What a hook returns, waited for in a thread; None when it failed, which is told."""
        try:
            return await asyncio.wait_for(run_in_threadpool(call), HOOK_SECONDS)
        except TwinError as error:
            _note(answer, str(error))
        except TimeoutError:
            _note(answer, SLOW)
        return None


def _at_once(signed: Signed, reply: Reply) -> Sequence[Event]:
    return (signed, reply.text, reply)


def _note(answer: Answer, problem: str) -> None:
    if problem and problem not in answer.problems:
        answer.problems.append(problem)
