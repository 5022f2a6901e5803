"""Who answers in the champion's place: the previous release, the base with the persona page."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from stub_backends import stub_backend

from twin_pipelines.foundation.models import ResolvedModel
from twin_pipelines.serving import follow
from twin_pipelines.serving import voice as voices
from twin_pipelines.serving.app import create_app
from twin_pipelines.serving.backends.links import make_chain
from twin_pipelines.serving.backends.ollama import best_export, parts
from twin_pipelines.serving.backends.spares import Spares
from twin_pipelines.serving.engine import Engine
from twin_pipelines.serving.follow import Follower
from twin_pipelines.settings import Backend, Serving, TwinError, TwinSettings
from twin_pipelines.sources.store import save_subject
from twin_pipelines.sources.subject import Subject

TOKEN = "not-a-secret"
CHAT = "/v1/chat/completions"
ASKED: dict[str, Any] = {
    "messages": [{"role": "user", "content": "how are you"}],
    "temperature": 0,
    "max_tokens": 6,
    "twin": {"memories": True},
}
MODELFILE = '''FROM ./twin-q8_0.gguf
TEMPLATE """{{ if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}"""
SYSTEM """You are มะลิ.
Be brief."""
PARAMETER stop "<|im_end|>"
PARAMETER stop "<|endoftext|>"
PARAMETER temperature 0.8
PARAMETER top_p 0.95
'''


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(batch_size=4, waiting=8)
    made.start()
    yield made
    made.stop()


class Twin:
    """A server's parts over a database, without its threads."""

    def __init__(self, engine: Engine, url: str, settings: TwinSettings) -> None:
        self.engine = engine
        self.settings = settings
        self.spares = Spares(settings)
        self.follower = Follower(engine, url, settings, self.spares)

    def ask(self, asked: dict[str, Any] = ASKED, times: int = 1) -> list[dict[str, Any]]:
        """So many answers, one after the other."""

        async def run() -> list[dict[str, Any]]:
            chain = make_chain(self.settings, self.engine, self.spares)
            app = create_app(self.engine, TOKEN, Serving(), chain=chain)
            headers = {"authorization": f"Bearer {TOKEN}"}
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://localhost", headers=headers
            ) as client:
                told = [(await client.post(CHAT, json=asked)).json() for _ in range(times)]
            await chain.close()
            return told

        return asyncio.run(run())


@pytest.fixture
def twin(served: TwinSettings, database_url: str, engine: Engine) -> Twin:
    return Twin(engine, database_url, served)


def test_a_champion_that_cannot_be_loaded_leaves_the_word_to_the_release_before_it(
    twin: Twin, connection: psycopg.Connection
) -> None:
    connection.execute("update adapters set path = 'adapters/gone' where adapter_id = 'a2'")
    twin.follower.look(connection)
    (answer,) = twin.ask()
    assert answer["twin"]["backend"] == "previous"
    assert answer["twin"]["release"].startswith("twin-v1-") and answer["model"] != "twin"
    (tried,) = answer["twin"]["tried"]
    assert tried["backend"] == "champion"
    assert "The adapter of release 2 is missing" in tried["why"]
    texts = [line["text"] for line in answer["twin"]["memories"]]
    assert texts == ["- I like thing 1"], "the core memories are those of the release that answers"


def test_a_champion_that_breaks_while_it_answers_is_followed_by_the_release_before_it(
    twin: Twin, connection: psycopg.Connection
) -> None:
    twin.follower.look(connection)
    present = twin.engine.voice
    assert present
    present.model.forward = None  # as weights that went bad
    first, second = twin.ask(times=2)
    assert first["twin"]["backend"] == second["twin"]["backend"] == "previous"
    assert first["twin"]["tried"][0]["why"] == "it failed; the server's log says how"


