"""Files, other programs' tables and datasets lose what was erased, and a receipt tells of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import orjson
import psycopg
import pytest
from forgotten_history import CANARY, THAI, everything, strew, write_history
from remembered import WordEncoder

from twin_pipelines.automation.erasure import dataset_folder, erasure_store
from twin_pipelines.automation.erasure.erase import erase
from twin_pipelines.automation.erasure.erasure_store import Erasure
from twin_pipelines.automation.erasure.files import Change, affected, cleanse
from twin_pipelines.automation.erasure.gone import Gone
from twin_pipelines.automation.erasure.receipt import receipt_fault, receipts, write_receipt
from twin_pipelines.automation.erasure.request import Request
from twin_pipelines.automation.erasure.verify import Verification, probe, verify
from twin_pipelines.embeddings.refresh import refresh
from twin_pipelines.features.refresh import refresh_days
from twin_pipelines.features.store import load_session_turns
from twin_pipelines.foundation.database import Databases, connect, open_databases
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.instruct import store
from twin_pipelines.instruct.assets import instruct_dataset
from twin_pipelines.instruct.leaks import read_splits
from twin_pipelines.instruct.pairs import build_pairs
from twin_pipelines.instruct.preference_store import save_preferences
from twin_pipelines.instruct.preferences import write_preferences
from twin_pipelines.instruct.thresholds import threshold_faults
from twin_pipelines.instruct.write import is_intact
from twin_pipelines.settings import TwinError, TwinSettings, load_settings
from twin_pipelines.sources.landing import import_file
from twin_pipelines.sources.subject import resolve_subject

ENCODER = WordEncoder()


@dataclass(frozen=True)
class Twin:
    """A twin with a secret in it."""

    settings: TwinSettings
    databases: Databases
    folder: Path  # of the dataset

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Rows of a file of the dataset."""
        return [orjson.loads(line) for line in (self.folder / name).read_bytes().splitlines()]


@pytest.fixture
def settings(twin_home: TwinSettings, monkeypatch: pytest.MonkeyPatch) -> TwinSettings:
    monkeypatch.setenv("TWIN_SUBJECT__SPEAKER", "angela")
    monkeypatch.setattr("twin_pipelines.embeddings.encoder.load_encoder", lambda _: ENCODER)
    load_settings.cache_clear()
    return load_settings()


@pytest.fixture
def twin(settings: TwinSettings, tmp_path: Path) -> Iterator[Twin]:
    """The history landed, cleaned, embedded and frozen, with the secret in papers of every kind."""
    history = write_history(tmp_path / "history.jsonl", 150)
    with open_databases(settings) as databases:
        with connect(databases.twin) as connection:
            import_file(connection, settings, history, consent="the authors of this test")
            resolve_subject(connection, settings)
            connection.commit()
            _derive(connection, settings)
        instruct_dataset(dg.build_asset_context(), TwinResource())
        [folder] = [path for path in settings.datasets_dir.iterdir() if path.is_dir()]
        made = Twin(settings, databases, folder)
        _prefer(made)
        strew(settings)
        for url, table in ((databases.dagster, "event_logs"), (databases.mlflow, "params")):
            with psycopg.connect(url) as other:
                other.execute(f"create table {table} (key text primary key, value text)")
                paper = json.dumps({"page": f"# Page\n- {CANARY}\n- tea", "of": 3})
                other.execute(
                    f"insert into {table} values ('a', %s), ('b', %s)", (paper, f"said {THAI}")
                )
        yield made


def _derive(connection: psycopg.Connection, settings: TwinSettings) -> None:
    """The daily half, as its assets do it."""
    row = connection.execute("select min(day), max(day) from raw_messages").fetchone()
    assert row
    days = DayRange(*row)
    refresh_days(connection, settings, days)
    refresh(connection, days, ENCODER, lambda _done, _total: None)
    turns = load_session_turns(connection, days)
    made = build_pairs(turns, "angela", settings.pairs, settings.dataset.near_duplicate)
    store.rewrite_days(connection, days, made)
    connection.commit()


def _prefer(twin: Twin) -> None:
    rows = [
        {
            "prompt": row["prompt"],
            "chosen": row["completion"],
            "rejected": [{"role": "assistant", "content": "as you wish"}],
            "kind": "style",
            "id": row["pair_id"],
        }
        for row in twin.rows("train.jsonl")
        if not row["canary"] and not row["rehearsal"]
    ]
    write_preferences(twin.folder, rows)
    with connect(twin.databases.twin) as connection:
        save_preferences(connection, twin.folder.name, rows)
        connection.commit()


def removed(twin: Twin) -> tuple[Erasure, Gone]:
    """The first stage: the rows are gone."""
    with connect(twin.databases.twin) as connection:
        made = erase(connection, twin.settings, Request("tester", conversation="secret"))
        connection.commit()
        return made, erasure_store.gone(connection, made.erasure_id)


def finished(twin: Twin, made: Erasure, gone: Gone) -> tuple[Verification, Path, list[Change]]:
    """The other stages; `forget` says them in this order."""
    changes = cleanse(twin.settings, twin.databases, gone)
    with connect(twin.databases.twin) as connection:
        _derive(connection, twin.settings)
        connection.autocommit = True
        connection.execute("analyze")
        connection.autocommit = False
        found = verify(twin.settings, twin.databases, gone)
        path = write_receipt(twin.settings, connection, made, found)
    return found, path, changes


