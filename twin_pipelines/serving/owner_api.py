"""`/twin/…`: what the owner thinks of answers and decides about memories, over HTTP.

Whoever includes these paths asks for the token. Every change is committed before it is answered,
and `changed` has been called after it, so that the next answer knows of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Literal, TypeVar
from uuid import UUID

import psycopg
from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from twin_pipelines.foundation.database import connect
from twin_pipelines.instruct.preference_store import add_correction
from twin_pipelines.memory import owner, pins
from twin_pipelines.persona import never_says_store
from twin_pipelines.persona.never_says import LONGEST, NeverSay
from twin_pipelines.serving import owner_store
from twin_pipelines.serving.refusals import Refusal
from twin_pipelines.settings import TwinError

logger = logging.getLogger(__name__)

MADE_BY = "a chat"
LONGEST_TEXT = 20_000  # characters of a corrected reply or memory
SHOWN = (
    "memory_id",
    "type",
    "kind",
    "title",
    "content",
    "about",
    "status",
    "status_reason",
    "pinned",
    "origin",
    "first_at",
    "last_at",
)
NO_ANSWER = (
    "There is no kept answer at place {place} of chat {chat}; only kept chats can be judged."
)
Result = TypeVar("Result")
Work = Callable[[psycopg.Connection], Result]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Thumb(_Body):
    """An opinion of an answer: good, bad, or none any more."""

    chat: UUID
    place: int = Field(ge=0)
    thumb: Literal[1, -1] | None


class CorrectedReply(_Body):
    """What the twin should have said, and what it should never say."""

    chat: UUID
    place: int = Field(ge=0)
    text: str = Field(min_length=1, max_length=LONGEST_TEXT)
    never: list[str] = Field(default=[], max_length=20)


class CorrectedMemory(_Body):
    """What is true instead."""

    text: str = Field(min_length=1, max_length=LONGEST_TEXT)


class NewNeverSay(_Body):
    """Words the owner never wants to hear, and why."""

    phrase: str = Field(max_length=LONGEST)
    reason: str = Field(default="", max_length=1_000)


def owner_routes(url: str, changed: Callable[[], object] = lambda: None) -> APIRouter:
    """The paths, on the database at `url`. `changed` is called in a thread after each change."""
    desk = _Desk(url, changed)
    routes = APIRouter(prefix="/twin")
    _reply_routes(routes, desk)
    _memory_routes(routes, desk)
    _never_say_routes(routes, desk)
    return routes


class _Desk:
    """Does the owner's work in threads, each piece on a connection of its own."""

    def __init__(self, url: str, changed: Callable[[], object]) -> None:
        self._url = url
        self._changed = changed

    async def read(self, work: Work[Result]) -> Result:
        """What the database says. Raises Refusal."""
        return await run_in_threadpool(self._do, work)

    async def change(self, work: Work[Result]) -> Result:
        """Do it, commit, and let the server know. Raises Refusal, and changes nothing then."""
        done = await run_in_threadpool(self._do, work)
        try:
            await run_in_threadpool(self._changed)
        except TwinError as error:
            logger.warning("A change of the owner's is known to the server later only: %s", error)
        return done

    def _do(self, work: Work[Result]) -> Result:
        try:
            connection = connect(self._url)
        except TwinError as error:
            raise Refusal(503, str(error), "database_down") from error
        with connection:  # commits, or takes everything back
            try:
                return work(connection)
            except TwinError as error:
                raise Refusal(409, str(error), "refused") from error


def _reply_routes(routes: APIRouter, desk: _Desk) -> None:
    @routes.post("/thumb")
    async def thumb(asked: Thumb) -> dict[str, Any]:
        def work(connection: psycopg.Connection) -> None:
            if not owner_store.set_thumb(connection, asked.chat, asked.place, asked.thumb):
                raise _no_answer(asked.chat, asked.place)

        await desk.read(work)
        return {"chat": str(asked.chat), "place": asked.place, "thumb": asked.thumb}

    @routes.post("/correct")
    async def correct(asked: CorrectedReply) -> dict[str, Any]:
        def work(connection: psycopg.Connection) -> dict[str, Any]:
            said = owner_store.answer_at(connection, asked.chat, asked.place)
            if said is None:
                raise _no_answer(asked.chat, asked.place)
            number = add_correction(
                connection,
                prompt=said.prompt,
                rejected=said.content,
                chosen=asked.text,
                made_by=MADE_BY,
                adapter_id=said.adapter_id,
            )
            never = [
                never_says_store.add_never_say(connection, phrase, correction_id=number)
                for phrase in asked.never
            ]
            return {"correction": number, "never_says": [_never_say(one) for one in never]}

        return await desk.change(work)


