"""`/twin/chats`: what is kept of chats, shown, allowed and deleted by whoever holds the token."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from twin_pipelines.serving.chats import Chats, NotKept
from twin_pipelines.serving.chats_store import Chat
from twin_pipelines.serving.refusals import Refusal

UNKNOWN = "No chat {chat} is kept; it was never kept, is out of mind, or was deleted."


class Consent(BaseModel):
    """Whether what is said in a chat may become messages of the history."""

    model_config = ConfigDict(extra="forbid")

    consented: bool


def chat_routes(chats: Chats) -> APIRouter:
    """The paths of kept chats; whoever includes them asks for the token."""
    routes = APIRouter()

    @routes.get("/twin/chats")
    async def listed() -> dict[str, Any]:
        subject, found = await _asked(chats.listed)
        return {
            "object": "list",
            "subject": subject,
            "may_learn": chats.may_learn,
            "data": [{**_head(one), "turns": one.turns} for one in found],
        }

    @routes.get("/twin/chats/{chat}")
    async def told(chat: UUID) -> dict[str, Any]:
        found = await _asked(chats.told, chat)
        if found is None:
            raise _unknown(chat)
        kept, turns = found
        return {
            **_head(kept),
            "may_learn": chats.may_learn,
            "summary": kept.summary,
            "turns": [
                {
                    "place": one.place,
                    "role": one.role,
                    "content": one.content,
                    "said_at": one.said_at,
                    "backend": one.backend,
                    "release": one.release,
                    "thumb": one.thumb,
                }
                for one in turns
            ],
        }

    @routes.post("/twin/chats/{chat}/consent")
    async def consent(chat: UUID, asked: Consent) -> dict[str, Any]:
        if not await _asked(chats.consent, chat, asked.consented):
            raise _unknown(chat)
        return {"chat": str(chat), "consented": asked.consented}

    @routes.delete("/twin/chats/{chat}")
    async def forget(chat: UUID) -> Response:
        if not await _asked(chats.forget, chat):
            raise _unknown(chat)
        return Response(status_code=204)

    return routes


async def _asked(ask: Any, *given: Any) -> Any:
    try:
        return await run_in_threadpool(ask, *given)
    except NotKept as error:
        raise Refusal(503, str(error), "database_down") from error


def _head(chat: Chat) -> dict[str, Any]:
    return {
        "chat": str(chat.chat_id),
        "consented": chat.consented,
        "partner": chat.partner,
        "started_at": chat.started_at,
        "last_at": chat.last_at,
    }


def _unknown(chat: UUID) -> Refusal:
    return Refusal(404, UNKNOWN.format(chat=chat), "not_found")
