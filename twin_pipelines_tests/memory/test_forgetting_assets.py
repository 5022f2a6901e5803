"""The index and forgetting as assets: checked, whole when repeated, held back where it costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
import pytest
from remembered import WordEncoder, remember

from twin_pipelines.embeddings.encoder import model_id
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.memory import assets, checks
from twin_pipelines.memory.assets import archived_memories, memory_embeddings
from twin_pipelines.settings import TwinSettings

CHECKS = [
    checks.memories_are_indexed,
    checks.what_matters_is_kept,
    checks.forgetting_is_not_held_back,
]


@pytest.fixture
def encoder(twin_home: TwinSettings, monkeypatch: pytest.MonkeyPatch) -> WordEncoder:
    """An encoder that knows words only and has the configured model's name."""
    made = WordEncoder()
    made.model_id = model_id(twin_home)
    monkeypatch.setattr(assets, "load_encoder", lambda _: made)
    return made


def materialise() -> tuple[dg.ExecuteInProcessResult, dict[str, bool]]:
    result = dg.materialize(
        [memory_embeddings, archived_memories, *CHECKS],
        resources={"twin": TwinResource()},
        raise_on_error=False,
    )
    checked = result.get_asset_check_evaluations()
    return result, {one.check_name: one.passed for one in checked}


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    (done,) = result.asset_materializations_for_node("archived_memories")
    return {name: value.value for name, value in done.metadata.items()}


def test_what_faded_is_archived_and_the_rest_is_indexed(
    connection: psycopg.Connection, encoder: WordEncoder
) -> None:
    remember(connection, "I lost an umbrella", days=2_000)
    remember(connection, "I lost a hat", days=2_000, pinned=True)
    for number in range(40):
        remember(connection, f"ชอบกินข้าวมากค่ะ number {number}")
    connection.commit()
    result, passed = materialise()
    assert result.success and all(passed.values()) and len(passed) == 3
    told = metadata(result)
    assert told["dagster/row_count"] == 1 and not told["held back"]
    assert "umbrella" in str(told["most important that go"])
    result, passed = materialise()
    assert all(passed.values())
    assert metadata(result)["ledger run"] == "none: nothing changed"


def test_a_setting_that_would_empty_search_archives_nothing(
    connection: psycopg.Connection, encoder: WordEncoder
) -> None:
    for number in range(40):
        remember(connection, f"I like tea number {number}", days=1_500 * (number % 2))
    over = datetime(2018, 10, 1, tzinfo=UTC)
    remember(connection, "sue: hi", type="short_term", kind="session", days=40, valid_until=over)
    connection.commit()
    result, passed = materialise()
    assert result.success
    assert passed == {
        "memories_are_indexed": True,
        "what_matters_is_kept": True,
        "forgetting_is_not_held_back": False,
    }
    assert metadata(result)["held back"]
    archived = connection.execute("select content from memories where status = 'archived'")
    assert archived.fetchall() == [("sue: hi",)]


def test_a_pinned_memory_that_was_archived_by_a_fault_comes_back(
    connection: psycopg.Connection, encoder: WordEncoder
) -> None:
    remember(
        connection,
        "I lost a hat",
        pinned=True,
        status="archived",
        status_reason="faded: by a fault",
        valid_until=datetime(2018, 11, 1, tzinfo=UTC) - timedelta(days=1),
    )
    connection.commit()
    with TwinResource().connect() as opened:
        faults = checks._faded(opened, None)
    assert faults.select("pinned").rows() == [(1,)]
    assert materialise()[1]["what_matters_is_kept"]
    assert connection.execute("select status from memories").fetchone() == ("active",)


def test_nothing_remembered_is_no_failure(
    connection: psycopg.Connection, encoder: WordEncoder
) -> None:
    result, passed = materialise()
    assert result.success and all(passed.values())
