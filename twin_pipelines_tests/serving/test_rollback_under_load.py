"""A rollback while a hundred clients ask: nobody fails, and no answer mixes two releases.

A real server process, a real database and real HTTP. The two releases have different adapters,
system prompts and core memories; what each of them answers greedily is computed beforehand, so
that every answer can be held against the release it names.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import httpx
import psycopg

from twin_pipelines.foundation.database import connect
from twin_pipelines.generation.local import generate_replies
from twin_pipelines.promotion.in_force import ReleaseInForce
from twin_pipelines.promotion.release import rollback
from twin_pipelines.promotion.store import release_in_force
from twin_pipelines.serving.access import bearer_token
from twin_pipelines.serving.voice import Voice, load_voice
from twin_pipelines.settings import TwinSettings

CLIENTS = 100
QUESTIONS = [f"tell me more about the {word}" for word in ("sea", "rain", "film", "week", "work")]
TOKENS = 6


@dataclass(frozen=True)
class Heard:
    """One answer as a client saw it; times by one clock."""

    question: str
    sent_at: float
    heard_at: float
    status: int
    named: set[str]
    text: str


def _in_force(connection: psycopg.Connection) -> ReleaseInForce:
    found = release_in_force(connection)
    connection.rollback()
    assert found
    return found


def _greedy(voice: Voice) -> dict[str, str]:
    asked = [voice.conversation([{"role": "user", "content": text}])[0] for text in QUESTIONS]
    replies = generate_replies(
        voice.model, voice.tokenizer, asked, max_new_tokens=TOKENS, temperature=0, max_tokens=256
    )
    return dict(zip(QUESTIONS, replies, strict=True))


@contextmanager
def serving() -> Iterator[str]:
    """A server process, once it answers; yields its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "twin_pipelines.cli", "serve", "--port", "0"],
        env=os.environ.copy(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    lines = iter(process.stdout.readline, "")
    said = []
    try:
        address = ""
        for line in lines:
            said.append(line)
            if "answers at " in line:
                address = line.split("answers at ")[1].strip().removesuffix("/v1")
                break
        assert address, "".join(said)
        rest = threading.Thread(target=lambda: said.extend(lines), daemon=True)
        rest.start()
        deadline = time.monotonic() + 60
        while not _release(address):
            assert time.monotonic() < deadline, "".join(said)
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        code = process.wait(timeout=30)
    assert code == 0, "".join(said)
    assert not [line for line in said if "Traceback" in line], "".join(said)


def _release(address: str) -> str | None:
    try:
        return httpx.get(f"{address}/health", timeout=5).json()["release"]
    except httpx.TransportError:
        return None


async def _ask_on(
    client: httpx.AsyncClient, number: int, heard: list[Heard], enough: asyncio.Event
) -> None:
    for turn in count():
        if enough.is_set():
            return
        question = QUESTIONS[(number + turn) % len(QUESTIONS)]
        asked = {
            "messages": [{"role": "user", "content": question}],
            "temperature": 0,
            "max_tokens": TOKENS,
        }
        sent_at = time.monotonic()
        response = await client.post("/v1/chat/completions", json=asked)
        heard_at = time.monotonic()
        answer = response.json()
        named = {str(answer.get("model")), str(response.headers.get("x-twin-release"))}
        text = answer["choices"][0]["message"]["content"] if response.is_success else ""
        heard.append(Heard(question, sent_at, heard_at, response.status_code, named, text))


async def _storm(address: str, token: str, database_url: str) -> tuple[list[Heard], float]:
    """A hundred clients that ask on and on; a rollback in between; answers, and when it began."""
    heard: list[Heard] = []
    enough = asyncio.Event()

    async def until_heard(more: int) -> None:
        wanted = len(heard) + more
        while len(heard) < wanted:
            for client in clients:
                if client.done():
                    await client  # it has failed: say why
            await asyncio.sleep(0.05)

    async with httpx.AsyncClient(
        base_url=address,
        headers={"authorization": f"Bearer {token}"},
        limits=httpx.Limits(max_connections=CLIENTS),
        timeout=60,
    ) as door:
        clients = [
            asyncio.create_task(_ask_on(door, number, heard, enough)) for number in range(CLIENTS)
        ]
        await until_heard(CLIENTS)
        present = await asyncio.to_thread(_release, address)
        rolled_back_at = time.monotonic()
        await asyncio.to_thread(_roll_back, database_url)
        while await asyncio.to_thread(_release, address) == present:
            await asyncio.sleep(0.05)
        await until_heard(CLIENTS)
        enough.set()
        await asyncio.gather(*clients)
    return heard, rolled_back_at


def test_nobody_fails_and_every_answer_is_of_exactly_one_release(
    served: TwinSettings, connection: psycopg.Connection, database_url: str
) -> None:
    new = load_voice(_in_force(connection), served)
    said = {new.name: _greedy(new)}
    token = bearer_token(served)
    with serving() as address:
        heard, rolled_back_at = asyncio.run(_storm(address, token, database_url))
        spoken = _by_the_openai_client(f"{address}/v1", token)

    old = load_voice(_in_force(connection), served)
    said[old.name] = _greedy(old)
    assert all(said[new.name][text] != said[old.name][text] for text in QUESTIONS)
    assert len(heard) >= 2 * CLIENTS
    assert {one.status for one in heard} == {200}
    assert all(len(one.named) == 1 for one in heard), "body and header name one release"
    by = {name: [one for one in heard if one.named == {name}] for name in said}
    assert len(by[new.name]) + len(by[old.name]) == len(heard)
    assert by[new.name] and by[old.name]
    for name, answers in by.items():
        assert all(one.text == said[name][one.question] for one in answers), name
    # whoever asked after somebody had heard the restored release never got the other one
    assert min(one.heard_at for one in by[old.name]) > rolled_back_at
    switched = min(one.heard_at for one in by[old.name])
    assert all(one.sent_at < switched for one in by[new.name])
    assert spoken == said[old.name][QUESTIONS[0]]


def _by_the_openai_client(url: str, token: str) -> str:
    """The answer to the first question, streamed to the client most programs use."""
    import openai

    with openai.OpenAI(base_url=url, api_key=token, max_retries=0) as client:
        stream = client.chat.completions.create(
            model="twin",
            messages=[{"role": "user", "content": QUESTIONS[0]}],
            temperature=0,
            max_tokens=TOKENS,
            stream=True,
        )
        return "".join(event.choices[0].delta.content or "" for event in stream)


def _roll_back(url: str) -> None:
    with connect(url) as connection:
        rollback(connection)
        connection.commit()
