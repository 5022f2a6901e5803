"""The engine: requests wait in one queue, are answered in batches, and each by one release.

A request takes the voice in force when it is accepted and keeps it until it is answered. A switch
puts another voice in its place for whoever comes after; the old one leaves memory when its last
request is done.
"""

from __future__ import annotations

import gc
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from twin_pipelines.foundation.heaps import give_back
from twin_pipelines.generation.context import Context, Line
from twin_pipelines.generation.local import generate_replies
from twin_pipelines.generation.prompt import Message
from twin_pipelines.generation.remembered import Remembered
from twin_pipelines.serving.voice import Voice
from twin_pipelines.serving.writing import Writing
from twin_pipelines.settings import TwinError

logger = logging.getLogger(__name__)

NO_RELEASE = "No release is in force yet; run `twin train`, and promote what passes the gate."
DEAD = "Nobody answers any more; start the server anew."
LOADING = "The release in force is being loaded."
STOPPING = "The server is stopping; ask again later."
STOP_SECONDS = 5.0  # for the token that is being written
GIVE_BACK_SECONDS = 30.0  # at most, between two times that freed memory is given back


class NotReady(TwinError):
    """No release can answer now."""


class Crowded(TwinError):
    """More requests wait than may."""


class _Abandoned(Exception):
    """Nobody waits for another token."""


class Stopped(NotReady):
    """The server is stopping."""


@dataclass(frozen=True)
class Sampling:
    """How a reply is drawn. `seed` None: anew every time."""

    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int | None = None
    stops: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reply:
    """A whole reply, what it took, and what it was asked with: messages, and lines by source."""

    text: str
    finish: Literal["stop", "length"]
    prompt_tokens: int
    reply_tokens: int
    lines: tuple[Line, ...] = ()
    messages: tuple[Message, ...] = ()


@dataclass(eq=False)
class Ticket:
    """What whoever asked holds: who answers, the answer to come, and the word that they are gone.

    It knows the voice by name only, so that nobody who lingers keeps a model in memory. `release`
    and `adapter_id` are empty and None for a voice that is no release.
    """

    name: str
    release: str = ""
    adapter_id: str | None = None
    answer: Future[Reply] = field(default_factory=Future)
    abandoned: bool = False


@dataclass(eq=False)
class Request:
    """One accepted request; `pieces` is told text as it is written."""

    voice: Voice
    messages: Sequence[Message]
    sampling: Sampling
    pieces: Callable[[str], None] | None
    ticket: Ticket
    recalled: Sequence[Remembered] = ()

    @property
    def adapter(self) -> str:
        """The adapter that answers; empty for a voice that is no release."""
        return self.voice.release.adapter_id

    def goes_with(self, first: Request) -> bool:
        """Whether both can be answered in one batch.

        A sampled reply with a seed is drawn alone, so that its company does not change it.
        """
        if self is first:
            return True
        mine, other = self.sampling, first.sampling
        return (
            self.voice is first.voice
            and (mine.temperature, mine.top_p) == (other.temperature, other.top_p)
            and mine.max_new_tokens == other.max_new_tokens
            and (mine.temperature == 0 or (mine.seed is None and other.seed is None))
        )


