"""The chat page on everything it stands on: a browser, the server, a model, PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from chromium import Page, browser, installed
from remembered import WordEncoder, remember
from scripted_twin import running

from twin_pipelines.commands.serve import Server, server
from twin_pipelines.serving import recollection
from twin_pipelines.serving.page.routes import address
from twin_pipelines.settings import TwinSettings

pytestmark = pytest.mark.skipif(
    not installed(), reason="no Chromium is installed; on Debian: apt install chromium"
)
CAMEL = "I rode a camel in Morocco"
BREAD = "My grandmother taught me to bake rye bread"


@pytest.fixture
def real(
    served: TwinSettings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Server, str]]:
    """A server of the tiny release in force, and its address."""
    monkeypatch.setattr(recollection, "load_encoder", lambda _: WordEncoder())
    short = served.serving.model_copy(update={"max_new_tokens": 24, "context_tokens": 480})
    made = server(served.model_copy(update={"serving": short}), database_url)
    made.follower.look_now()
    with running(made.app) as base:
        yield made, base


def until(connection: psycopg.Connection, query: str, *given: Any) -> tuple[Any, ...]:
    """The first row that a query returns once there is one."""
    ends = time.monotonic() + 20
    while (row := connection.execute(query, given).fetchone()) is None:
        connection.rollback()
        assert time.monotonic() < ends, query
        time.sleep(0.05)
    connection.rollback()
    return row


def say(page: Page, words: str) -> None:
    """Say something and wait for the whole answer."""
    before = page.value("document.querySelectorAll('.twin').length")
    page.click("#say")
    page.write(words)
    page.press("Enter")
    page.wait(f"document.querySelectorAll('.twin .meta').length === {before + 1}", 60)


def test_said_streamed_remembered_pinned_corrected_and_forgotten(
    real: tuple[Server, str], connection: psycopg.Connection
) -> None:
    made, base = real
    camel = remember(connection, CAMEL)
    bread = remember(connection, BREAD)
    connection.commit()
    until(connection, "select from search_state where entries = 2")
    with browser() as page:
        page.size(1200, 800)
        page.open(address(base, made.token))
        page.wait("document.querySelector('#release').textContent.startsWith('twin-v2')")
        say(page, "did you ride a camel or bake bread?")
        assert page.text(".twin .words")
        assert page.text(".meta .source").startswith("twin-v2")
        shown = page.value(
            "[...document.querySelectorAll('#list .memory')].map((o) => o.innerText)"
        )
        assert len(shown) == 2 and CAMEL in "".join(shown) and BREAD in "".join(shown)
        assert "camel" in next(one for one in shown if CAMEL in one).split(CAMEL)[1]  # why

        page.click(".twin .good")
        page.wait("document.querySelector('.twin .good').ariaPressed === 'true'")
        assert until(connection, "select place from chat_turns where thumb = 1") == (1,)
        page.click(".twin .correct")
        page.write("No, I baked bread.")
        page.click(".twin form .firm")
        page.wait("document.querySelector('.instead')")
        kept = "select prompt from corrections where chosen = 'No, I baked bread.'"
        asked = until(connection, kept)
        assert CAMEL in asked[0][0]["content"]

        place = 1 + next(at for at, one in enumerate(shown) if CAMEL in one)
        page.click(f"#list .memory:nth-child({place}) .pin")
        page.wait(f"document.querySelector('#list .memory:nth-child({place}) .unpin')")
        until(connection, "select from memories where memory_id = %s and pinned", camel)
        other = 3 - place
        page.click(f"#list .memory:nth-child({other}) .forget")
        page.wait("document.querySelector('.memory.gone')")
        until(
            connection,
            "select from memories where memory_id = %s and status = 'forgotten'",
            bread,
        )
        say(page, "and who taught you to bake bread?")
        assert BREAD not in page.text("#list")
        page.click("#list .memory .correct")
        page.write("")
        page.value("document.activeElement.value = ''")
        page.write("I rode a camel in Egypt")
        page.click("#list .memory form .firm")
        page.wait("document.querySelector('#list .memory .words').innerText.includes('Egypt')")
        say(page, "where was the camel?")
        assert "Egypt" in page.text("#list") and "Morocco" not in page.text("#list")

        page.value("location.reload()")
        page.wait("document.querySelectorAll('.twin .words').length === 3")
        assert page.value("document.querySelector('.twin .good').ariaPressed") == "true"
        assert page.errors == []
