"""llama.cpp's own server with the champion's exported model, started by the owner.

It is asked with token ids (`/completion`), so that no template of its own comes between: the prompt
is exactly the one the adapter was trained on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from twin_pipelines.generation.prompt import end_of_turn, render
from twin_pipelines.serving.backends.parsing import Heard, of_llama_cpp
from twin_pipelines.serving.backends.prompting import Prompting
from twin_pipelines.serving.backends.protocol import Asked, Signed, Word
from twin_pipelines.serving.backends.remote import Remote
from twin_pipelines.serving.backends.telling import told
from twin_pipelines.serving.engine import Sampling
from twin_pipelines.settings import Backend


class LlamaCpp:
    """One such server. Which file it has loaded is its starter's word."""

    def __init__(self, name: str, link: Backend, prompting: Prompting) -> None:
        self.name = name
        self.deadline = link.deadline_seconds
        self._remote = Remote(link.url.rstrip("/").removesuffix("/v1"))
        self._prompting = prompting

    def problem(self) -> str:
        """Without a release there is nothing it could have been given."""
        return self._prompting.untold()

    def coming(self) -> bool:
        """Never."""
        return False

    def stirred(self) -> float:
        """Not known."""
        return 0.0

    async def speak(self, asked: Asked) -> AsyncGenerator[Word, None]:
        """Its words as they come; who leaves closes the connection, which ends its work too."""
        voice = await self._prompting.taught()
        context = await asyncio.to_thread(voice.context, asked.messages, asked.recalled)
        ids = render(voice.tokenizer, context.messages, voice.context_tokens)
        body = completion(ids, asked.sampling, end_of_turn(voice.tokenizer))
        signed = Signed(self.name, voice.name, voice.name, voice.release.adapter_id)
        async with aclosing(told(signed, self._events(body), context)) as words:
            async for word in words:
                yield word

    async def close(self) -> None:
        """Close the connections."""
        await self._remote.close()

    async def _events(self, body: dict[str, Any]) -> AsyncGenerator[Heard, None]:
        async with self._remote.lines("/completion", body) as lines:
            async for line in lines:
                yield of_llama_cpp(line)


def completion(ids: list[int], sampling: Sampling, ending: str) -> dict[str, Any]:
    """The request: nucleus sampling as the engine does it, and none of the server's own ways."""
    return {
        "prompt": ids,
        "stream": True,
        "n_predict": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": 0,
        "min_p": 0.0,
        "repeat_penalty": 1.0,
        "seed": -1 if sampling.seed is None else sampling.seed % 2**32,
        "stop": [*sampling.stops, ending],
        "cache_prompt": True,
    }
