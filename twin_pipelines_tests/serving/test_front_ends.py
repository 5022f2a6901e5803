"""What front ends and OpenAI's own client send is answered unchanged.

The bodies are those of a front end that forwards chats, names them and follows up on them, and of
one that adds the user and penalties; both leave fields null that they do not use.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from openai import AuthenticationError, BadRequestError, NotFoundError, OpenAI

from twin_pipelines.commands.serve import listening
from twin_pipelines.serving.app import create_app
from twin_pipelines.serving.cached import AnswerCache
from twin_pipelines.serving.chats import Chats
from twin_pipelines.serving.engine import Engine
from twin_pipelines.serving.voice import Voice
from twin_pipelines.settings import Serving, TwinSettings

TOKEN = "not-a-secret"
TASK = (
    '### Task:\nGenerate a concise title.\n### Output:\nJSON: {"title": "…"}\n'
    "### Chat History:\n<chat_history>\nUSER: hello\nASSISTANT: hi\n</chat_history>"
)
BODIES: dict[str, dict[str, Any]] = {
    "a forwarded chat": {
        "messages": [
            {"role": "system", "content": "User context: none"},
            {"role": "user", "content": [{"type": "text", "text": "hello"}]},
            {"role": "assistant", "content": "hi"},
            {"role": "user", "content": [{"type": "text", "text": "how are you"}]},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.8,
        "max_tokens": 4,
        "stop": None,
        "seed": None,
        "tools": [],
        "metadata": None,
        "chat_id": "0b2c",
        "session_id": "x",
        "id": "y",
        "features": {"web_search": False},
    },
    "a title": {
        "messages": [{"role": "user", "content": TASK}],
        "stream": False,
        "max_completion_tokens": 4,
        "metadata": {"task": "title_generation"},
    },
    "with user and penalties": {
        "messages": [
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": "hello", "name": "ann"},
            {"role": "assistant", "content": None},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": "how are you"},
        ],
        "user": "66f0c",
        "stream": True,
        "stream_options": None,
        "temperature": 1,
        "top_p": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "logit_bias": None,
        "response_format": {"type": "text"},
        "parallel_tool_calls": None,
        "n": 1,
        "max_tokens": 4,
        "stop": [],
    },
}


@pytest.fixture(scope="module")
def engine(make_voice: Callable[[int], Voice]) -> Iterator[Engine]:
    made = Engine(batch_size=4, waiting=8)
    made.switch(make_voice(1))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def chats(database_url: str) -> Iterator[Chats]:
    made = Chats(database_url, TwinSettings())
    yield made
    made.close()


@pytest.fixture
def client(engine: Engine, chats: Chats) -> Iterator[OpenAI]:
    """OpenAI's own client, on a real server."""
    serving = Serving(max_new_tokens=8)
    app = create_app(engine, TOKEN, serving, chats=chats, cache=AnswerCache(serving))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    with listening(TwinSettings(), 0) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        with OpenAI(base_url=address, api_key=TOKEN, max_retries=0) as made:
            yield made
        server.should_exit = True
        thread.join()


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("name", BODIES)
def test_what_a_front_end_sends_is_answered(client: OpenAI, name: str) -> None:
    body = {"model": "twin", **BODIES[name]}
    answer = client._client.post(
        f"{client.base_url}chat/completions",
        json=body,
        headers={"authorization": f"Bearer {TOKEN}"},
    )
    assert answer.status_code == 200, answer.text
    if body["stream"]:
        assert answer.text.rstrip().endswith("data: [DONE]")
        assert ('"usage"' in answer.text) == bool(body["stream_options"])
    else:
        assert answer.json()["choices"][0]["message"]["role"] == "assistant"


def test_models_are_listed_and_found_by_their_name(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names[0] == "twin"
    assert client.models.retrieve("twin").id == "twin"
    with pytest.raises(NotFoundError):
        client.models.retrieve("gpt-4o")


def test_openais_client_goes_on_with_a_chat_by_sending_the_new_words(client: OpenAI) -> None:
    ask = client.chat.completions.create
    first = ask(model="twin", messages=said("my name is Ann"), extra_body={"twin": {"chat": "new"}})
    assert first.model_extra
    chat = first.model_extra["twin"]["chat"]
    assert first.model_extra["twin"]["place"] == 1
    stream = ask(
        model="twin",
        messages=said("what is my name?"),
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"twin": {"chat": chat}},
    )
    events = list(stream)
    told = [event.model_extra["twin"] for event in events if (event.model_extra or {}).get("twin")]
    assert (told[-1]["chat"], told[-1]["place"], told[-1]["resumed"]) == (chat, 3, 2)
    usage = events[-1].usage
    assert usage and first.usage and usage.prompt_tokens > first.usage.prompt_tokens


def test_an_answer_is_used_again_only_when_it_is_wished_for_and_the_same(client: OpenAI) -> None:
    def ask(text: str, **given: Any) -> tuple[str, bool | None, str]:
        cached = given.pop("cached", True)
        answer = client.chat.completions.create(
            model="twin", messages=said(text), extra_body={"twin": {"cached": cached}}, **given
        )
        assert answer.model_extra
        twin = answer.model_extra["twin"]
        return answer.choices[0].message.content or "", twin.get("cached"), twin["backend"]

    fresh = ask("hello", temperature=0)
    assert fresh[1:] == (False, "champion")
    assert ask("hello", temperature=0) == (fresh[0], True, "cache")
    assert ask("hello", temperature=0, cached=False)[1:] == (None, "champion")
    assert ask("hello", temperature=0, max_tokens=2)[1] is False
    assert ask("hello there", temperature=0)[1] is False
    assert ask("hello", temperature=1)[1] is False
    assert ask("hello", temperature=1)[1] is False, "a draw without a seed is never the same"
    assert ask("hello", temperature=1, seed=1)[1] is False
    assert ask("hello", temperature=1, seed=1)[1] is True
    assert ask("hello", temperature=1, seed=2)[1] is False


def test_errors_are_the_clients_own_kinds(client: OpenAI) -> None:
    ask = client.chat.completions.create
    with pytest.raises(BadRequestError, match="hold text"):
        ask(model="twin", messages=said(" "))
    with pytest.raises(NotFoundError, match="ask for 'twin'"):
        ask(model="gpt-4o", messages=said("hello"))
    with pytest.raises(AuthenticationError, match="Send the token"):
        client.with_options(api_key="wrong").chat.completions.create(
            model="twin", messages=said("hello")
        )
