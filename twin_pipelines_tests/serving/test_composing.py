"""Everybody who takes part in an answer is asked in order, and none can cost the answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from twin_pipelines.generation.prompt import Message
from twin_pipelines.generation.remembered import Remembered
from twin_pipelines.serving import composing
from twin_pipelines.serving.app import create_app
from twin_pipelines.serving.backends.chain import Chain
from twin_pipelines.serving.backends.from_memories import FromMemories
from twin_pipelines.serving.backends.in_process import Champion
from twin_pipelines.serving.backends.protocol import Asked, BackendError, Signed, Word
from twin_pipelines.serving.composing import NOT_KEPT, SLOW, Composer, Parts
from twin_pipelines.serving.engine import Engine, Reply, Sampling
from twin_pipelines.serving.hooks import Answered, Recall
from twin_pipelines.serving.metrics import Metrics
from twin_pipelines.serving.voice import Voice
from twin_pipelines.serving.wire import ChatRequest
from twin_pipelines.settings import Serving, TwinError

TOKEN = "not-a-secret"
CHAT = "/v1/chat/completions"
TEA = Remembered("recalled", "I drink jasmine tea", ("m1",), ("r1",))
CATS = Remembered("pinned", "ฉันเลี้ยงแมวสองตัว", ("m2",), ("r2",))
BEFORE = Remembered("session", "partner: we spoke of rain")


def asked(text: str = "how are you", **twin: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"messages": messages, "temperature": 0, "max_tokens": 8, "twin": twin}


@dataclass
class Memories:
    """A recollection that finds one thing, or fails."""

    failing: str = ""
    seconds: float = 0.0
    questions: list[tuple[str, int]] = field(default_factory=list)

    def recall(self, question: str, turns: Sequence[Message], k: int) -> Recall:
        """One memory."""
        time.sleep(self.seconds)
        if self.failing:
            raise TwinError(self.failing)
        self.questions.append((question, k))
        return Recall([TEA], {"m1": "says tea"}, "")

    def pinned(self) -> Sequence[Remembered]:
        """One memory."""
        return [CATS]

    def version(self) -> int | None:
        """Always the same."""
        return 1


@dataclass(frozen=True)
class Opening:
    """An opened chat."""

    messages: Sequence[Message]
    session: Sequence[Remembered] = (BEFORE,)
    problem: str = ""

    def told(self, place: int | None) -> Mapping[str, Any]:
        """Its name and the place of the answer."""
        return {"chat": "c1", "place": place}


@dataclass
class Book:
    """Chats that are written into a list."""

    kept: list[Answered] = field(default_factory=list)
    opened: list[tuple[str, bool | None, str | None]] = field(default_factory=list)
    failing: str = ""

    def open(
        self,
        wish: str,
        messages: Sequence[Message],
        *,
        consent: bool | None = None,
        partner: str | None = None,
    ) -> Opening:
        """A chat with one turn before."""
        self.opened.append((wish, consent, partner))
        if self.failing:
            raise TwinError(self.failing)
        earlier = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hey"}]
        return Opening([*earlier, *messages])

    def said(self, opened: Any, answered: Answered) -> int | None:
        """Keep it."""
        self.kept.append(answered)
        return 3


class Shouting:
    """A watch that puts words into capitals and holds the last sign back."""

    def __init__(self) -> None:
        self.changed: list[str] = ["case"]
        self._held = ""

    def feed(self, piece: str) -> str:
        """All but the last sign."""
        text = self._held + piece.upper()
        self._held = text[-1:]
        return text[:-1]

    def rest(self) -> str:
        """The last sign."""
        return self._held


class Rules:
    """A guard that knows one question."""

    def disclosure(self, messages: Sequence[Message]) -> str:
        """To the question whether it is a machine."""
        return "I am an AI twin." if "human" in messages[-1]["content"] else ""

    def watch(self, messages: Sequence[Message]) -> Shouting:
        """Shout."""
        return Shouting()


@dataclass
class Kept:
    """A cache of everything."""

    replies: dict[str, Reply] = field(default_factory=dict)

    def key(
        self,
        messages: Sequence[Message],
        recalled: Sequence[Remembered],
        sampling: Sampling,
        release: str,
        version: int | None,
    ) -> str | None:
        """The words and the release."""
        return f"{messages}{release}{version}"

    def get(self, key: str) -> Reply | None:
        """What was kept."""
        return self.replies.get(key)

    def put(self, key: str, reply: Reply, backend: str) -> None:
        """Keep it."""
        self.replies[key] = reply


@pytest.fixture(scope="module")
def engine(make_voice: Callable[[int], Voice]) -> Iterator[Engine]:
    made = Engine(batch_size=4, waiting=8)
    made.switch(make_voice(1))
    made.start()
    yield made
    made.stop()


def call(engine: Engine, *bodies: dict[str, Any], **parts: Any) -> list[httpx.Response]:
    async def run() -> list[httpx.Response]:
        app = create_app(engine, TOKEN, Serving(), **parts)
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost", headers=headers
        ) as client:
            return [await client.post(CHAT, json=body) for body in bodies]

    return asyncio.run(run())


def compose(engine: Engine, parts: Parts, body: dict[str, Any], **chosen: Any) -> Any:
    """The answer and its reply, without HTTP."""

    async def run() -> tuple[Any, Reply]:
        chain = Chain(chosen.get("backends", [Champion(engine, 20)]))
        composer = Composer(engine, chain, Serving(), Metrics(), parts)
        answer = await composer.open(ChatRequest.model_validate(body))
        *_, reply = [event async for event in composer.events(answer)]
        return answer, reply

    return asyncio.run(run())


def test_what_is_pinned_recalled_and_summed_up_stands_in_the_prompt_and_is_told_with_reasons(
    engine: Engine,
) -> None:
    memories = Memories()
    answer, reply = compose(engine, Parts(memories, Book()), asked(memories=True, chat="new"))
    prompt = reply.messages[0]["content"]
    places = [prompt.index(one) for one in ("ฉันเลี้ยงแมวสองตัว", "jasmine tea", "of rain")]
    assert places == sorted(places), "pinned, recalled, the session"
    assert [turn["content"] for turn in reply.messages[1:]] == ["hi", "hey", "how are you"]
    told = answer.besides(reply)["twin"]["memories"]
    assert [(one["kind"], one["why"]) for one in told] == [
        ("core", ""),
        ("pinned", ""),
        ("recalled", "says tea"),
        ("session", ""),
    ]
    assert memories.questions == [("how are you", Serving().recall)]
    compose(engine, Parts(memories), asked(recall=0))
    assert len(memories.questions) == 1, "who wishes for nothing gets the prompt as it was judged"


def test_a_kept_chat_is_told_by_name_and_place_and_keeps_what_the_user_got(engine: Engine) -> None:
    book = Book()
    body = asked(chat="new", consent=True, partner="Ann")
    (response,) = call(engine, body, chats=book, guard=Rules())
    answer = response.json()
    assert (answer["twin"]["chat"], answer["twin"]["place"]) == ("c1", 3)
    assert answer["twin"]["guarded"] == ["case"]
    assert book.opened == [("new", True, "Ann")]
    (kept,) = book.kept
    assert kept.text == answer["choices"][0]["message"]["content"] == kept.text.upper()
    assert (kept.backend, kept.adapter_id) == ("champion", "a1")
    assert kept.release == answer["model"]
    assert kept.prompt[0]["content"].startswith("You are mali.")
    (response,) = call(engine, asked(), chats=book)
    assert len(book.kept) == 1 and "chat" not in response.json()["twin"]
    (response,) = call(engine, asked(chat="new"))
    assert response.json()["twin"]["problem"] == NOT_KEPT


def test_a_stream_is_seen_to_word_by_word_and_tells_the_same_at_its_end(engine: Engine) -> None:
    book = Book()
    body = asked(chat="new")
    whole, streamed = call(engine, body, body | {"stream": True}, chats=book, guard=Rules())
    lines = [line.removeprefix("data: ") for line in streamed.text.split("\n\n") if line]
    events = [json.loads(line) for line in lines[:-1]]
    text = "".join(event["choices"][0]["delta"].get("content", "") for event in events)
    assert text == whole.json()["choices"][0]["message"]["content"] == book.kept[1].text
    assert events[-1]["twin"] == whole.json()["twin"]


def test_what_a_rule_answers_reaches_no_backend(engine: Engine) -> None:
    memories = Memories()
    (response,) = call(engine, asked("are you human?"), guard=Rules(), chain=Chain([]))
    assert response.json()["twin"]["backend"] == response.headers["x-twin-backend"] == "guard"
    assert response.json()["choices"][0]["message"]["content"] == "I AM AN AI TWIN."
    assert memories.questions == []


def test_an_identical_request_is_answered_from_the_cache_where_that_is_wished_for(
    engine: Engine,
) -> None:
    cache = Kept()
    bodies = (asked(), asked(cached=True), asked(cached=True))
    plain, first, second = (one.json() for one in call(engine, *bodies, cache=cache))
    assert [one["twin"]["backend"] for one in (plain, first, second)] == (
        ["champion", "champion", "cache"]
    )
    assert "cached" not in plain["twin"]
    assert (first["twin"]["cached"], second["twin"]["cached"]) == (False, True)
    assert first["choices"] == second["choices"]
    assert first["model"] == second["model"]


def test_without_the_database_the_answer_goes_without_and_says_so(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = Memories(failing="The database is down; start it.")
    answer, reply = compose(engine, Parts(down, Book(failing="No chat.")), asked(chat="new"))
    assert reply.text
    assert answer.problems == ["No chat.", "The database is down; start it."]
    monkeypatch.setattr(composing, "HOOK_SECONDS", 0.05)
    answer, reply = compose(engine, Parts(Memories(seconds=0.3)), asked())
    assert reply.text and answer.problems == [SLOW]


class Breaking:
    """Says three words and dies, or hangs."""

    name, deadline = "breaking", 20.0

    def __init__(self, hangs: bool = False) -> None:
        self.hangs = hangs
        self.closed = False

    def problem(self) -> str:
        """None."""
        return ""

    def coming(self) -> bool:
        """No."""
        return False

    def stirred(self) -> float:
        """Not known."""
        return 0.0

    async def speak(self, asked: Asked) -> AsyncGenerator[Word, None]:
        """Three words."""
        try:
            yield Signed(self.name, "m")
            yield "one two three"
            if self.hangs:
                await asyncio.sleep(60)
            raise BackendError("it broke")
        finally:
            self.closed = True

    async def close(self) -> None:
        """Nothing."""


def test_a_chat_keeps_both_halves_of_an_answer_that_another_went_on_with(engine: Engine) -> None:
    book = Book()
    parts = Parts(chats=book)
    backends = [Breaking(), FromMemories(5)]
    answer, reply = compose(engine, parts, asked(chat="new"), backends=backends)
    assert reply.text.startswith("I cannot answer in my own words")
    assert book.kept[0].text == f"one two three{composing.SEAM}{reply.text}"
    assert book.kept[0].backend == "memories"
    assert [(one.backend, one.cause) for one in answer.tried] == [("breaking", "broke_off")]


def test_what_was_heard_of_an_answer_is_kept_when_its_reader_leaves(engine: Engine) -> None:
    book, hanging = Book(), Breaking(hangs=True)

    async def run() -> None:
        chain = Chain([hanging])
        composer = Composer(engine, chain, Serving(), Metrics(), Parts(chats=book))
        answer = await composer.open(ChatRequest.model_validate(asked(chat="new")))
        events = composer.events(answer)
        async for event in events:
            if isinstance(event, str):
                break
        await events.aclose()
        assert hanging.closed
        while not book.kept:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(run(), 10))
    assert [(one.text, one.backend) for one in book.kept] == [("one two three", "breaking")]
