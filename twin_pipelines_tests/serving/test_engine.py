"""One request, one release: whatever is switched meanwhile, and whatever else goes wrong."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import replace

import pytest

from twin_pipelines.generation.local import generate_replies
from twin_pipelines.serving.engine import Crowded, Engine, NotReady, Sampling
from twin_pipelines.serving.voice import TooLong, Voice

MakeVoice = Callable[[int], Voice]
GREEDY = Sampling(temperature=0, top_p=1, max_new_tokens=12)


def asked(text: str = "how are you") -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def alone(voice: Voice, text: str) -> str:
    (reply,) = generate_replies(
        voice.model,
        voice.tokenizer,
        [voice.conversation(asked(text))[0]],
        max_new_tokens=12,
        temperature=0,
    )
    return reply


@pytest.fixture(scope="module")
def first(make_voice: MakeVoice) -> Voice:
    return make_voice(1)


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(batch_size=4, waiting=8)
    yield made
    made.stop()


def test_without_a_release_the_answer_is_one_clear_sentence(engine: Engine) -> None:
    engine.start()
    with pytest.raises(NotReady, match="No release is in force yet; run `twin train`"):
        engine.accept(asked(), GREEDY)


def test_accepted_requests_finish_on_their_release_and_then_its_memory_is_free(
    engine: Engine, make_voice: MakeVoice
) -> None:
    old, new = make_voice(1), make_voice(2)
    texts = ["how are you", "tell me more please", "coffee tomorrow"]
    expected = {voice.name: [alone(voice, text) for text in texts] for voice in (old, new)}
    assert all(a != b for a, b in zip(*expected.values(), strict=True)), "else nothing is shown"
    gone = weakref.ref(old.model)
    engine.switch(old)
    before = [engine.accept(asked(text), GREEDY) for text in texts]
    engine.switch(new)
    names = old.name, new.name
    del old
    after = [engine.accept(asked(text), GREEDY) for text in texts]
    engine.start()
    for name, tickets in zip(names, (before, after), strict=True):
        assert [ticket.name for ticket in tickets] == [name] * 3
        assert [ticket.answer.result(30).text for ticket in tickets] == expected[name]
    deadline = time.monotonic() + 10
    while gone() is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert gone() is None


def test_waiting_requests_share_a_batch_and_answer_as_they_would_alone(
    engine: Engine, first: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def counting(*given: object, **named: object) -> list[str]:
        sizes.append(len(given[2]))  # type: ignore[arg-type]
        return generate_replies(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("twin_pipelines.serving.engine.generate_replies", counting)
    texts = [f"hello {word}" for word in ("sea", "week", "work", "film", "music", "rain")]
    engine.switch(first)
    tickets = [engine.accept(asked(text), GREEDY) for text in texts]
    engine.start()
    replies = [ticket.answer.result(30) for ticket in tickets]
    assert sizes == [4, 2]
    assert [reply.text for reply in replies] == [alone(first, text) for text in texts]
    assert all(reply.prompt_tokens > 10 and reply.reply_tokens <= 12 for reply in replies)
    assert {reply.finish for reply in replies} <= {"stop", "length"}


def test_a_seed_gives_the_same_reply_in_any_company(engine: Engine, first: Voice) -> None:
    sampled = Sampling(temperature=1.0, top_p=0.95, max_new_tokens=12, seed=3)
    engine.switch(first)
    engine.start()
    one = engine.accept(asked(), sampled).answer.result(30).text
    engine.accept(asked("coffee"), replace(sampled, seed=None))
    again = [engine.accept(asked(), sampled) for _ in range(3)]
    assert {ticket.answer.result(30).text for ticket in again} == {one}


def test_pieces_make_up_the_reply_and_a_stop_sequence_ends_it(engine: Engine, first: Voice) -> None:
    engine.switch(first)
    engine.start()
    whole = engine.accept(asked(), GREEDY).answer.result(30)
    pieces: list[str] = []
    told = engine.accept(asked(), GREEDY, pieces.append).answer.result(30)
    assert "".join(pieces) == told.text == whole.text
    stop = whole.text[3:6]
    cut = engine.accept(asked(), replace(GREEDY, stops=(stop,))).answer.result(30)
    assert cut.text == whole.text[: whole.text.index(stop)].strip()
    assert cut.finish == "stop"


def test_one_unanswerable_request_spoils_no_other(engine: Engine, first: Voice) -> None:
    engine.switch(first)
    good = engine.accept(asked(), GREEDY)
    long = engine.accept(asked("sea " * 600), GREEDY)
    engine.start()
    assert good.answer.result(30).text == alone(first, "how are you")
    with pytest.raises(TooLong, match="512 fit; shorten the message"):
        long.answer.result(30)


def test_a_failing_model_fails_its_requests_and_not_the_engine(
    engine: Engine, first: Voice, caplog: pytest.LogCaptureFixture
) -> None:
    broken = replace(first, model=None)
    engine.switch(broken)
    failing = engine.accept(asked(), GREEDY)
    engine.switch(first)
    engine.start()
    with pytest.raises(AttributeError):
        failing.answer.result(30)
    assert "could not be answered" in caplog.text
    assert engine.accept(asked(), GREEDY).answer.result(30).text


def test_a_crowd_is_turned_away_at_once(engine: Engine, first: Voice) -> None:
    engine.switch(first)
    for _ in range(8):
        engine.accept(asked(), GREEDY)
    with pytest.raises(Crowded, match="8 requests wait already"):
        engine.accept(asked(), GREEDY)


def test_nothing_is_written_for_those_who_left(engine: Engine, first: Voice) -> None:
    long = replace(GREEDY, max_new_tokens=400)
    engine.switch(first)
    ticket = None
    begun = threading.Event()
    ticket = engine.accept(asked(), long, lambda _: begun.set())
    waiting = engine.accept(asked("coffee"), GREEDY)
    waiting.abandoned = True
    engine.start()
    assert begun.wait(30)
    ticket.abandoned = True
    assert engine.accept(asked(), GREEDY).answer.result(30)
    assert not waiting.answer.done()
    assert not ticket.answer.done()


def test_stopping_refuses_what_waits(engine: Engine, first: Voice) -> None:
    engine.switch(first)
    tickets = [engine.accept(asked(), GREEDY) for _ in range(3)]
    engine.stop()
    wait([ticket.answer for ticket in tickets], timeout=5)
    with pytest.raises(NotReady, match="stopping"):
        tickets[0].answer.result(0)


def test_stopping_ends_a_long_reply_at_its_next_word(engine: Engine, first: Voice) -> None:
    engine.switch(first)
    begun = threading.Event()
    long = replace(GREEDY, max_new_tokens=400)
    ticket = engine.accept(asked(), long, lambda _: begun.set())
    engine.start()
    assert begun.wait(30)
    engine.stop()
    assert not engine.alive
    with pytest.raises(NotReady, match="stopping"):
        ticket.answer.result(0)


def test_of_a_long_chat_the_newest_turns_are_read(first: Voice) -> None:
    chat = [
        {"role": role, "content": f"{number} {'sea ' * 300}"}
        for number in range(2_000)
        for role in ("user", "assistant")
    ]
    messages, tokens = first.conversation([*chat, *asked("and now?")])
    assert messages[0]["content"].startswith("You are mali.")
    assert messages[-1]["content"] == "and now?"
    assert 300 < tokens <= 512
    assert len(messages) == 3
    assert messages[1]["content"].startswith("1999 ")
