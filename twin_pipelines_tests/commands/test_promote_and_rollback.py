"""`twin promote` and `twin rollback` as they are typed."""

from __future__ import annotations

import json

import psycopg
import pytest
from typer.testing import CliRunner

from twin_pipelines.cli import app
from twin_pipelines.foundation.registry import alias_version, register_version
from twin_pipelines.foundation.tracking import MlflowTracking, start_run
from twin_pipelines.promotion import notes_store, store
from twin_pipelines.promotion.parts import ReleaseParts
from twin_pipelines.settings import TwinError, TwinSettings

PARTS = ReleaseParts({"system_prompt": "Be ann.", "version": "1"}, {}, "", "b", "b")


@pytest.fixture
def registered(twin_home: TwinSettings, connection: psycopg.Connection) -> TwinSettings:
    """Release 1 passed the gate, release 2 was refused; both are in the registry."""
    connection.execute(
        "insert into datasets (version, subject, settings, train, validation, test, purged, "
        "train_until, test_from, path) values ('d', 'ann', '{}', 1, 1, 1, '{}', now(), now(), 'd')"
    )
    for number, passed in ((1, True), (2, False)):
        adapter = f"a{number}"
        folder = twin_home.adapters_dir / adapter / "adapter"
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_text(adapter)
        with MlflowTracking().client() as client:
            run_id = start_run(client, key=adapter, name=adapter, tags={})
            version = register_version(
                client, key=f"e{number}", run_id=run_id, source=folder, tags={}
            )
        connection.execute(
            "insert into adapters (adapter_id, dataset_version, base_model, base_hash, config, "
            "code_version, path, metrics, mlflow_run_id) "
            "values (%s, 'd', 'b', 'b', '{}', '1', %s, '{}', %s)",
            (adapter, f"adapters/{adapter}", run_id),
        )
        connection.execute(
            "insert into evaluations (evaluation_id, adapter_id, champion_id, metrics, path) "
            "values (%s, %s, %s, '{}', 'e')",
            (f"e{number}", adapter, None if passed else "a1"),
        )
        words = "Passed: all." if passed else "Refused: it recites [memorisation_under_limit]."
        store.save_release(
            connection,
            adapter_id=adapter,
            evaluation_id=f"e{number}",
            model_version=version,
            verdict={"passed": passed, "words": words, "conditions": []},
            parts=PARTS,
        )
    connection.commit()
    return twin_home


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return " ".join(result.output.split())


def serving(connection: psycopg.Connection) -> str | None:
    connection.commit()
    champion = store.champion(connection)
    return champion.adapter_id if champion else None


def test_promote_force_status_and_rollback_with_the_files_gone(
    registered: TwinSettings, connection: psycopg.Connection
) -> None:
    assert "Release 1 (version 1) now serves with 0 core memories" in run("promote", "1")
    assert "serves already" in run("promote", "1")
    with pytest.raises(TwinError, match=r"Release 2 is refused .* \[memorisation_under_limit\]"):
        run("promote")
    for given in ((), ("--by", "mali"), ("--reason", "why not"), ("--by", " ", "--reason", "x")):
        with pytest.raises(TwinError, match="--force --by NAME --reason TEXT"):
            run("promote", "2", "--force", *given)
    assert serving(connection) == "a1"

    told = run("promote", "2", "--force", "--by", "mali", "--reason", "the old one bores me")
    assert "Release 2 (version 2) now serves" in told
    assert "against the gate's word, signed by mali" in told
    assert serving(connection) == "a2"
    assert notes_store.forced_without_note(connection) == []
    status = json.loads(run("status", "--json"))
    (note,) = status["forced"]
    assert (note["release"], note["by"], note["fault"]) == (2, "mali", None)
    assert "forced by mali" in run("status")

    weights = registered.adapters_dir / "a1" / "adapter" / "adapter_model.safetensors"
    weights.unlink()
    weights.parent.rmdir()
    told = run("rollback")
    assert "Restored" in told
    assert "Release 1 (version 1, adapter a1) serves again" in told
    assert weights.read_text() == "a1"
    assert serving(connection) == "a1"
    with MlflowTracking().client() as client:
        assert alias_version(client, "champion") == 1
    assert "adapter a2) serves again" in run("rollback", "--to", "2")
    with pytest.raises(TwinError, match="There is no release 9"):
        run("rollback", "--to", "9")


def test_nothing_to_promote_or_to_go_back_to_is_told(twin_home: TwinSettings) -> None:
    with pytest.raises(TwinError, match="Nothing is registered; see `twin status`"):
        run("promote")
    with pytest.raises(TwinError, match="There is no release 4"):
        run("promote", "4")
    with pytest.raises(TwinError, match="nothing to go back to"):
        run("rollback")
