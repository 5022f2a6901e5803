"""The optional endpoint: asked only when it is named, patient, and clear when it fails."""

from __future__ import annotations

import time

import pytest
from chat_endpoint import chat_endpoint
from pydantic import BaseModel, ValidationError

from twin_pipelines.foundation.llm import KEY, complete_json, open_endpoint
from twin_pipelines.settings import Llm, TwinError

ASKED = [{"role": "user", "content": "hi"}]
SECRET = "sk-very-secret"


def test_without_a_url_there_is_none() -> None:
    assert open_endpoint(Llm()) is None


def test_a_url_without_a_model_and_one_that_is_none_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"llm.model is empty; name a model"):
        Llm(url="http://127.0.0.1:1/v1")
    with pytest.raises(ValidationError):
        Llm(url="127.0.0.1", model="m")


def test_it_answers_with_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, SECRET)
    with chat_endpoint(lambda *_: "  hello  ") as (url, heard):
        endpoint = open_endpoint(Llm(url=url, model="judge"))
        assert endpoint
        assert endpoint.complete(ASKED, max_tokens=7) == "hello"
    assert heard.keys == {f"Bearer {SECRET}"}
    assert heard.paths == {"/v1/chat/completions"}
    (body,) = heard.bodies
    assert body["model"] == "judge" and body["messages"] == ASKED
    assert body["temperature"] == 0 and body["max_tokens"] == 7


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_failure_is_tried_again(status: int) -> None:
    with chat_endpoint(lambda _, number: status if number < 2 else "at last") as (url, heard):
        endpoint = open_endpoint(Llm(url=url, model="m", retries=2))
        assert endpoint and endpoint.complete(ASKED) == "at last"
    assert len(heard.bodies) == 3


@pytest.mark.parametrize(
    ("status", "words", "times"),
    [
        (401, "refused the key (401); set TWIN_LLM_API_KEY", 1),
        (404, "knows no model m (404)", 1),
        (400, "failed with status 400 (This model wants sugar); look", 1),
        (429, "enough questions (429)", 2),
        (500, "failed with status 500", 2),
    ],
)
def test_a_lasting_failure_is_one_sentence_without_the_key(
    status: int, words: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, SECRET)
    with chat_endpoint(lambda *_: status) as (url, heard):
        endpoint = open_endpoint(Llm(url=url, model="m", retries=1))
        assert endpoint
        with pytest.raises(TwinError) as failure:
            endpoint.complete(ASKED)
    assert words in str(failure.value)
    assert SECRET not in str(failure.value)
    assert len(heard.bodies) == times


def test_nobody_there_too_slow_and_nothing_said() -> None:
    absent = open_endpoint(Llm(url="http://127.0.0.1:9/v1", model="m", retries=0))
    assert absent
    with pytest.raises(TwinError, match="No model answers at"):
        absent.complete(ASKED)

    def slow(*_: object) -> str:
        time.sleep(0.5)
        return "late"

    with chat_endpoint(slow) as (url, _):
        hasty = open_endpoint(Llm(url=url, model="m", timeout_seconds=0.1, retries=0))
        assert hasty
        with pytest.raises(TwinError, match="did not answer in time"):
            hasty.complete(ASKED)
    with chat_endpoint(lambda *_: " ") as (url, _):
        mute = open_endpoint(Llm(url=url, model="m"))
        assert mute
        with pytest.raises(TwinError, match="not the answer of a chat model"):
            mute.complete(ASKED)


class Answer(BaseModel):
    n: int


def test_an_answer_of_a_form_is_read_out_of_what_surrounds_it_and_asked_for_twice() -> None:
    said = ['{"n": "many"}', 'Sure:\n```json\n{"n": 3}\n```']
    with chat_endpoint(lambda _, number: said[number]) as (url, heard):
        endpoint = open_endpoint(Llm(url=url, model="m"))
        assert endpoint and complete_json(endpoint, ASKED, Answer) == Answer(n=3)
    assert len(heard.bodies) == 2
    assert "unable to parse" in heard.bodies[1]["messages"][-1]["content"]
    with chat_endpoint(lambda *_: "none") as (url, heard):
        endpoint = open_endpoint(Llm(url=url, model="m"))
        assert endpoint and complete_json(endpoint, ASKED, Answer) is None
    assert len(heard.bodies) == 2