def test_without_any_release_the_base_answers_with_the_persona_page(
    twin: Twin, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute("update releases set persona = persona || %s", ('{"identity": "I bake."}',))
    connection.execute("update adapters set path = 'adapters/gone'")
    twin.follower.look(connection)
    asked: list[str] = []
    load = voices.load_model

    def seen(base: ResolvedModel, adapter: Path | None, dtype: str) -> tuple[Any, Any]:
        assert adapter is None
        return load(base, adapter, dtype)

    monkeypatch.setattr(voices, "load_model", seen)
    made = voices.with_page

    def paged(*given: Any) -> Any:
        stands = made(*given)
        asked.append(stands.text)
        return stands

    monkeypatch.setattr(voices, "with_page", paged)
    first, second = twin.ask(times=2)
    assert first["twin"]["backend"] == second["twin"]["backend"] == "base"
    assert (first["twin"]["release"], first["model"][:5]) == ("", "base-")
    assert [tried["backend"] for tried in first["twin"]["tried"]] == ["champion", "previous"]
    (told,) = asked
    assert told.startswith("You are david.\n\nI bake."), "it is loaded once"
    assert "- I like thing 2" in told


def test_before_the_first_release_the_base_is_told_whose_twin_it_is(
    twin: Twin, connection: psycopg.Connection, served_home: Path
) -> None:
    connection.execute("update releases set status = 'refused'")
    twin.follower.look(connection)
    assert "No subject is chosen yet" in twin.spares.base.problem()
    (answer,) = twin.ask()
    assert answer["twin"]["backend"] == "memories", "an honest answer is always there"
    save_subject(connection, Subject("mali", "Mali", "settings"))
    base = {"base_model": str(served_home / "base"), "dtype": "float32"}
    training = twin.settings.training.model_copy(update=base)
    twin.settings = twin.settings.model_copy(update={"training": training})
    twin.spares = Spares(twin.settings)
    twin.spares.learn(connection, None)
    (answer,) = twin.ask()
    assert answer["twin"]["backend"] == "base"
    assert "No release is in force yet" in answer["twin"]["tried"][0]["why"]


def test_a_page_that_is_longer_than_its_share_loses_its_last_lines(
    twin: Twin, connection: psycopg.Connection
) -> None:
    page = "\n".join(f"{number}: I like the sea" for number in range(200))
    connection.execute(
        "update releases set persona = persona || jsonb_build_object('identity', %s::text)", (page,)
    )
    twin.follower.look(connection)
    assert twin.spares.base.release
    loaded = voices.load_base(twin.spares.base.release, twin.settings)
    assert "0: I like the sea" in loaded.system and "199:" not in loaded.system
    assert loaded.conversation(ASKED["messages"])[1] < 256


def test_a_spare_voice_is_loaded_once_for_many_and_can_be_forgotten(
    twin: Twin, connection: psycopg.Connection
) -> None:
    twin.follower.look(connection)
    spare = twin.spares.previous

    async def run() -> None:
        first, second = await asyncio.gather(spare.voice(), spare.voice())
        assert first is second
        impatient = asyncio.create_task(spare.voice())
        impatient.cancel()
        assert await spare.voice() is first
        spare.forget()
        assert await spare.voice() is not first
        spare.forget()

    asyncio.run(run())


def with_export(settings: TwinSettings, adapter: str) -> tuple[Path, str]:
    folder = settings.exports_dir / adapter
    folder.mkdir(parents=True)
    (folder / "twin-q8_0.gguf").write_bytes(b"GGUF" + bytes(3_000_000))
    (folder / "Modelfile.q8_0").write_text(MODELFILE)
    sha256 = hashlib.sha256((folder / "twin-q8_0.gguf").read_bytes()).hexdigest()
    artefact = {
        "path": "twin-q8_0.gguf",
        "files": {"twin-q8_0.gguf": sha256},
        "modelfile": {"path": "Modelfile.q8_0", "why": ""},
    }
    manifest = {"artefacts": {"gguf_f16": {"path": "x", "modelfile": None}, "gguf_q8_0": artefact}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder, sha256


def test_ollama_is_given_the_champions_exported_model_once(
    twin: Twin, connection: psycopg.Connection
) -> None:
    twin.follower.look(connection)
    folder, sha256 = with_export(twin.settings, "a2")
    with stub_backend("ollama") as stub:
        links = (Backend(kind="ollama", url=stub.url), Backend(kind="champion"))
        twin.settings = twin.settings.model_copy(update={"serving": Serving(backends=links)})
        first, second = twin.ask(times=2)
        (again,) = twin.ask()
    assert [one["twin"]["tried"] for one in (first, second, again)] == [[]] * 3
    assert {one["twin"]["backend"] for one in (first, second, again)} == {"ollama"}
    assert first["model"] == "twin-a2"
    assert first["twin"]["release"].startswith("twin-v2-")
    assert stub.blobs == {f"sha256:{sha256}": (folder / "twin-q8_0.gguf").read_bytes()}
    (made,) = [body for path, body in stub.heard if path == "/api/create"]
    assert made["model"] == "twin-a2"
    assert made["files"] == {"twin-q8_0.gguf": f"sha256:{sha256}"}
    assert made["template"].startswith("{{ if .System }}<|im_start|>system\n")
    assert made["system"] == "You are มะลิ.\nBe brief."
    stops = ["<|im_end|>", "<|endoftext|>"]
    assert made["parameters"] == {"stop": stops, "temperature": 0.8, "top_p": 0.95}
    asked = [body for path, body in stub.heard if path == "/api/chat"]
    assert asked[0]["messages"][0]["content"].startswith("You are david.")


def test_without_an_export_ollama_is_passed_over_with_the_command_that_makes_one(
    twin: Twin, connection: psycopg.Connection
) -> None:
    twin.follower.look(connection)
    with stub_backend("ollama") as stub:
        links = (Backend(kind="ollama", url=stub.url), Backend(kind="champion"))
        twin.settings = twin.settings.model_copy(update={"serving": Serving(backends=links)})
        (answer,) = twin.ask()
    assert answer["twin"]["backend"] == "champion"
    assert "run `twin export`" in answer["twin"]["tried"][0]["why"]
    assert stub.heard == []
    with pytest.raises(TwinError, match="gguf_q8_0"):
        best_export(twin.settings.exports_dir / "a2")
    assert parts("FROM ./x.gguf\n") == {"parameters": {}}


def test_a_persons_server_answers_as_the_subject_also_while_the_release_is_lost(
    twin: Twin, connection: psycopg.Connection
) -> None:
    connection.execute("update adapters set path = 'adapters/gone'")
    twin.follower.look(connection)
    with stub_backend("openai") as stub:
        links = (Backend(kind="champion"), Backend(kind="openai", url=stub.url, model="big"))
        twin.settings = twin.settings.model_copy(update={"serving": Serving(backends=links)})
        (answer,) = twin.ask()
    assert answer["twin"]["backend"] == "openai:big" and answer["model"] == "big"
    ((_, body),) = stub.heard
    assert body["messages"][0]["content"].startswith("You are david.")
    assert "- I like thing 2" in body["messages"][0]["content"]


def test_two_links_of_one_kind_have_names_of_their_own(twin: Twin) -> None:
    links = (
        Backend(kind="openai", url="http://localhost:1", model="a"),
        Backend(kind="openai", url="http://localhost:2", model="a"),
        Backend(kind="memories"),
    )
    twin.settings = twin.settings.model_copy(update={"serving": Serving(backends=links)})
    begun = time.monotonic()
    (answer,) = twin.ask()
    assert time.monotonic() - begun < 20
    tried = [one["backend"] for one in answer["twin"]["tried"]]
    assert (tried, answer["twin"]["backend"]) == (["openai:a", "openai:a#2"], "memories")


def test_who_asks_while_the_champion_is_being_loaded_waits_for_it(
    twin: Twin, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = follow.load_voice

    def slowly(*given: Any) -> Any:
        time.sleep(1.0)
        return load(*given)

    monkeypatch.setattr(follow, "load_voice", slowly)
    twin.follower.start()
    try:
        while not twin.engine.loading:
            time.sleep(0.01)
        (answer,) = twin.ask()
    finally:
        twin.follower.stop()
    assert (answer["twin"]["backend"], answer["twin"]["tried"]) == ("champion", [])
