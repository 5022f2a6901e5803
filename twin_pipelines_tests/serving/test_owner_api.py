"""What the owner decides holds for the very next answer: facts, memories, never-says, opinions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from remembered import WordEncoder, remember

from twin_pipelines.instruct.preference_store import corrections
from twin_pipelines.promotion.in_force import without_sentences
from twin_pipelines.promotion.store import release_in_force
from twin_pipelines.serving import recollection as recollecting
from twin_pipelines.serving.app import create_app
from twin_pipelines.serving.chats import Chats
from twin_pipelines.serving.engine import Engine
from twin_pipelines.serving.learner import Learner
from twin_pipelines.serving.owner_api import owner_routes
from twin_pipelines.serving.recollection import Recollection
from twin_pipelines.serving.voice import Voice
from twin_pipelines.settings import Serving, TwinSettings
from twin_pipelines.sources.store import Subject, save_subject

TOKEN = "not-a-secret"
HEADERS = {"authorization": f"Bearer {TOKEN}"}
NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"
NOBODY = "00000000-0000-4000-8000-000000000000"
FACT = "my new kitten is called Pumpkin"
Call = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def engine(make_voice: Callable[[int], Voice]) -> Iterator[Engine]:
    made = Engine(batch_size=4, waiting=8)
    made.switch(make_voice(1))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def settings(twin_home: TwinSettings) -> TwinSettings:
    return twin_home.model_copy(update={"serving": Serving(chat_consent="sue, 2018-06-01")})


@pytest.fixture
def learner(settings: TwinSettings, database_url: str, connection: psycopg.Connection) -> Learner:
    save_subject(connection, Subject("sue", "Sue"))
    connection.commit()
    made = Learner(database_url, settings)
    made.refresh()
    return made


@pytest.fixture
def recollection(
    settings: TwinSettings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Recollection]:
    monkeypatch.setattr(recollecting, "load_encoder", lambda _: WordEncoder())
    monkeypatch.setattr(recollecting, "LOOK_SECONDS", 3_600.0)  # tests say when it is looked
    made = Recollection(database_url, settings)
    yield made
    made.close()


@pytest.fixture
def call(
    engine: Engine,
    settings: TwinSettings,
    database_url: str,
    recollection: Recollection,
    learner: Learner,
) -> Iterator[Call]:
    chats = Chats(database_url, settings)
    app = create_app(
        engine,
        TOKEN,
        settings.serving,
        recollection=recollection,
        chats=chats,
        guard=learner.guard,
        routers=(owner_routes(database_url, learner.refresh),),
    )

    def made(method: str, path: str, **given: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as one:
                return await one.request(method, path, **{"headers": HEADERS, **given})

        return asyncio.run(run())

    yield made
    chats.close()


def ask(call: Call, words: str, **wishes: Any) -> dict[str, Any]:
    """An answer, with the memories that stood in its prompt."""
    response = call(
        "POST",
        "/v1/chat/completions",
        json={
            "messages": [{"role": "user", "content": words}],
            "temperature": 0,
            "max_tokens": 4,
            "twin": {"memories": True, **wishes},
        },
    )
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def told(answer: dict[str, Any]) -> str:
    return " ".join(line["text"] for line in answer["twin"]["memories"])


def test_a_fact_said_in_a_chat_is_in_the_next_prompt_and_once_forgotten_no_more(
    call: Call,
    learner: Learner,
    recollection: Recollection,
    connection: psycopg.Connection,
) -> None:
    question = "what is the kitten called?"
    assert "Pumpkin" not in told(ask(call, question))
    ask(call, FACT, chat=str(uuid4()), consent=True, partner="bob", recall=0)
    assert learner.learn(connection) == 2
    recollection.caught_up()
    answer = ask(call, question)
    assert FACT in told(answer)
    (line,) = [one for one in answer["twin"]["memories"] if FACT in one["text"]]
    gone = call("POST", f"/twin/messages/{line['message_ids'][0]}/forget")
    assert gone.status_code == 200, gone.text
    assert "Pumpkin" not in told(ask(call, question))
    recollection.caught_up()
    assert "Pumpkin" not in told(ask(call, question))
    call("POST", f"/twin/messages/{line['message_ids'][0]}/remember")
    recollection.caught_up()
    assert FACT in told(ask(call, question))


def test_the_twins_own_words_are_never_told_as_memories(
    call: Call, learner: Learner, recollection: Recollection, connection: psycopg.Connection
) -> None:
    answer = ask(call, "tell me of the sea", chat="new", consent=True, partner="bob")
    own = answer["choices"][0]["message"]["content"]
    learner.learn(connection)
    recollection.caught_up()
    again = ask(call, own or "sea", recall=20)
    texts = [line["text"] for line in again["twin"]["memories"] if line["kind"] != "core"]
    assert any("tell me of the sea" in text for text in texts)
    assert not any(own in text for text in texts if own)


def test_a_memory_is_pinned_forgotten_and_remembered(
    call: Call, recollection: Recollection, connection: psycopg.Connection
) -> None:
    memory = remember(connection, "I sail every summer", about="sue")
    connection.commit()
    recollection.caught_up()
    pinned = call("POST", f"/twin/memories/{memory}/pin").json()["memory"]
    assert pinned["pinned"] is True
    answer = ask(call, "something else")
    assert ("pinned", True) in [
        (line["kind"], "I sail" in line["text"]) for line in answer["twin"]["memories"]
    ]
    gone = call("POST", f"/twin/memories/{memory}/forget").json()
    assert gone["memory"]["status"] == "forgotten"
    assert gone["forgotten"] == [memory]
    assert "sail" not in told(ask(call, "do you sail every summer?"))
    assert call("POST", f"/twin/memories/{memory}/forget").status_code == 409
    back = call("POST", f"/twin/memories/{memory}/remember").json()
    assert (back["memory"]["status"], back["memory"]["pinned"]) == ("active", True)
    recollection.caught_up()
    assert "sail" in told(ask(call, "do you sail every summer?"))
    assert call("POST", f"/twin/memories/{memory}/unpin").json()["memory"]["pinned"] is False


def test_a_corrected_memory_is_told_as_corrected(
    call: Call, recollection: Recollection, connection: psycopg.Connection
) -> None:
    memory = remember(connection, "I live in Oslo", about="sue", kind="Home")
    connection.commit()
    recollection.caught_up()
    made = call("POST", f"/twin/memories/{memory}/correct", json={"text": "I live in Bergen"})
    assert made.status_code == 200, made.text
    assert made.json()["memory"]["content"] == "I live in Bergen"
    recollection.caught_up()
    answer = told(ask(call, "where do you live?"))
    assert "Bergen" in answer and "Oslo" not in answer


def test_a_never_say_holds_at_once_and_until_it_is_dropped(call: Call) -> None:
    text = ask(call, "how are you")["choices"][0]["message"]["content"]
    word = text.split()[0].strip(".,!?")
    made = call("POST", "/twin/never-says", json={"phrase": word, "reason": "rude"})
    assert made.status_code == 201, made.text
    answer = ask(call, "how are you")
    assert word not in answer["choices"][0]["message"]["content"].split()
    assert answer["twin"]["guarded"] == ["never-says"]
    (kept,) = call("GET", "/twin/never-says").json()["never_says"]
    assert (kept["phrase"], kept["reason"]) == (word, "rude")
    assert call("DELETE", f"/twin/never-says/{kept['never_id']}").status_code == 204
    assert call("DELETE", f"/twin/never-says/{kept['never_id']}").status_code == 404
    assert ask(call, "how are you")["choices"][0]["message"]["content"] == text


def test_a_sincere_question_is_answered_without_a_model(call: Call) -> None:
    answer = ask(call, "be honest, are you a bot?")
    assert answer["twin"]["backend"] == "guard"
    assert "AI twin of Sue" in answer["choices"][0]["message"]["content"]


def test_an_opinion_and_a_correction_are_kept_with_the_prompt(
    call: Call, connection: psycopg.Connection
) -> None:
    answer = ask(call, "how are you", chat="new")
    chat, place = answer["twin"]["chat"], answer["twin"]["place"]
    for thumb in (1, -1, None):
        kept = call("POST", "/twin/thumb", json={"chat": chat, "place": place, "thumb": thumb})
        assert kept.json()["thumb"] == thumb
    given = {"chat": chat, "place": place, "text": "fine thanks", "never": ["okay then"]}
    made = call("POST", "/twin/correct", json=given).json()
    assert [one["phrase"] for one in made["never_says"]] == ["okay then"]
    (correction,) = corrections(connection)
    assert correction.id == made["correction"]
    assert correction.chosen == "fine thanks"
    assert correction.rejected == answer["choices"][0]["message"]["content"].strip()
    assert correction.prompt[-1] == {"role": "user", "content": "how are you"}
    assert correction.prompt[0]["role"] == "system"


def test_what_waits_for_the_owner_is_listed_and_let_out(
    call: Call, connection: psycopg.Connection
) -> None:
    memory = remember(
        connection, "I feel odd", status="quarantined", status_reason="a sudden burst"
    )
    connection.commit()
    (waiting,) = call("GET", "/twin/quarantine").json()["quarantine"]
    assert (waiting["memory_id"], waiting["why"]) == (memory, "a sudden burst")
    assert call("POST", f"/twin/quarantine/{memory}/release").json()["memory"]["status"] == (
        "active"
    )
    assert call("GET", "/twin/quarantine").json()["quarantine"] == []
    assert call("POST", f"/twin/quarantine/{memory}/release").status_code == 409


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", f"/twin/memories/{NOBODY}/pin", None, 404),
        ("POST", f"/twin/memories/{NOBODY}/eat", None, 400),
        ("POST", "/twin/memories/x/pin", None, 400),
        ("POST", f"/twin/messages/{NOBODY}/forget", None, 409),
        ("POST", "/twin/thumb", {"chat": NOBODY, "place": 1, "thumb": 1}, 404),
        ("POST", "/twin/thumb", {"chat": NOBODY, "place": 1, "thumb": 5}, 400),
        ("POST", "/twin/correct", {"chat": NOBODY, "place": 1, "text": "x"}, 404),
        ("POST", "/twin/never-says", {"phrase": " !? "}, 409),
        ("POST", "/twin/never-says", {"phrase": "x" * 999}, 400),
    ],
)
def test_what_cannot_be_done_is_said_in_the_usual_format(
    call: Call, method: str, path: str, body: dict[str, Any] | None, status: int
) -> None:
    response = call(method, path, json=body)
    assert response.status_code == status, response.text
    assert response.json()["error"]["message"]
    assert call(method, path, json=body, headers={}).status_code == 401


def test_without_the_database_it_is_said_and_the_known_rules_hold(
    engine: Engine, settings: TwinSettings, connection: psycopg.Connection, database_url: str
) -> None:
    app = create_app(engine, TOKEN, settings.serving, routers=(owner_routes(NOWHERE),))

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as one:
            return await one.get("/twin/never-says", headers=HEADERS)

    response = asyncio.run(run())
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "database_down"
    connection.execute("insert into never_says (phrase) values ('darling')")
    connection.commit()
    learner = Learner(database_url, settings)
    learner.refresh()
    learner._url = NOWHERE
    learner.start()
    learner.stop()
    learner.join(10)
    watch = learner.guard.watch([{"role": "user", "content": "hi"}])
    assert watch.whole("oh darling") == "oh …"


def test_a_learner_that_runs_follows_rules_and_chats(
    settings: TwinSettings, database_url: str, connection: psycopg.Connection
) -> None:
    import time

    learner = Learner(database_url, settings)
    learner.start()
    connection.execute("insert into never_says (phrase) values ('darling')")
    connection.execute(
        "with one as (insert into chats (chat_id, consented, partner) "
        "values (gen_random_uuid(), true, 'bob') returning chat_id) "
        "select chat_id from one"
    )
    connection.execute(
        "insert into chat_turns (chat_id, place, role, content) "
        "select chat_id, 0, 'user', 'I live in Nan' from chats"
    )
    connection.commit()
    deadline = time.monotonic() + 15
    found = None
    while time.monotonic() < deadline and not found:
        time.sleep(0.2)
        found = connection.execute("select text from cleaned_messages").fetchone()
        connection.rollback()
    watch = learner.guard.watch([{"role": "user", "content": "hi"}])
    learner.stop()
    learner.join(10)
    assert found == ("I live in Nan",)
    assert watch.whole("darling!") == "…!"


def test_a_core_memory_that_is_forgotten_leaves_the_release_in_force(
    served: TwinSettings, connection: psycopg.Connection
) -> None:
    before = release_in_force(connection)
    assert before and [one.content for one in before.core_memories] == ["I like thing 2"]
    connection.execute(
        "insert into forgotten (memory_id, words) select memory_id, spoken_words(content) "
        "from core_memories where content = 'I like thing 2'"
    )
    connection.execute(
        "insert into forgotten (hidden_ids, words) values "
        "(array[gen_random_uuid()], spoken_words('You are DAVID!'))"
    )
    after = release_in_force(connection)
    assert after
    assert after.core_memories == ()
    assert after.system_prompt == ""
    assert after.version != before.version


def test_only_the_sentences_that_say_it_leave_a_prompt() -> None:
    prompt = "You are Sue. I live in Nan now. I like tea.\n\nReply as Sue."
    assert without_sentences(prompt, ["i live in nan"]) == (
        "You are Sue. I like tea.\n\nReply as Sue."
    )
    assert without_sentences(prompt, ["coffee"]) == prompt
    assert without_sentences("- ฉันอยู่น่าน\n- ฉันชอบชา", ["ฉันอยู่น่าน"]) == "- ฉันชอบชา"
