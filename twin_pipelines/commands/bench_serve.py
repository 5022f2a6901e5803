"""`twin bench serve`: the HTTP API under load, on a model so small that the server is what shows.

The server is the real one in a process of its own: engine, recall of a made-up history, chats. The
clients stream at once, each one answer after another; every other one goes on with a chat that is
kept. Beside that, measured when the server rests: what it adds to its engine, and how long a search
takes that was asked before.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psutil

from twin_pipelines.commands.bench import scratch_database, write_messages
from twin_pipelines.commands.bench_served import ENGINE_SECONDS, TOKEN, run
from twin_pipelines.commands.tiny_model import build_tiny_model
from twin_pipelines.features.refresh import refresh_days
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.settings import Llm, TwinError, TwinSettings, load_settings
from twin_pipelines.sources.landing import import_file

if TYPE_CHECKING:
    import httpx

HISTORY = 2_000  # made-up messages that are searched
REPLY_TOKENS = 24
CACHED = 64
ALONE = 150  # requests one after another, of each kind
SEARCHED = 300
START_SECONDS = 180.0
WATCH_SECONDS = 1.0
SETTLED = 0.25  # of the time, after which memory should grow no more
CLIENT_SECONDS = 120.0
QUESTIONS = (
    "hello how are you doing today",
    "tell me more about the sea please",
    "คิดถึงนะ กินข้าวหรือยัง",
    "what about coffee and rain tomorrow",
    "did you sleep well",
    "วันนี้งานเป็นยังไงบ้าง",
    "which film did you see with your sister",
    "are you going home for the weekend",
)
CHAT, SEARCH = "/v1/chat/completions", "/memory/search"

Tell = Callable[[str], None]


@dataclass
class Client:
    """What one client got: seconds to the first words and to the end of each answer, errors."""

    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    tokens: int = 0
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Served:
    """A running server."""

    address: str
    process: psutil.Process


def serve(minutes: float, clients: int, tell: Tell) -> dict[str, Any]:
    """Measure for so many minutes with so many clients. Raises TwinError when nothing starts.

    Seconds are told as milliseconds, memory as MB (10⁶ bytes). `fairness` is Jain's index of the
    answers of each client: 1 when all got as many.
    """
    settings = load_settings()
    with tempfile.TemporaryDirectory() as folder, scratch_database(settings) as connection:
        tell("a history and a tiny model")
        quiet = _settings_of(settings, Path(folder))
        first, last = write_messages(Path(folder) / "messages.jsonl", HISTORY)
        import_file(
            connection,
            quiet,
            Path(folder) / "messages.jsonl",
            source_name="bench",
            consent="made up",
        )
        refresh_days(connection, quiet, DayRange(first.date(), last.date() + timedelta(days=1)))
        connection.commit()
        base = build_tiny_model(Path(folder) / "base")
        url = _url(connection)
        with _server(base, url, quiet) as served:
            tell("one request after another")
            alone = _overhead(served)
            searched = _searched(served)
            tell(f"{clients} clients for {minutes:g} minutes")
            load = asyncio.run(_load(served, clients, minutes * 60))
            counted = _get(served, "/metrics")
    return {
        "clients": clients,
        "minutes": minutes,
        **load,
        "overhead_ms": alone,
        "cached_retrieval_ms": searched,
        "cache": cache_counts(counted),
        "cores": len(os.sched_getaffinity(0)),
    }


def _settings_of(settings: TwinSettings, folder: Path) -> TwinSettings:
    """The present settings in a folder of their own, nothing of them asking a larger model.

    The caches of questions are small, so that they are full when memory is looked at.
    """
    serving = settings.serving.model_copy(
        update={"max_new_tokens": REPLY_TOKENS, "batch_size": 32, "port": 0}
    )
    retrieval = settings.retrieval.model_copy(update={"cached": CACHED})
    alone = {"home": folder, "serving": serving, "retrieval": retrieval, "llm": Llm()}
    return settings.model_copy(update=alone)


def _url(connection: Any) -> str:
    """The address of the database that a connection is open to, with its password."""
    from psycopg.conninfo import make_conninfo

    return make_conninfo(connection.info.dsn, password=connection.info.password)


@contextmanager
def _server(base: Path, url: str, settings: TwinSettings) -> Iterator[Served]:
    """The server, from the moment it answers."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=run, args=(base, url, settings, theirs), daemon=True)
    process.start()
    try:
        if not ours.poll(START_SECONDS):
            raise TwinError("The server of the benchmark did not start; its words stand above.")
        address = f"http://127.0.0.1:{ours.recv()}"
        served = Served(address, psutil.Process(process.pid))
        until = time.monotonic() + START_SECONDS
        while not _answers(served):
            if time.monotonic() > until or not process.is_alive():
                raise TwinError("The server of the benchmark does not answer; see above.")
            time.sleep(0.1)
        yield served
    finally:
        process.terminate()
        process.join(20)
        if process.is_alive():
            process.kill()