class Engine:
    """Answers in a thread of its own, from `start` to `stop`."""

    def __init__(self, batch_size: int, waiting: int) -> None:
        self._batch_size = batch_size
        self._most_waiting = waiting
        self._voice: Voice | None = None
        self._problem = ""
        self.loading = False  # the first release; set by whoever loads it
        self._queue: deque[Request] = deque()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._left_over = False
        self._busy = False
        self._stirred = 0.0
        self._answering = ""  # the adapter that is at work
        self._withdrawn: dict[str, str] = {}
        self._withheld = ""
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    @property
    def voice(self) -> Voice | None:
        """The voice that new requests get."""
        return self._voice

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    @property
    def problem(self) -> str:
        """Why the release in force could not be taken up, in a sentence; empty when it was."""
        return self._problem

    @property
    def withheld(self) -> str:
        """Why the release in force may not answer, in a sentence; empty where it may."""
        return self._withheld

    @property
    def alive(self) -> bool:
        """Whether somebody answers."""
        return self._thread.is_alive()

    @property
    def dead(self) -> bool:
        """Whether it had begun to answer and ended."""
        return self._thread.ident is not None and not self._thread.is_alive()

    @property
    def stirred(self) -> float:
        """When it last did anything, by the monotonic clock."""
        return self._stirred

    def stuck_for(self) -> float:
        """Seconds since it last did anything, while it is at work; 0 while it rests."""
        return time.monotonic() - self._stirred if self._busy else 0.0

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Refuse what waits and what is being written, and end."""
        with self._changed:
            self._stopping.set()
            left = list(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        for request in left:
            _fail(request, Stopped(STOPPING))
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def switch(self, voice: Voice | None) -> None:
        """Let new requests be answered by this voice; those accepted keep theirs."""
        with self._changed:
            self._left_over = self._left_over or self._voice is not None
            self._voice = voice
            self._problem = ""
            self._changed.notify_all()

    def withdraw(self, adapters: Mapping[str, str], in_force: str) -> None:
        """Let nothing be answered by these adapters, each with the reason in a sentence.

        They are all that may not answer: what was withdrawn before and is not named may again. The
        voice that speaks falls silent when its adapter is one of them, and requests that wait for
        one, or are being answered by it, fail with NotReady, so that somebody else answers them.
        `in_force` is the adapter of the release in force, which `withheld` tells of.
        """
        with self._changed:
            self._withdrawn = dict(adapters)
            self._withheld = adapters.get(in_force, "")
            waiting = [one for one in self._queue if one.adapter in adapters]
            for request in waiting:
                self._queue.remove(request)
            silenced = self._voice and adapters.get(self._voice.release.adapter_id)
            if silenced:
                self._left_over, self._voice, self._problem = True, None, silenced
            self._changed.notify_all()
        for request in waiting:
            _fail(request, NotReady(adapters[request.adapter]))

    def report_problem(self, words: str) -> None:
        """Say why the release in force is not taken up; the voice before it goes on answering."""
        self._problem = words

    def accept(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        pieces: Callable[[str], None] | None = None,
        recalled: Sequence[Remembered] = (),
        voice: Voice | None = None,
    ) -> Ticket:
        """Queue a request, for the voice in force or the one given. `pieces` is called from the
        engine's thread.

        What was `recalled` for it stands in the prompt as far as there is room, the best first.
        Raises NotReady when no release is in force, and Crowded when too many wait.
        """
        with self._changed:
            if self._stopping.is_set():
                raise Stopped(STOPPING)
            speaking = voice or self._voice
            if speaking is None:
                raise NotReady(self._problem or NO_RELEASE)
            if withdrawn := self._withdrawn.get(speaking.release.adapter_id):
                raise NotReady(withdrawn)
            if len(self._queue) >= self._most_waiting:
                raise Crowded(f"{self._most_waiting} requests wait already; ask again later.")
            adapter = speaking.release.adapter_id or None
            ticket = Ticket(speaking.name, speaking.name if adapter else "", adapter)
            ticket.answer.set_running_or_notify_cancel()  # from here on it cannot be cancelled
            request = Request(speaking, messages, sampling, pieces, ticket, recalled)
            self._queue.append(request)
            self._left_over = self._left_over or speaking is not self._voice
            self._changed.notify_all()
        return ticket

    def _work(self) -> None:
        given_back = time.monotonic()
        while True:
            with self._changed:
                while not (self._queue or self._stopping.is_set() or self._left_over):
                    self._changed.wait()
                if self._stopping.is_set():
                    return
                batch = self._next_batch()
            if batch:
                self._stirred = time.monotonic()
                self._busy, self._answering = True, batch[0].adapter
                _answer(batch, self._stopping, self._stir)
                self._busy = False
            batch = None  # it may be the last that holds an old voice
            self._forget_old_voices()
            if time.monotonic() > given_back + GIVE_BACK_SECONDS:
                give_back()
                given_back = time.monotonic()

    def _stir(self) -> None:
        """Called at every token. Raises NotReady when who writes it may not answer any more."""
        self._stirred = time.monotonic()
        if withdrawn := self._withdrawn.get(self._answering):
            raise NotReady(withdrawn)

    def _next_batch(self) -> list[Request] | None:
        while self._queue and self._queue[0].ticket.abandoned:
            self._queue.popleft()
        if not self._queue:
            return None
        first = self._queue[0]
        batch = [one for one in self._queue if one.goes_with(first) and not one.ticket.abandoned]
        batch = batch[: self._batch_size]
        for one in batch:
            self._queue.remove(one)
        return batch

    def _forget_old_voices(self) -> None:
        """Give back the memory of voices that nobody waits for any more."""
        with self._changed:
            waited_for = any(request.voice is not self._voice for request in self._queue)
            if not self._left_over or waited_for:
                return
            self._left_over = False
        import torch

        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _answer(batch: Sequence[Request], stopping: threading.Event, stir: Callable[[], None]) -> None:
    """Answer a batch of one voice and one kind of sampling; a failure is told to all who wait."""
    ready: list[tuple[Request, Context]] = []
    for request in batch:
        try:
            ready.append((request, request.voice.context(request.messages, request.recalled)))
        except Exception as error:
            _fail(request, error)
    if not ready:
        return
    try:
        _write(ready, stopping, stir)
    except Exception as error:
        for request, _ in ready:
            _fail(request, error)


def _write(
    ready: Sequence[tuple[Request, Context]],
    stopping: threading.Event,
    stir: Callable[[], None],
) -> None:
    first = ready[0][0]
    voice, sampling = first.voice, first.sampling
    writings = [Writing(voice.tokenizer, one.sampling.stops) for one, _ in ready]

    def on_token(row: int, token: int) -> None:
        stir()
        request, writing = ready[row][0], writings[row]
        piece = writing.add(token)
        if piece and request.pieces:
            request.pieces(piece)
        if stopping.is_set():
            raise Stopped(STOPPING)
        if all(
            one.ticket.abandoned or other.stopped
            for (one, _), other in zip(ready, writings, strict=True)
        ):
            raise _Abandoned

    seed = secrets.randbits(32) if sampling.seed is None else sampling.seed
    with suppress(_Abandoned):  # who stopped at words of their own still gets what was written
        generate_replies(
            voice.model,
            voice.tokenizer,
            [context.messages for _, context in ready],
            max_new_tokens=sampling.max_new_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=seed,
            batch_size=len(ready),
            max_tokens=voice.context_tokens,
            on_token=on_token,
        )
    for (request, context), writing in zip(ready, writings, strict=True):
        if request.ticket.abandoned:
            continue
        piece = writing.rest()
        if piece and request.pieces:
            request.pieces(piece)
        cut = len(writing.ids) == sampling.max_new_tokens and not writing.stopped
        reply = Reply(
            text=writing.final(),
            finish="length" if cut else "stop",
            prompt_tokens=context.tokens,
            reply_tokens=len(writing.ids),
            lines=context.lines,
            messages=tuple(context.messages),
        )
        request.ticket.answer.set_result(reply)


def _fail(request: Request, error: Exception) -> None:
    if request.ticket.answer.done():
        return
    if not isinstance(error, TwinError):
        logger.error("A request could not be answered.", exc_info=error)
    request.ticket.answer.set_exception(error)
