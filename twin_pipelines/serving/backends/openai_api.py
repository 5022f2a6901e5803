"""Any server of OpenAI's format: a hosted model, vLLM, and many others.

It knows nothing of the subject, so it is told the persona page besides the release's system prompt.
What is said in the chat is sent to it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from twin_pipelines.serving.backends.parsing import Heard
from twin_pipelines.serving.backends.prompting import Prompting
from twin_pipelines.serving.backends.protocol import Asked, BackendError, Signed, Word
from twin_pipelines.serving.backends.remote import CONNECT_SECONDS, KEY, LONGEST_REASON
from twin_pipelines.serving.backends.telling import told
from twin_pipelines.serving.engine import Sampling
from twin_pipelines.settings import Backend

if TYPE_CHECKING:
    from openai import AsyncOpenAI

NO_KEY = "none"  # a local server asks for none, and the client insists on one
MOST_STOPS = 4


class OpenAIFormat:
    """One model of one such server. Its key is read from the environment only."""

    def __init__(self, name: str, link: Backend, prompting: Prompting) -> None:
        self.name = name
        self.deadline = link.deadline_seconds
        self._url = link.url
        self._model = link.model
        self._prompting = prompting
        self._client: AsyncOpenAI | None = None

    def problem(self) -> str:
        """Nothing that is known without asking."""
        return ""

    def coming(self) -> bool:
        """Never."""
        return False

    def stirred(self) -> float:
        """Not known."""
        return 0.0

    async def speak(self, asked: Asked) -> AsyncGenerator[Word, None]:
        """Its words as they come; who leaves closes the connection, which ends its work too."""
        voice = await self._prompting.untaught()
        context = await asyncio.to_thread(voice.context, asked.messages, asked.recalled)
        client = await self._connected()
        events = self._events(client, context.messages, asked.sampling)
        async with aclosing(told(Signed(self.name, self._model), events, context)) as words:
            async for word in words:
                yield word

    async def close(self) -> None:
        """Close the connections."""
        if self._client:
            await self._client.close()
            self._client = None

    async def _events(
        self, client: AsyncOpenAI, messages: Any, sampling: Sampling
    ) -> AsyncGenerator[Heard, None]:
        import openai

        begun = False
        try:
            stream = await client.chat.completions.create(
                model=self._model,
                messages=messages,
                stream=True,
                max_tokens=sampling.max_new_tokens,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=sampling.seed if sampling.seed is not None else openai.omit,
                stop=list(sampling.stops[:MOST_STOPS]) or openai.omit,
            )
            async with stream:
                begun = True
                async for chunk in stream:
                    for choice in chunk.choices:
                        yield _heard(choice)
        except openai.APIConnectionError as error:
            words = f"nothing answers at {self._url}; start it, or correct its url"
            broken = f"{self._url} broke the connection off"
            raise BackendError(broken if begun else words) from error
        except openai.APIStatusError as error:
            raise BackendError(self._refusal(error)) from error
        except openai.APIError as error:
            raise BackendError(f"{self._url} failed ({_flat(error.message)})") from error
        except (OSError, ValueError) as error:
            raise BackendError(f"{self._url} sent no stream of OpenAI's format") from error

    def _refusal(self, error: Any) -> str:
        status = error.status_code
        if status in (401, 403):  # its reason may quote the key
            return f"{self._url} refused the key ({status}); set {KEY}"
        if status == 404:
            return f"{self._url} knows no model {self._model} (404); correct its url or model"
        return f"{self._url} answered with status {status} ({_flat(error.message)})"

    async def _connected(self) -> AsyncOpenAI:
        if self._client is None:
            self._client = await asyncio.to_thread(_client, self._url)
        return self._client


def _client(url: str) -> AsyncOpenAI:
    from openai import AsyncOpenAI, Timeout

    return AsyncOpenAI(
        base_url=url,
        api_key=os.environ.get(KEY) or NO_KEY,
        max_retries=0,
        timeout=Timeout(None, connect=CONNECT_SECONDS),
    )


def _heard(choice: Any) -> Heard:
    text = (choice.delta.content if choice.delta else None) or ""
    if not choice.finish_reason:
        return Heard(text)
    return Heard(text, "length" if choice.finish_reason == "length" else "stop")


def _flat(message: object) -> str:
    return " ".join(str(message).split())[:LONGEST_REASON].rstrip(".")