def _client(served: Served) -> httpx.Client:
    import httpx

    headers = {"authorization": f"Bearer {TOKEN}"}
    return httpx.Client(base_url=served.address, headers=headers, timeout=CLIENT_SECONDS)


def _answers(served: Served) -> bool:
    import httpx

    try:
        with _client(served) as client:
            return client.get("/healthz").is_success
    except httpx.HTTPError:
        return False


def _get(served: Served, path: str) -> str:
    with _client(served) as client:
        return client.get(path).text


def _overhead(served: Served) -> dict[str, float]:
    """What HTTP, chain and composition add to what the engine took for the same answers."""
    messages = [{"role": "user", "content": QUESTIONS[0]}]
    asked = {"messages": messages, "temperature": 0, "twin": {"recall": 0}}
    whole = []
    with _client(served) as client:
        for _ in range(ALONE):
            begun = time.perf_counter()
            client.post(CHAT, json=asked).raise_for_status()
            whole.append(time.perf_counter() - begun)
        bare = client.get(ENGINE_SECONDS).json()
    warm = ALONE // 5
    added = [all_of_it - engine for all_of_it, engine in zip(whole, bare, strict=True)][warm:]
    return {**_percentiles(added), "engine_p50": _ms(statistics.median(bare[warm:]))}


def _searched(served: Served) -> dict[str, float]:
    """Searches over HTTP of questions that were asked before."""
    seconds = []
    with _client(served) as client:
        for number in range(SEARCHED + len(QUESTIONS)):
            asked = {"query": QUESTIONS[number % len(QUESTIONS)], "k": 10}
            begun = time.perf_counter()
            client.post(SEARCH, json=asked).raise_for_status()
            seconds.append(time.perf_counter() - begun)
    return _percentiles(seconds[len(QUESTIONS) :])


async def _load(served: Served, clients: int, seconds: float) -> dict[str, Any]:
    import httpx

    begun = time.monotonic()
    until = begun + seconds
    limits = httpx.Limits(max_connections=clients + 1, max_keepalive_connections=clients + 1)
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        base_url=served.address, headers=headers, timeout=CLIENT_SECONDS, limits=limits
    ) as http:
        watching = asyncio.create_task(_watch(served.process, until))
        told = [Client() for _ in range(clients)]
        await asyncio.gather(*(_talk(http, one, number, until) for number, one in enumerate(told)))
        memory = await watching
    took = time.monotonic() - begun
    return told_of(told, memory, took)


async def _talk(http: httpx.AsyncClient, client: Client, number: int, until: float) -> None:
    """One client: an answer after another, every other client in a chat that is kept."""
    chat = str(uuid4()) if number % 2 else None
    while time.monotonic() < until:
        question = QUESTIONS[(number + len(client.whole)) % len(QUESTIONS)]
        asked: dict[str, Any] = {
            "messages": [{"role": "user", "content": question}],
            "stream": True,
            "stream_options": {"include_usage": True},
            **({"twin": {"chat": chat}} if chat else {}),
        }
        try:
            await _stream(http, client, asked)
        except Exception as error:  # counted, whatever it is
            client.errors.append(f"{type(error).__name__}: {error}"[:200])


