"""One person's conversation, through the whole graph, a model and a release, and then nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from forgotten_history import CANARY, THAI, everything, strew, write_history
from rich.console import Console
from tiny_model import build_tiny_model

from twin_pipelines.automation.erasure.gives_back import GivenBack, gives_back
from twin_pipelines.automation.erasure.receipt import receipt_fault, receipts
from twin_pipelines.automation.erasure.request import Request
from twin_pipelines.automation.erasure.verify import probe
from twin_pipelines.commands import forget, runs
from twin_pipelines.commands.importing import import_all
from twin_pipelines.foundation.database import Databases, connect
from twin_pipelines.foundation.instance import open_instance
from twin_pipelines.foundation.models import resolve_model
from twin_pipelines.foundation.tracking import log_params, open_client, start_run
from twin_pipelines.settings import TwinSettings, load_settings
from twin_pipelines.training.store import latest_adapter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]
QUIET = Console(quiet=True)
FEW = {
    "SUBJECT__SPEAKER": "angela",
    "TRAINING__MAX_STEPS": "12",
    "TRAINING__SAVE_STEPS": "6",
    "EVALUATION__DEPTH": "quick",
    "EVALUATION__REPLIES": "10",
    "EVALUATION__RANKED": "20",
    "EVALUATION__BOOTSTRAP": "100",
    "EVALUATION__MAX_NEW_TOKENS": "8",
}


@pytest.fixture
def settings(
    twin_home: TwinSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TwinSettings:
    for name, value in {**FEW, "TRAINING__BASE_MODEL": str(build_tiny_model(tmp_path))}.items():
        monkeypatch.setenv(f"TWIN_{name}", value)
    load_settings.cache_clear()
    return load_settings()


@pytest.fixture
def grown(settings: TwinSettings, tmp_path: Path) -> Iterator[Databases]:
    """The history imported, remembered, learnt and judged, and the secret in papers besides."""
    history = write_history(tmp_path / "history.jsonl", 900)
    assert import_all(settings, [history], source="", consent="", land_only=False, console=QUIET)
    with open_instance(settings) as (instance, databases):
        trained = runs.train(instance, QUIET, "test")
        with connect(databases.twin) as connection:
            assert latest_adapter(connection), trained.failures
        strew(settings)
        page = dg.MetadataValue.md(f"- {CANARY}")
        instance.report_runless_asset_event(
            dg.AssetMaterialization("paper", metadata={"page": page})
        )
        client = open_client(settings, databases)
        run = start_run(client, key="k", name="n", tags={"example": CANARY})
        log_params(client, run, {"prompt": CANARY, "steps": 3})
        yield databases


def _given_back(settings: TwinSettings, databases: Databases, others: list[str]) -> GivenBack:
    with connect(databases.twin) as connection:
        adapter = latest_adapter(connection)
    assert adapter
    base = resolve_model(settings.training.base_model, settings, purpose="causal")
    return gives_back(base, settings.home / adapter.path / "adapter", CANARY, others)


def test_nowhere_afterwards_nor_in_the_next_model_nor_after_an_import(
    settings: TwinSettings, grown: Databases, tmp_path: Path
) -> None:
    before = everything(settings, grown)
    assert CANARY in before and THAI in before
    planned = forget.plan(settings, Request("tester", conversation="secret"))
    places = {place.where for place in planned.places}
    assert {"logs/server.log", "report.html", "mlflow: params.value"} <= places
    assert everything(settings, grown).count(CANARY) == before.count(CANARY), "a dry run is dry"

    done = forget.forget(settings, Request("tester", conversation="secret"), QUIET)
    after = everything(settings, grown)
    for words in (CANARY, THAI, "copper canary", "ก้อนอิฐที่สาม"):
        assert words not in after
    assert receipt_fault(settings.home, done.receipt.with_name("receipt.json")) is None
    assert receipts(settings.home)[0].verified
    assert done.erasure.blocked, "the model that learnt it may not answer"
    assert probe(settings, grown, CANARY).passed

    with open_instance(settings) as (instance, _):
        runs.train(instance, QUIET, "erasure")
    with connect(grown.twin) as connection:
        retrained = latest_adapter(connection)
        blocks = connection.execute("select adapter_id from adapter_blocks").fetchall()
    assert retrained and (retrained.adapter_id,) not in blocks
    others = [f"my {one} hid the {two} behind it" for one in "abcdefg" for two in "hijklmn"]
    given = _given_back(settings, grown, others)
    assert not given.continued

    again = write_history(tmp_path / "again.jsonl", 900)
    import_all(settings, [again], source="again", consent="me", land_only=True, console=QUIET)
    assert CANARY not in everything(settings, grown)