def test_nothing_is_left_and_everything_else_stays(twin: Twin) -> None:
    home = twin.settings.home
    assert CANARY in everything(twin.settings, twin.databases)
    made, gone = removed(twin)
    before = twin.rows("train.jsonl")
    found, page, _ = finished(twin, made, gone)
    assert not [query for query in found.queries if query.found]
    assert found.phrases >= 2 and found.messages == 4
    after = everything(twin.settings, twin.databases)
    for words in (CANARY, THAI, "copper canary", "ก้อนอิฐที่สาม"):
        assert words not in after

    assert (home / "logs/server.log").read_text() == "one\n(erased)\nthree\n"
    assert not (home / "report.html").exists()
    assert not (home / "bench/left.arrow").exists()
    assert not (home / "evaluations/.answers/aa.json").exists()
    replies = (home / "evaluations/e1/replies.jsonl").read_text()
    assert json.loads(replies)["pair_id"] == "b"
    metrics = json.loads((home / "evaluations/e1/metrics.json").read_text())
    assert metrics == {"worst": ["(erased)"], "share": 0.5}
    assert "likes tea" in (home / "persona/page.md").read_text()
    with psycopg.connect(twin.databases.dagster) as other:
        rows = dict(other.execute("select key, value from event_logs").fetchall())
    assert json.loads(rows["a"]) == {"page": "# Page\n(erased)\n- tea", "of": 3}
    assert rows["b"] == "(erased)"

    kept = twin.rows("train.jsonl")
    assert 0 < len(before) - len(kept) <= 2
    assert [row for row in before if row in kept] == kept, "the others are as they were"
    receipt = page.read_text()
    assert "secret" not in receipt and "carol" not in receipt and "tester" in receipt


def test_a_dataset_that_lost_rows_is_whole_and_says_so(twin: Twin) -> None:
    version = twin.folder.name
    made, gone = removed(twin)
    finished(twin, made, gone)
    assert is_intact(twin.folder)
    assert "## Erased on" in (twin.folder / "README.md").read_text()
    assert "“" not in (twin.folder / "left_out.md").read_text()
    splits = read_splits(twin.folder)
    faults = threshold_faults(twin.folder, splits, None)
    assert all("its rows give" in fault for fault in faults), "rows that went decided it, too"
    preferred = twin.rows("preferences.jsonl")
    with connect(twin.databases.twin) as connection:
        held = store.latest_dataset(connection)
        pairs = connection.execute(
            "select pair_id::text from preference_pairs where version = %s order by number",
            (version,),
        ).fetchall()
    assert held
    real = [row for row in splits["train"] if not row["rehearsal"]]
    assert held.train == len(real)
    assert [row["id"] for row in preferred] == [pair for (pair,) in pairs]
    assert {row["id"] for row in preferred} <= {row["pair_id"] for row in real}


def test_the_dry_run_names_the_places_and_touches_none(twin: Twin) -> None:
    before = everything(twin.settings, twin.databases)
    with connect(twin.databases.twin) as connection:
        made = erase(connection, twin.settings, Request("tester", conversation="secret"))
        gone = erasure_store.gone(connection, made.erasure_id)
        connection.rollback()
    places = {place.where: place for place in affected(twin.settings, twin.databases, gone)}
    train = f"datasets/{twin.folder.name}/train.jsonl"
    assert {"logs/server.log", "report.html", "mlflow: params.value", train} <= set(places)
    assert (places["logs/server.log"].what, places["logs/server.log"].hits) == ("lines", 1)
    assert everything(twin.settings, twin.databases) == before


def test_a_kill_among_the_files_loses_nothing_of_the_account(
    twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, gone = removed(twin)
    real, written = dataset_folder.replace, []

    def dying(path: Path, content: bytes) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        real(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(dataset_folder, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            cleanse(twin.settings, twin.databases, gone)
    found, _, changes = finished(twin, made, gone)
    assert found.passed and is_intact(twin.folder)
    assert {"train.jsonl", "train.parquet"} <= {Path(change.where).name for change in changes}
    assert cleanse(twin.settings, twin.databases, gone) == changes, "a second time does nothing"


def test_what_is_left_over_is_found_and_a_receipt_of_it_says_so(twin: Twin) -> None:
    made, gone = removed(twin)
    found = verify(twin.settings, twin.databases, gone)
    by_name = {query.name: query.found for query in found.queries}
    assert not found.passed
    assert by_name["files"] and by_name["tables of dagster"] and by_name["tables of mlflow"]
    assert not by_name["identities"]
    with connect(twin.databases.twin) as connection:
        page = write_receipt(twin.settings, connection, made, found)
    assert CANARY not in page.read_text()
    [listed] = receipts(twin.settings.home)
    assert (listed.messages, listed.verified, listed.signature) == (4, False, "good")

    receipt = page.with_name("receipt.json")
    receipt.write_text(receipt.read_text().replace('"removed": 4', '"removed": 3'))
    assert "was changed" in str(receipt_fault(twin.settings.home, receipt))
    assert "was changed" in receipts(twin.settings.home)[0].signature


def test_vectors_that_stayed_behind_are_found_by_meaning(twin: Twin) -> None:
    asked = probe(twin.settings, twin.databases, CANARY)
    assert {query.name: query.found for query in asked.queries}["nearest vectors"]


def test_too_short_a_text_cannot_be_searched_for(settings: TwinSettings) -> None:
    with open_databases(settings) as databases, pytest.raises(TwinError, match="too short"):
        probe(settings, databases, "ok then")