async def _stream(http: httpx.AsyncClient, client: Client, asked: dict[str, Any]) -> None:
    begun = time.perf_counter()
    first, done, usage = None, False, 0
    async with http.stream("POST", CHAT, json=asked) as response:
        if not response.is_success:
            await response.aread()
            raise TwinError(f"status {response.status_code}: {response.text}")
        async for line in response.aiter_lines():
            if line == "data: [DONE]":
                done = True
            elif line.startswith("data: "):
                event = json.loads(line[6:])
                if "error" in event:
                    raise TwinError(event["error"]["message"])
                usage = (event.get("usage") or {}).get("completion_tokens", usage)
                if first is None and any(
                    choice["delta"].get("content") for choice in event["choices"]
                ):
                    first = time.perf_counter() - begun
    if not done:
        raise TwinError("the stream broke off")
    client.first.append(first if first is not None else time.perf_counter() - begun)
    client.whole.append(time.perf_counter() - begun)
    client.tokens += usage


async def _watch(process: psutil.Process, until: float) -> list[tuple[float, float]]:
    """Seconds and resident memory (MB) of the server, now and then."""
    begun, seen = time.monotonic(), []
    while time.monotonic() < until:
        seen.append((time.monotonic() - begun, process.memory_info().rss / 1e6))
        await asyncio.sleep(WATCH_SECONDS)
    return seen


def told_of(told: list[Client], memory: list[tuple[float, float]], took: float) -> dict[str, Any]:
    """The figures of a load that took so many seconds. Raises TwinError without any answer."""
    first = [one for client in told for one in client.first]
    whole = [one for client in told for one in client.whole]
    errors = [one for client in told for one in client.errors]
    if not whole:
        raise TwinError(f"No client got an answer ({errors[0] if errors else 'no time'}).")
    answers = [len(client.whole) for client in told]
    fairness = sum(answers) ** 2 / (len(answers) * sum(count**2 for count in answers))
    return {
        "answers": len(whole),
        "answers_per_s": round(len(whole) / took, 1),
        "tokens_per_s": round(sum(client.tokens for client in told) / took),
        "errors": len(errors),
        "first_error": errors[0] if errors else None,
        "first_words_ms": _percentiles(first),
        "whole_ms": _percentiles(whole),
        "fairness": {
            "jain": round(fairness, 4),
            "fewest": min(answers),
            "most": max(answers),
        },
        "memory_mb": memory_of(memory),
    }


def memory_of(seen: list[tuple[float, float]]) -> dict[str, float]:
    """Resident memory: at the start, when settled, at the end, the most, and its growth."""
    settled = seen[int(len(seen) * SETTLED) :]
    slope = 0.0
    if len(settled) > 2:
        slope = statistics.linear_regression(*zip(*settled, strict=True)).slope * 60
    return {
        "start": round(seen[0][1]),
        "settled": round(settled[0][1]),
        "end": round(seen[-1][1]),
        "most": round(max(size for _, size in seen)),
        "growth_per_minute": round(slope, 2),
    }


def cache_counts(metrics: str) -> dict[str, float]:
    """The counters of caches among the server's metrics, by name and outcome."""
    counts = {}
    for line in metrics.splitlines():
        if line.startswith("twin_cache_total{"):
            labels, value = line.removeprefix("twin_cache_total{").split("} ")
            name = " ".join(part.split("=")[1].strip('"') for part in labels.split(","))
            counts[name] = float(value)
    return counts


def _percentiles(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"p50": _ms(cuts[49]), "p95": _ms(cuts[94]), "p99": _ms(cuts[98])}


def _ms(seconds: float) -> float:
    return round(seconds * 1_000, 2)