def _memory_routes(routes: APIRouter, desk: _Desk) -> None:
    @routes.post("/memories/{memory_id}/correct")
    async def put_right(memory_id: UUID, asked: CorrectedMemory) -> dict[str, Any]:
        def work(connection: psycopg.Connection) -> dict[str, Any]:
            made = owner.correct(connection, _known(connection, memory_id), asked.text)
            return {"memory": _memory(made.memory), "replaced": made.replaced, "run": made.run_id}

        return await desk.change(work)

    @routes.post("/memories/{memory_id}/{action}")
    async def decide(
        memory_id: UUID, action: Literal["pin", "unpin", "forget", "remember"]
    ) -> dict[str, Any]:
        def work(connection: psycopg.Connection) -> dict[str, Any]:
            told = _DECISIONS[action](connection, _known(connection, memory_id))
            return {"memory": _memory(pins.memory_by(connection, str(memory_id))), **told}

        return await desk.change(work)

    @routes.post("/messages/{message_id}/forget")
    async def hide(message_id: UUID) -> dict[str, Any]:
        return await desk.change(
            lambda connection: _forgot(owner.forget_message(connection, str(message_id)))
        )

    @routes.post("/messages/{message_id}/remember")
    async def find_again(message_id: UUID) -> dict[str, Any]:
        found = await desk.change(
            lambda connection: owner.remember_message(connection, str(message_id))
        )
        return {"returned": found}

    @routes.get("/quarantine")
    async def suspicious() -> dict[str, Any]:
        found = await desk.read(owner.quarantined)
        rows = found.iter_rows(named=True)
        return {"quarantine": [{**_memory(row), "why": row["status_reason"]} for row in rows]}

    @routes.post("/quarantine/{memory_id}/release")
    async def let_out(memory_id: UUID) -> dict[str, Any]:
        def work(connection: psycopg.Connection) -> dict[str, Any]:
            return {"memory": _memory(owner.release(connection, _known(connection, memory_id)))}

        return await desk.change(work)


def _never_say_routes(routes: APIRouter, desk: _Desk) -> None:
    @routes.get("/never-says")
    async def listed() -> dict[str, Any]:
        found = await desk.read(never_says_store.never_says)
        return {"never_says": [_never_say(one) for one in found]}

    @routes.post("/never-says", status_code=201)
    async def add(asked: NewNeverSay) -> dict[str, Any]:
        made = await desk.change(
            lambda connection: never_says_store.add_never_say(
                connection, asked.phrase, asked.reason
            )
        )
        return _never_say(made)

    @routes.delete("/never-says/{never_id}")
    async def drop(never_id: UUID) -> Response:
        def work(connection: psycopg.Connection) -> None:
            if not never_says_store.drop_never_say(connection, str(never_id)):
                words = f"There is no never-say {never_id}; GET /twin/never-says lists them."
                raise Refusal(404, words, "not_found")

        await desk.change(work)
        return Response(status_code=204)


def _remembered(connection: psycopg.Connection, memory_id: str) -> dict[str, Any]:
    return {"run": owner.remember(connection, memory_id).run_id}


def _forgot(done: owner.Forgot) -> dict[str, Any]:
    return {
        "run": done.run_id,
        "forgotten": done.memory_ids,
        "messages": len(done.message_ids),
    }


def _pinned(connection: psycopg.Connection, memory_id: str) -> dict[str, Any]:
    pins.pin(connection, memory_id)
    return {}


def _unpinned(connection: psycopg.Connection, memory_id: str) -> dict[str, Any]:
    pins.unpin(connection, memory_id)
    return {}


_DECISIONS: dict[str, Callable[[psycopg.Connection, str], dict[str, Any]]] = {
    "pin": _pinned,
    "unpin": _unpinned,
    "forget": lambda connection, memory_id: _forgot(owner.forget(connection, memory_id)),
    "remember": _remembered,
}


def _known(connection: psycopg.Connection, memory_id: UUID) -> str:
    try:
        return str(pins.memory_by(connection, str(memory_id))["memory_id"])
    except TwinError as error:
        raise Refusal(404, str(error), "not_found") from error


def _memory(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in SHOWN}


def _never_say(one: NeverSay) -> dict[str, Any]:
    return {
        "never_id": one.never_id,
        "phrase": one.phrase,
        "reason": one.reason,
        "made_at": one.made_at,
    }


def _no_answer(chat: UUID, place: int) -> Refusal:
    return Refusal(404, NO_ANSWER.format(chat=chat, place=place), "not_found")
