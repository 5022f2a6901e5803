"""What a watcher sees: ready, degraded or not; and counts that agree with what was asked."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
import uvicorn

from twin_pipelines.commands.serve import listening
from twin_pipelines.serving import health
from twin_pipelines.serving.app import create_app
from twin_pipelines.serving.engine import DEAD, Engine
from twin_pipelines.serving.metrics import Metrics, Present
from twin_pipelines.serving.recollection import Recollection
from twin_pipelines.serving.voice import Voice
from twin_pipelines.settings import Serving, TwinSettings

TOKEN = "not-a-secret"
LETTER = 40  # a token
CHAT = "/v1/chat/completions"
ASKED = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0, "max_tokens": 4}


@pytest.fixture(scope="module")
def voice(make_voice: Callable[[int], Voice]) -> Voice:
    return make_voice(1)


@pytest.fixture
def engine(voice: Voice) -> Iterator[Engine]:
    made = Engine(batch_size=1, waiting=8)
    made.switch(voice)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def address(engine: Engine) -> Iterator[str]:
    """A real server."""
    app = create_app(engine, TOKEN, Serving())
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    with listening(TwinSettings(), 0) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def ready(engine: Engine, recollection: Recollection | None = None) -> httpx.Response:
    async def run() -> httpx.Response:
        app = create_app(engine, TOKEN, Serving(), recollection=recollection)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/readyz")

    return asyncio.run(run())


def scraped(address: str) -> dict[str, float]:
    response = httpx.get(f"{address}/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    values = {}
    for line in response.text.splitlines():
        if not line.startswith("#"):
            assert re.fullmatch(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.]+', line)
            name, _, value = line.rpartition(" ")
            assert name not in values
            values[name] = float(value)
    return values


def test_a_server_with_release_and_database_is_ready(engine: Engine, database_url: str) -> None:
    response = ready(engine, Recollection(database_url, TwinSettings()))
    assert response.status_code == 200
    assert engine.voice
    assert response.json() == {
        "status": "ready",
        "release": engine.voice.name,
        "database": "ok",
        "problems": [],
        "backends": [{"backend": "champion", "circuit": "closed", "problem": ""}],
    }


def test_a_server_that_cannot_answer_is_not_ready(voice: Voice, engine: Engine) -> None:
    empty = Engine(batch_size=1, waiting=1)
    empty.start()
    response = ready(empty)
    assert (response.status_code, response.json()["status"]) == (503, "not ready")
    assert response.json()["problems"] == [health.NO_RELEASE]
    empty.stop()
    engine.stop()
    response = ready(engine)
    assert (response.status_code, response.json()["problems"]) == (503, [DEAD])


def test_an_older_release_that_goes_on_answering_is_degraded(engine: Engine) -> None:
    engine.report_problem("The adapter of release 7 is missing.")
    response = ready(engine)
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert response.json()["problems"] == ["The adapter of release 7 is missing."]


def test_a_database_that_does_not_answer_delays_nobody(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "DATABASE_SECONDS", 0.05)
    silent = Recollection("", TwinSettings())
    monkeypatch.setattr(silent, "problem", lambda: time.sleep(0.5) or "")
    response = ready(engine, silent)
    assert (response.status_code, response.json()["database"]) == (200, "down")
    assert "does not answer within" in response.json()["problems"][0]


def test_counts_agree_with_what_was_asked(address: str, engine: Engine) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    usage = {"prompt_tokens": 0, "completion_tokens": 0}
    for _ in range(3):
        answer = httpx.post(f"{address}{CHAT}", json=ASKED, headers=headers).json()
        usage = {name: usage[name] + answer["usage"][name] for name in usage}
    httpx.post(f"{address}{CHAT}", json=ASKED)
    for path in ("/nowhere", "/nowhere/else"):
        told = httpx.get(f"{address}{path}")
        assert told.status_code == 404
        assert told.json()["error"]["message"].startswith(f"There is nothing at {path};")
    assert httpx.get(f"{address}{CHAT}").status_code == 405
    values = scraped(address)
    labels = f'path="{CHAT}",method="POST",status='
    assert values[f'twin_requests_total{{{labels}"200"}}'] == 3
    assert values[f'twin_requests_total{{{labels}"401"}}'] == 1
    assert values['twin_requests_total{path="other",method="GET",status="404"}'] == 2
    assert values['twin_tokens_total{kind="prompt"}'] == usage["prompt_tokens"]
    assert values['twin_tokens_total{kind="reply"}'] == usage["completion_tokens"]
    count = values[f'twin_request_seconds_count{{path="{CHAT}"}}']
    assert count == values[f'twin_request_seconds_bucket{{path="{CHAT}",le="+Inf"}}']
    assert values[f'twin_request_seconds_sum{{path="{CHAT}"}}'] > 0
    assert engine.voice
    assert values[f'twin_release_info{{release="{engine.voice.name}"}}'] == 1
    assert values["twin_queue_length"] == 0
    assert values["twin_requests_running"] == 1, "the one that asks"


def test_seconds_fall_into_the_buckets_that_hold_them() -> None:
    metrics = Metrics()
    for seconds in (0.005, 0.006, 2.0, 500.0):
        metrics.begin()
        metrics.end('/a"b\\', "GET", 200, seconds)
    text = metrics.text(Present(2, "", True))
    counted = re.findall(r'twin_request_seconds_bucket\{path="(.*)",le="(.*)"\} (\d)', text)
    assert {path for path, _, _ in counted} == {r"/a\"b\\"}
    found = {bound: int(count) for _, bound, count in counted}
    assert (found["0.005"], found["0.01"], found["1"]) == (1, 2, 2)
    assert (found["2.5"], found["60"], found["+Inf"]) == (3, 3, 4)
    assert "twin_queue_length 2\n" in text
    assert "twin_problem 1\n" in text
    assert "twin_release_info{" not in text


def test_a_reply_ends_when_its_reader_leaves_and_so_does_one_that_waits(
    address: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def slowly(
        *given: object, on_token: Callable[[int, int], None], max_new_tokens: int, **named: object
    ) -> None:
        for _ in range(max_new_tokens):
            written.append(LETTER)
            time.sleep(0.02)
            on_token(0, LETTER)

    monkeypatch.setattr("twin_pipelines.serving.engine.generate_replies", slowly)
    monkeypatch.setattr("twin_pipelines.serving.answers.LOOK_SECONDS", 0.05)
    headers = {"authorization": f"Bearer {TOKEN}"}
    says = [{"role": "user", "content": "how are you"}]
    long = {"messages": says, "temperature": 0, "max_tokens": 250, "stream": True}
    waits = ASKED | {"max_tokens": 5}  # another batch than the others
    with httpx.stream("POST", f"{address}{CHAT}", json=long, headers=headers) as reading:
        first = reading.iter_text()  # it hangs up when it is forgotten
        next(first)
        while not written:
            time.sleep(0.01)
        for queued in (long | {"max_tokens": 249}, waits):
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{address}{CHAT}", json=queued, headers=headers, timeout=0.3)
    left = len(written)
    answer = httpx.post(f"{address}{CHAT}", json=ASKED, headers=headers, timeout=20).json()
    assert answer["choices"]
    assert len(written) < left + 20, "the 250 tokens of those who left were not written"
    deadline = time.monotonic() + 5
    while scraped(address)["twin_abandoned_total"] < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert scraped(address)["twin_abandoned_total"] == 3
