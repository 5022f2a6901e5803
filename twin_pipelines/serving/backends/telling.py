"""The words of another server as a reply's: white space around them goes, an empty reply fails."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from twin_pipelines.generation.context import Context
from twin_pipelines.serving.backends.parsing import Heard
from twin_pipelines.serving.backends.protocol import BackendError, Signed, Word
from twin_pipelines.serving.engine import Reply

EMPTY = "it sent an answer without words"
CUT = "it broke off in the middle of its answer"


async def told(
    signed: Signed, events: AsyncGenerator[Heard, None], context: Context
) -> AsyncGenerator[Word, None]:
    """Who speaks, the words, and the reply with what it was asked with.

    The pieces make up exactly the reply's text; where the server does not count tokens, they count
    as one each. Raises BackendError for an answer without words and for one without an end.
    """
    said, held, pieces = "", "", 0
    async with aclosing(events):
        async for heard in events:
            text = held + heard.text
            text = text if said else text.lstrip()
            piece = text.rstrip()
            held = text[len(piece) :]
            if piece:
                if not said:
                    yield signed
                said += piece
                pieces += 1
                yield piece
            if heard.finish:
                if not said:
                    raise BackendError(EMPTY)
                yield Reply(
                    said,
                    heard.finish,
                    heard.prompt_tokens or context.tokens,
                    heard.reply_tokens or pieces,
                    context.lines,
                    tuple(context.messages),
                )
                return
    raise BackendError(CUT)
