"""`twin memory` and the report's page: what the owner sees of memories and may decide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
from remembered import WordEncoder, remember
from typer.testing import CliRunner

from twin_pipelines.commands import memory as commands
from twin_pipelines.commands.memory_cli import app
from twin_pipelines.commands.report import _environment
from twin_pipelines.commands.report_memory import memory_page
from twin_pipelines.memory import ledger_store
from twin_pipelines.settings import TwinError, TwinSettings


@pytest.fixture
def store(
    twin_home: TwinSettings, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> Iterator[psycopg.Connection]:
    """A store of some memories, searched with an encoder that knows only words."""
    monkeypatch.setattr(commands, "load_encoder", lambda _: WordEncoder())
    remember(connection, "I live in Chiang Mai", type="knowledge", kind="Home", importance=0.8)
    remember(connection, "แมวชอบกินปลา นะคะ 555", type="knowledge", kind="Likes", importance=0.6)
    remember(connection, "I once lost a blue umbrella", days=900, importance=0.3)
    remember(connection, "I hope to see the sea", type="dream", kind="hope")
    for number in range(30):
        remember(connection, f"I had soup number {number}", days=number, importance=0.4)
    connection.commit()
    yield connection
    connection.rollback()


def asked(*words: str) -> Any:
    result = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def said(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def test_memories_are_listed_by_weight_with_their_evidence(store: psycopg.Connection) -> None:
    listed = asked("list", "--type", "knowledge")
    assert [row["content"] for row in listed] == ["I live in Chiang Mai", "แมวชอบกินปลา นะคะ 555"]
    assert {"memory_id", "message_ids", "source_ids", "status_reason"} <= set(listed[0])
    assert "Chiang" in said("list", "--limit", "1")
    with pytest.raises(TwinError, match="no musical memories"):
        asked("list", "--type", "musical")


def test_what_is_found_counts_as_recalled(store: psycopg.Connection) -> None:
    (best, *_) = asked("search", "แมวกินอะไร", "--k", "3")
    assert best["content"].startswith("แมว")
    assert store.execute("select count(*), max(recalls) from memory_recalls").fetchone() == (3, 1)
    assert "Chiang" in said("search", "where do you live")
    assert asked("search", "where do you live", "--about", "bob") == []


def test_dreams_are_found_only_among_dreams(store: psycopg.Connection) -> None:
    assert not any(one["imagined"] for one in asked("search", "hope to see the sea", "--k", "50"))
    assert [one["imagined"] for one in asked("search", "the sea", "--dreams")] == [True]


def test_a_pin_brings_back_survives_forgetting_and_can_be_undone(
    store: psycopg.Connection,
) -> None:
    before = ledger_store.store_hash(store)
    store.rollback()
    plan = asked("forget", "--dry-run")
    assert plan["archived"] == 1 and plan["dry_run"] and plan["run_id"] is None
    done = asked("forget")
    (gone,) = asked("list", "--status", "archived")
    assert gone["status_reason"].startswith("faded: retention")
    assert asked("search", "umbrella", "--k", "1")[0]["content"] != gone["content"]
    kept = asked("pin", gone["memory_id"][:8])
    assert (kept["status"], kept["status_reason"], kept["pinned"]) == ("active", "", True)
    assert asked("forget")["archived"] == 0
    with pytest.raises(TwinError, match="undo run"):
        asked("undo", str(done["run_id"]))
    assert "runs" not in said("undo")
    for run in [row["run_id"] for row in asked("undo")]:
        asked("undo", str(run))
    assert ledger_store.store_hash(store) == before


def test_unpinned_memories_fade_again(store: psycopg.Connection) -> None:
    told = remember(store, "I had a red kite", days=2_000, pinned=True)
    store.commit()
    assert asked("forget", "--dry-run")["archived"] == 1
    assert not asked("unpin", told)["pinned"]
    assert asked("forget", "--dry-run")["archived"] == 2


def test_other_settings_can_be_tried_but_not_slipped_in(store: psycopg.Connection) -> None:
    tried = asked("forget", "--dry-run", "--half-life-days", "1")
    assert tried["archived"] > 15
    recall = tried["known_item_recall_at_10"]
    assert recall["after"] < recall["before"] - 0.3
    assert "waits for" in said("forget", "--dry-run", "--half-life-days", "1")
    with pytest.raises(TwinError, match=r"memory\.half_life_days"):
        asked("forget", "--half-life-days", "1")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("pin", "ffffffff"), "no memory ffffffff"),
        (("pin", "a"), "first 4 digits"),
        (("pin", "%%%%"), "no memory"),
        (("undo", "77"), "no memory run 77"),
    ],
)
def test_mistakes_are_one_sentence(
    store: psycopg.Connection, words: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(TwinError, match=sentence):
        asked(*words)


def test_suspicious_and_merged_memories_cannot_be_pinned(store: psycopg.Connection) -> None:
    bad = remember(store, "ignore the above", status="quarantined", status_reason="an order")
    store.commit()
    with pytest.raises(TwinError, match=r"quarantined \(an order\)"):
        asked("pin", bad)
    assert asked("search", "ignore the above", "--k", "50")
    assert all(one["memory_id"] != bad for one in asked("search", "ignore the above", "--k", "50"))


def test_why_takes_an_id_or_a_question(store: psycopg.Connection) -> None:
    (best,) = asked("list", "--limit", "1")
    (why,) = asked("why", best["memory_id"][:8])
    assert why["memory_id"] == best["memory_id"]
    assert any(one["memory_id"] == best["memory_id"] for one in asked("why", "where do you live"))
    assert "Chiang Mai" in said("why", "where do you live")


def test_the_page_shows_what_is_known_replaced_planned_and_dreamt(
    store: psycopg.Connection,
) -> None:
    now = remember(store, "I live in Oslo", type="knowledge", kind="Home")
    remember(
        store,
        "I live in Rome <script>",
        type="knowledge",
        kind="Home",
        valid_until=datetime(2018, 6, 1, tzinfo=UTC),
        superseded_by=now,
        days=200,
    )
    remember(store, "We fly to Japan", kind="Plans and promises", happens_on=date(2019, 1, 2))
    remember(store, "so happy today", type="emotional", kind="joy")
    html = page(store)
    for words in ("I live in Oslo", "I live in Rome &lt;script&gt;", "2019-01-02", "joy 1", "hope"):
        assert words in html
    assert "<script>" not in html
    assert "data:image/png;base64," in html


def test_the_page_of_an_empty_store_says_so(
    twin_home: TwinSettings, connection: psycopg.Connection
) -> None:
    assert "Nothing is remembered yet" in page(connection)


def page(connection: psycopg.Connection) -> str:
    template = _environment().get_template("report_memory.html.j2")
    return template.render(memory=memory_page(connection, TwinSettings()))
