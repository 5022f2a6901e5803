"""Ollama with the champion's exported model, which is created there through its API.

The GGUF file is sent as a blob, once, and the model made of it with template, system prompt and
stop words from the Modelfile beside it (`training.export.ollama`), under a name that the adapter's
identity is part of: after a promotion another model is made, and a rollback finds the old one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.generation.prompt import end_of_turn
from twin_pipelines.serving.backends.parsing import Heard, of_ollama
from twin_pipelines.serving.backends.prompting import Prompting
from twin_pipelines.serving.backends.protocol import Asked, BackendError, Signed, Word
from twin_pipelines.serving.backends.remote import Remote
from twin_pipelines.serving.backends.telling import told
from twin_pipelines.serving.engine import Sampling
from twin_pipelines.serving.voice import Voice
from twin_pipelines.settings import Backend, TwinError
from twin_pipelines.training.export.config import F16, MANIFEST, Q4, Q4_K_M, Q8

BEST_FIRST = (F16, Q8, Q4_K_M, Q4)
BLOCK = 1 << 20  # bytes of a file that are sent at once
KEEP_ALIVE = "30m"  # that Ollama keeps the model in memory
_TEXTS = re.compile(r'^(TEMPLATE|SYSTEM) """(.*?)"""$', re.MULTILINE | re.DOTALL)
_STOP = re.compile(r'^PARAMETER stop "(.*)"$', re.MULTILINE)
_NUMBER = re.compile(r"^PARAMETER (temperature|top_p) (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Exported:
    """A GGUF file of an export, its sha256, and its Modelfile as Ollama's API takes it."""

    file: Path
    sha256: str
    recipe: dict[str, Any]


class Ollama:
    """One Ollama server; with a `model` of the owner's, that one is asked and none is made."""

    def __init__(self, name: str, link: Backend, prompting: Prompting, exports: Path) -> None:
        self.name = name
        self.deadline = link.deadline_seconds
        self._remote = Remote(link.url.rstrip("/").removesuffix("/v1"))
        self._model = link.model
        self._prompting = prompting
        self._exports = exports
        self._making: dict[str, asyncio.Task[None]] = {}

    def problem(self) -> str:
        """Without a release there is nothing to give it."""
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
        model = self._model or await self._made(voice)
        context = await asyncio.to_thread(voice.context, asked.messages, asked.recalled)
        ending = end_of_turn(voice.tokenizer)
        body = {
            "model": model,
            "messages": context.messages,
            "stream": True,
            "keep_alive": KEEP_ALIVE,
            "options": options(asked.sampling, voice.context_tokens, ending),
        }
        signed = Signed(self.name, model, voice.name, voice.release.adapter_id)
        async with aclosing(told(signed, self._events(body), context)) as words:
            async for word in words:
                yield word

    async def close(self) -> None:
        """Stop what is being made, and close the connections."""
        for task in self._making.values():
            task.cancel()
        await asyncio.gather(*self._making.values(), return_exceptions=True)
        await self._remote.close()

    async def _events(self, body: dict[str, Any]) -> AsyncGenerator[Heard, None]:
        async with self._remote.lines("/api/chat", body) as lines:
            async for line in lines:
                yield of_ollama(line)

    async def _made(self, voice: Voice) -> str:
        """The name of the model in Ollama, made there at the first call.

        Who stops waiting does not stop the making; one that failed is begun anew.
        """
        adapter = voice.release.adapter_id
        name = f"twin-{adapter}"
        task = self._making.get(name)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = asyncio.create_task(self._make(name, adapter))
            self._making[name] = task
        await asyncio.shield(task)
        return name

    async def _make(self, name: str, adapter: str) -> None:
        import httpx

        exported = await asyncio.to_thread(best_export, self._exports / adapter)
        client, blob = self._remote.client, f"sha256:{exported.sha256}"
        try:
            there = await client.post("/api/show", json={"model": name})
            if there.is_success:
                return
            known = await client.head(f"/api/blobs/{blob}")
            if not known.is_success:
                sent = await client.post(f"/api/blobs/{blob}", content=_blocks(exported.file))
                await self._remote.check(sent)
        except httpx.ConnectError as error:
            words = f"nothing answers at {self._remote.url}; start Ollama, or correct its url"
            raise BackendError(words) from error
        except httpx.HTTPError as error:
            raise BackendError(f"{self._remote.url} broke the sending of a model off") from error
        body = {"model": name, "files": {exported.file.name: blob}, **exported.recipe}
        async with self._remote.lines("/api/create", {**body, "stream": True}) as lines:
            async for line in lines:
                of_ollama(line)  # raises for an error it tells


def options(sampling: Sampling, context_tokens: int, ending: str) -> dict[str, Any]:
    """Nucleus sampling as the engine does it, and none of Ollama's own ways."""
    chosen: dict[str, Any] = {
        "num_predict": sampling.max_new_tokens,
        "num_ctx": context_tokens + sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": 0,
        "min_p": 0.0,
        "repeat_penalty": 1.0,
        "stop": [*sampling.stops, ending],
    }
    if sampling.seed is not None:
        chosen["seed"] = sampling.seed % 2**31
    return chosen


def best_export(folder: Path) -> Exported:
    """The most exact GGUF file of an export that has a Modelfile.

    Raises TwinError when there is none.
    """
    artefacts = read_json(folder / MANIFEST).get("artefacts", {})
    for kind in BEST_FIRST:
        artefact = artefacts.get(kind)
        recipe = (artefact or {}).get("modelfile") or {}
        if not artefact or not recipe.get("path"):
            continue
        file, modelfile = folder / artefact["path"], folder / recipe["path"]
        if file.is_file() and modelfile.is_file():
            return Exported(file, artefact["files"][artefact["path"]], parts(modelfile.read_text()))
    raise TwinError(
        f"no GGUF file with a Modelfile lies in {folder}; add gguf_q8_0 to export.formats and run "
        "`twin export`"
    )


def parts(modelfile: str) -> dict[str, Any]:
    """The parts of a Modelfile of ours under the names that Ollama's API has for them."""
    found: dict[str, Any] = {name.lower(): text for name, text in _TEXTS.findall(modelfile)}
    parameters: dict[str, Any] = {name: float(value) for name, value in _NUMBER.findall(modelfile)}
    if stops := _STOP.findall(modelfile):
        parameters["stop"] = stops
    return {**found, "parameters": parameters}


async def _blocks(file: Path) -> AsyncIterator[bytes]:
    """The bytes of a file, read beside the event loop."""
    with file.open("rb") as opened:
        while block := await asyncio.to_thread(opened.read, BLOCK):
            yield block
