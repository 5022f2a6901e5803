"""Chats that go on where they stopped: what was said, summed up where it no longer fits.

A request that names no chat leaves nothing behind. In a chat that is named, a request with one turn
goes on after what is kept, so that a client may send the new words only, also after a restart of
either; one with several turns is the chat as the client knows it (it may have changed a turn, or
asked for another answer), and what is kept follows. After `memory.short_term_hours` without a word
a chat is out of mind: without consent it is deleted, with consent it is kept, and its next turn
begins anew.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg

from twin_pipelines.foundation.llm import open_endpoint
from twin_pipelines.generation.prompt import Message
from twin_pipelines.generation.remembered import Remembered
from twin_pipelines.generation.session import Summary, roll, window_tokens
from twin_pipelines.serving import chats_store
from twin_pipelines.serving.chats_store import Chat, NewTurn, Turn
from twin_pipelines.serving.connections import Connections, NoDatabase
from twin_pipelines.serving.hooks import Answered
from twin_pipelines.serving.learner import withdraw
from twin_pipelines.serving.wire import NEW_CHAT
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.store import stored_subject

Answer = TypeVar("Answer")
logger = logging.getLogger(__name__)

MOST_LISTED = 200
SWEEP_SECONDS = 60.0  # between looks for chats that are out of mind
STOP_SECONDS = 4.0
DOWN_SECONDS = 2.0  # that a database which did not answer is not asked again


class NotKept(TwinError):
    """What is said cannot be kept, or what was said cannot be read."""


@dataclass(frozen=True)
class Opened:
    """A chat as it was when a request came.

    `messages` are the request's system messages, the turns in mind and the new words; `session`
    tells what was said before them. `resumed` turns were not sent but kept. `problem` is why the
    chat is not kept, in a sentence. `sent` are the request's own turns.
    """

    chat_id: str
    messages: list[Message]
    session: tuple[Remembered, ...]
    resumed: int
    sent: list[Message]
    consent: bool | None
    partner: str
    may_learn: bool
    problem: str

    def told(self, place: int | None) -> dict[str, Any]:
        """What an answer says of the chat: `place` is that of the answer, None when not kept."""
        return {
            "chat": self.chat_id,
            "place": place,
            "resumed": self.resumed,
            "may_learn": self.may_learn,
        }


class Chats:
    """Keeps chats in the twin's database. Any thread may ask."""

    def __init__(self, url: str, settings: TwinSettings) -> None:
        self._connections = Connections(url)
        self._settings = settings
        self._hours = settings.memory.short_term_hours
        serving = settings.serving
        self._window = window_tokens(serving.context_tokens, serving.memory_tokens)
        self._endpoint = open_endpoint(settings.llm)
        self._grown: SimpleQueue[UUID | None] = SimpleQueue()  # chats to sum up; None: no more
        self._summing = threading.Thread(target=self._sum_up_grown, name="summary", daemon=True)
        self._summing.start()
        self._next_sweep = 0.0  # by the monotonic clock, like the next
        self._down_until = 0.0
        self.may_learn = bool(serving.chat_consent)

    def open(
        self,
        wish: str,
        messages: Sequence[Message],
        *,
        consent: bool | None = None,
        partner: str | None = None,
    ) -> Opened:
        """The chat `wish` (its id, or "new") as it is when these messages of a request come.

        Consent, where it is given or withdrawn, is noted for all that follows. Without the database
        the messages are answered as they are sent, and `problem` says so.
        """
        chat_id = uuid4() if wish == NEW_CHAT else UUID(wish)
        sent = _turns(messages)

        def read(connection: psycopg.Connection) -> tuple[Chat | None, list[Turn]]:
            self._sweep(connection)
            found = chats_store.chat(connection, chat_id, self._hours)
            if found and found.silent:
                found = self._out_of_mind(connection, found)
            if found is None:
                return None, []
            if consent is not None and consent != found.consented:
                chats_store.consent(connection, chat_id, consent)
            first = found.summarised if len(sent) == 1 else 0
            return found, chats_store.turns(connection, chat_id, first)

        problem, found, stored = "", None, list[Turn]()
        if wish != NEW_CHAT:
            try:
                found, stored = self._asked(read)
            except NotKept as error:
                problem = str(error)
        turns, summary, resumed = self._continued(sent, found, stored)
        return Opened(
            chat_id=str(chat_id),
            messages=[*(one for one in messages if one["role"] == "system"), *turns],
            session=(Remembered("session", summary),) if summary else (),
            resumed=resumed,
            sent=sent,
            consent=consent,
            partner=_storable((partner or "").strip()),
            may_learn=self.may_learn,
            problem=problem,
        )

    def said(self, opened: Opened, answered: Answered) -> int | None:
        """Keep the user's words and the answer; returns the answer's place in the chat.

        What no longer fits is summed up after that, in a thread of its own. None when the chat
        could not even be opened. Raises NotKept when the database cannot be asked now.
        """
        if opened.problem:
            return None
        chat_id = UUID(opened.chat_id)
        answer = NewTurn(
            "assistant",
            _storable(answered.text),
            answered.backend,
            answered.release,
            answered.adapter_id or None,
            [_plain(message) for message in answered.prompt],
            [one for one in answered.memory_ids if one],
        )

        def keep(connection: psycopg.Connection) -> int:
            chats_store.begin(connection, chat_id, bool(opened.consent), opened.partner)
            found = chats_store.chat(connection, chat_id, self._hours, lock=True)
            assert found is not None
            first, fresh = found.turns, opened.sent
            if len(opened.sent) > 1:
                first, fresh = _aligned(chats_store.turns(connection, chat_id), opened.sent)
            spoken = [NewTurn(turn["role"], turn["content"]) for turn in fresh]
            chats_store.add_turns(connection, chat_id, first, [*spoken, answer])
            return first + len(spoken)

        place = self._asked(keep)
        self._grown.put(chat_id)
        return place

    def consent(self, chat_id: UUID, consented: bool) -> bool:
        """Note whether a chat may be kept for good; False when it is not kept at all."""
        return self._asked(lambda connection: chats_store.consent(connection, chat_id, consented))

    def listed(self) -> tuple[str, list[Chat]]:
        """The subject's name, and the chats that are kept (MOST_LISTED at most), the latest first.

        The name is empty while nobody was chosen.
        """

        def read(connection: psycopg.Connection) -> tuple[str, list[Chat]]:
            subject = stored_subject(connection)
            found = chats_store.chats(connection, self._hours, MOST_LISTED)
            return subject.name if subject else "", found

        return self._asked(read)

    def told(self, chat_id: UUID) -> tuple[Chat, list[Turn]] | None:
        """A chat and all its turns; None when it is not kept."""

        def read(connection: psycopg.Connection) -> tuple[Chat, list[Turn]] | None:
            found = chats_store.chat(connection, chat_id, self._hours)
            return (found, chats_store.turns(connection, chat_id)) if found else None

        return self._asked(read)

    def forget(self, chat_id: UUID) -> bool:
        """Delete a chat, and what of it became history; False when it is not kept."""

        def delete(connection: psycopg.Connection) -> bool:
            if chats_store.chat(connection, chat_id, self._hours) is None:
                return False
            withdraw(connection, self._settings, str(chat_id))
            return chats_store.forget(connection, chat_id)

        return self._asked(delete)

    def close(self) -> None:
        """Leave the database; a summary that is being made is waited for a little."""
        self._grown.put(None)
        self._summing.join(STOP_SECONDS)
        self._connections.drop()

    def _continued(
        self, sent: list[Message], found: Chat | None, stored: Sequence[Turn]
    ) -> tuple[list[Message], str, int]:
        """The turns in mind with the new words last, the summary, and how many were kept."""
        summary = Summary(found.summary, found.summarised) if found else Summary()
        gone = 0
        if len(sent) == 1:
            first, fresh, gone = len(stored), sent, summary.turns
        else:  # the client tells the whole chat, and with it brings back what was out of mind
            first, fresh = _aligned(stored, sent)
            if first < summary.turns or not summary.text:
                summary = Summary()
        turns = [*map(_message, stored[:first]), *fresh]
        made = roll(Summary(summary.text, summary.turns - gone), turns, self._window)
        kept = [turn for turn in turns[made.turns :] if turn["content"].strip()]
        return kept, made.text, max(0, len(kept) - len(sent))

    def _out_of_mind(self, connection: psycopg.Connection, found: Chat) -> Chat | None:
        """A silent chat begun anew; None, and it is deleted, where nobody consented to keep it."""
        if not found.consented:
            chats_store.forget(connection, found.chat_id)
            return None
        if found.summarised < found.turns or found.summary:
            chats_store.save_summary(connection, found.chat_id, found.summarised, "", found.turns)
        return replace(found, summary="", summarised=found.turns)

    def _sum_up_grown(self) -> None:
        """Sum up what no longer fits of one chat after another, so that no answer waits for it."""
        while (chat_id := self._grown.get()) is not None:
            self._sum_up(chat_id)

    def _sum_up(self, chat_id: UUID) -> None:

        def read(connection: psycopg.Connection) -> tuple[Chat, list[Turn]] | None:
            found = chats_store.chat(connection, chat_id, self._hours)
            if found is None:
                return None
            return found, chats_store.turns(connection, chat_id, found.summarised)

        try:
            known = self._asked(read)
            if known is None:
                return
            found, stored = known
            turns = [*map(_message, stored)]
            made = roll(Summary(found.summary), turns, self._window, self._endpoint)
            if made.turns:
                args = (chat_id, found.summarised, made.text, found.summarised + made.turns)
                self._asked(lambda connection: chats_store.save_summary(connection, *args))
        except Exception as error:  # the next answer makes it itself
            logger.warning("A chat could not be summed up: %s", error)

    def _sweep(self, connection: psycopg.Connection) -> None:
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + SWEEP_SECONDS
            chats_store.forget_silent(connection, self._hours)

    def _asked(self, ask: Callable[[psycopg.Connection], Answer]) -> Answer:
        """What a transaction answers; asked once more when a connection turns out dead."""
        if time.monotonic() < self._down_until:
            raise NotKept("The chat is not kept: the database does not answer; see /readyz.")
        for last in (False, True):
            try:
                with self._connections.one() as connection:
                    return ask(connection)
            except NoDatabase as error:
                raise self._down(str(error)) from error
            except psycopg.OperationalError as error:  # as a server that was restarted leaves it
                self._connections.drop()
                if last:
                    raise self._down("the database broke off; see /readyz.") from error
            except psycopg.Error as error:  # the answer is there, and is told all the same
                logger.error("A chat could not be kept.", exc_info=error)
                raise NotKept("The chat is not kept; the server's log says why.") from error
        raise AssertionError("unreachable")

    def _down(self, why: str) -> NotKept:
        self._down_until = time.monotonic() + DOWN_SECONDS
        return NotKept(f"The chat is not kept: {why}")


def _aligned(stored: Sequence[Turn], sent: Sequence[Message]) -> tuple[int, list[Message]]:
    """How many of the stored turns stay, and what is sent beyond them.

    A client that sends its latest turns only means the stored ones before them too. Otherwise what
    is stored stays up to the first turn that differs.
    """
    known = [(turn.role, turn.content.strip()) for turn in stored]
    told = [(turn["role"], turn["content"].strip()) for turn in sent]
    earlier = told[:-1]
    if earlier and known[-len(earlier) :] == earlier:
        return len(known), list(sent[-1:])
    same = 0
    while same < min(len(known), len(earlier)) and known[same] == earlier[same]:
        same += 1
    return same, list(sent[same:])


def _message(turn: Turn) -> Message:
    return {"role": turn.role, "content": turn.content}


def _turns(messages: Sequence[Message]) -> list[Message]:
    """The turns of a request, as they can be stored."""
    return [_plain(message) for message in messages if message["role"] != "system"]


def _plain(message: Message) -> Message:
    return {"role": message["role"], "content": _storable(message["content"])}


def _storable(text: str) -> str:
    """Text without what PostgreSQL cannot hold: zero bytes, and halves of characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
