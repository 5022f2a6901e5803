"""What must be true of the adapter in force."""

from pathlib import Path
from typing import Any

import dagster as dg

from twin_pipelines.foundation.fingerprints import hash_file, read_json
from twin_pipelines.foundation.models import resolve_model
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.instruct.store import dataset
from twin_pipelines.settings import TwinError
from twin_pipelines.training import blocks_store, control, store
from twin_pipelines.training.config import LOSSES, REPORT
from twin_pipelines.training.progress import Losses, finished_report
from twin_pipelines.training.staleness import stale_adapter
from twin_pipelines.training.staleness_store import changes_since
from twin_pipelines.training.verify import (
    infinite_losses,
    logit_change,
    shared_pairs,
    weights_are_finite,
)

LEAST_CHANGE = 1e-3


@dg.asset_check(asset="lora_adapter", blocking=True)
def adapter_changes_the_base(twin: TwinResource) -> dg.AssetCheckResult:
    """The adapter loads on its base and changes what it would say."""
    adapter, folder = _adapter(twin)
    base = resolve_model(adapter.base_model, twin.settings, purpose="causal")
    same_base = base.sha256 == adapter.base_hash
    change = logit_change(base.path, folder)
    return _result(
        same_base and change >= LEAST_CHANGE,
        {"mean_logit_change": change, "base_unchanged": same_base},
        f"mean change of the logits {change:.2g}, base unchanged: {same_base}",
    )


@dg.asset_check(asset="lora_adapter", blocking=True)
def validation_loss_fell(twin: TwinResource) -> dg.AssetCheckResult:
    """Training made the subject's unseen replies likelier."""
    adapter, _ = _adapter(twin)
    start, end = (adapter.metrics[f"validation_loss_{when}"] for when in ("start", "end"))
    return _result(
        end < start, {"start": start, "end": end}, f"validation loss {start:.3f} → {end:.3f}"
    )


@dg.asset_check(asset="lora_adapter", blocking=True)
def losses_and_weights_are_numbers(twin: TwinResource) -> dg.AssetCheckResult:
    """No loss and no weight became infinite or not a number."""
    adapter, folder = _adapter(twin)
    steps = infinite_losses(Losses(folder / LOSSES).read())
    finite = weights_are_finite(folder)
    stopped = str(adapter.metrics["stopped"])
    return _result(
        not steps and finite and stopped != "nan",
        {"infinite_at_steps": str(steps), "weights_finite": finite, "stopped_by": stopped},
        f"infinite losses at steps {steps}, weights finite: {finite}, stopped by {stopped}",
    )


@dg.asset_check(asset="lora_adapter", blocking=True)
def trained_on_the_train_split_only(twin: TwinResource) -> dg.AssetCheckResult:
    """What was trained on is the dataset's train file, which shares no pair with the others."""
    adapter, folder = _adapter(twin)
    with twin.connect() as connection:
        made_from = dataset(connection, adapter.dataset_version)
    if made_from is None:
        raise TwinError(f"The dataset {adapter.dataset_version} of the adapter is not recorded.")
    files = twin.settings.home / made_from.path
    report = read_json(folder / REPORT)
    same = report.get("dataset_sha256") == hash_file(files / "train.jsonl")
    shared = shared_pairs(files)
    return _result(
        same and not shared,
        {"same_file": same, "shared_pairs": shared},
        f"trained on the dataset's train file: {same}; pairs shared with other splits: {shared}",
    )


@dg.asset_check(asset="lora_adapter")
def learnt_what_still_stands(twin: TwinResource) -> dg.AssetCheckResult:
    """Of the pairs the adapter learnt none was erased, edited or became unusable since."""
    adapter, _ = _adapter(twin)
    with twin.connect() as connection:
        changes = changes_since(connection, adapter.dataset_version)
        blocked = blocks_store.blocked_adapters(connection).get(adapter.adapter_id, "")
    words = [stale_adapter(changes), f"It may not answer: {blocked}." if blocked else ""]
    return dg.AssetCheckResult(
        passed=not any(words),
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(part for part in words if part) or None,
        metadata={
            "dataset_version": adapter.dataset_version,
            "erased": changes.erased,
            "no longer usable": changes.dropped,
            "edited": changes.edited,
            "changed in test": changes.tested,
            "may answer": not blocked,
        },
    )


@dg.asset_check(asset="control_adapter", blocking=True)
def control_is_another_person(twin: TwinResource) -> dg.AssetCheckResult:
    """The control is finite, was trained by the adapter's recipe and on nobody's subject."""
    adapter, _ = _adapter(twin)
    folder = control.control_folder(twin.settings, adapter.base_hash, adapter.config)
    if not finished_report(folder):
        quick = twin.settings.evaluation.depth == "quick"
        return _result(quick, {"trained": False}, f"no control in {folder}")
    with twin.connect() as connection:
        made_from = dataset(connection, adapter.dataset_version)
    if made_from is None:
        raise TwinError(f"The dataset {adapter.dataset_version} of the adapter is not recorded.")
    people = control.people_of(folder)
    apart = bool(people) and made_from.subject not in people
    used = read_json(folder / REPORT).get("dataset_sha256")
    same = used == hash_file(folder / control.DATASET / "train.jsonl")
    finite = weights_are_finite(folder) and not infinite_losses(Losses(folder / LOSSES).read())
    return _result(
        apart and same and finite,
        {"people": len(people), "without_the_subject": apart, "same_file": same, "finite": finite},
        f"without the subject: {apart}, trained on its file: {same}, finite: {finite}",
    )


def _adapter(twin: TwinResource) -> tuple[store.Adapter, Path]:
    with twin.connect() as connection:
        adapter = store.latest_adapter(connection)
    if adapter is None:
        raise TwinError("There is no adapter yet; materialise lora_adapter first.")
    return adapter, twin.settings.home / adapter.path


def _result(passed: bool, metadata: dict[str, Any], words: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=None if passed else words,
        metadata=metadata,
    )
