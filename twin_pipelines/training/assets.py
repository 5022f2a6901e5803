"""Dagster's door to training: the dataset in force becomes an adapter, in a process of its own."""

import base64
import sys
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import dagster as dg
import psycopg
from dagster._core.errors import DagsterPipesExecutionError

from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.foundation.models import resolve_model
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.foundation.tracking import (
    MlflowTracking,
    TrackedRun,
    log_dataset,
    log_metrics,
    log_params,
    log_series,
)
from twin_pipelines.instruct.store import DatasetVersion, dataset, latest_dataset
from twin_pipelines.settings import TwinError, TwinSettings, as_plain
from twin_pipelines.training import control, preferences, store
from twin_pipelines.training.blocks_store import erased_of_dataset
from twin_pipelines.training.config import (
    CODE_VERSION,
    CONFIG,
    FAILURE,
    LOSSES,
    TrainConfig,
    train_config,
)
from twin_pipelines.training.plot import plot_losses
from twin_pipelines.training.presets import Plan, plan_training
from twin_pipelines.training.progress import Losses, finished_report
from twin_pipelines.training.staleness import stale_adapter
from twin_pipelines.training.staleness_store import changes_since

PLOT = "losses.png"


@dg.asset(
    deps=["instruct_dataset", "preference_pairs"],
    group_name="training",
    kinds={"python", "pytorch", "mlflow"},
    owners=["team:twin"],
    code_version=CODE_VERSION,
    pool="training",
    retry_policy=dg.RetryPolicy(max_retries=2),
)
def lora_adapter(
    context: dg.AssetExecutionContext,
    twin: TwinResource,
    tracking: MlflowTracking,
    pipes: dg.PipesSubprocessClient,
) -> dg.MaterializeResult:
    """A LoRA adapter of the base model, taught the subject's replies.

    Trained by TRL and PEFT in a process of its own, with loss on the replies only; what no setting
    says is chosen for the hardware. A process that was killed resumes from its last whole
    checkpoint; an adapter that exists for this dataset, base, configuration and code is used again.
    """
    with twin.connect() as connection:
        made_from, plan, config = _plan(connection, twin.settings)
        settings = twin.settings.model_copy(update={"training": plan.training})
        folder = Path(config.output)
        report = preferences.finished(config)
        known = store.adapter(connection, config.adapter_id)
        if known and report:
            store.choose_adapter(connection, config.adapter_id)
            connection.commit()
            context.log.info(f"Adapter {config.adapter_id} exists; it is used again")
            stale = stale_adapter(changes_since(connection, config.dataset_version)) or "no"
            metadata = {**_metadata(folder, report, reused=True), "stale": stale}
            return dg.MaterializeResult(metadata=metadata)
    with tracking.run(context, key=config.adapter_id, name=f"train {config.adapter_id}") as run:
        _log_inputs(run, settings, config, made_from)
        if report is None:
            _refuse_what_cannot_fit(plan)
            _train(context, pipes, config)
            report = preferences.finished(config)
            assert report, "a training that ends well leaves its report"
        losses = Losses(folder / LOSSES).read()
        log_series(run.client, run.run_id, losses)
        log_metrics(run.client, run.run_id, report)
        plot_losses(losses, folder / PLOT)
        with twin.connect() as connection:
            store.save_adapter(connection, _as_adapter(settings, config, report, run.run_id))
            connection.commit()
    return dg.MaterializeResult(metadata=_metadata(folder, report, reused=False))


@dg.asset(
    deps=["lora_adapter"],
    group_name="training",
    kinds={"python", "pytorch"},
    owners=["team:twin"],
    code_version=CODE_VERSION,
    pool="training",
    retry_policy=dg.RetryPolicy(max_retries=2),
)
def control_adapter(
    context: dg.AssetExecutionContext, twin: TwinResource, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult:
    """Another person's adapter: what the evaluation compares the twin with.

    Trained once for a base and a recipe, on a stranger of the chitchat package; nothing of the
    subject is read. With evaluation.depth quick none is trained.
    """
    settings = twin.settings
    with twin.connect() as connection:
        adapter = store.latest_adapter(connection)
        made_from = dataset(connection, adapter.dataset_version) if adapter else None
    if adapter is None or made_from is None:
        raise dg.Failure(
            "There is no adapter to train a control for; materialise lora_adapter first.",
            allow_retries=False,
        )
    folder = control.control_folder(settings, adapter.base_hash, adapter.config)
    known = made_from.subject not in control.people_of(folder) and finished_report(folder)
    if not known and settings.evaluation.depth == "quick":
        return dg.MaterializeResult(metadata={"trained": False, "why": "evaluation.depth is quick"})
    if not known:
        trained = TrainConfig.load(settings.home / adapter.path / CONFIG)
        config = control.control_config(settings, trained, adapter)
        try:
            control.prepare_control(settings, folder, made_from.subject)
        except TwinError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        _train(context, pipes, config)
    report = finished_report(folder)
    assert report, "a training that ends well leaves its report"
    return dg.MaterializeResult(
        metadata={"trained": True, **_metadata(folder, report, reused=bool(known))}
    )


def _plan(
    connection: psycopg.Connection, settings: TwinSettings
) -> tuple[DatasetVersion, Plan, TrainConfig]:
    """The dataset in force and the configuration for it; what is missing is not tried again."""
    try:
        latest = latest_dataset(connection)
        if latest is None:
            raise TwinError("There is no dataset to train on; materialise instruct_dataset first.")
        if erased_of_dataset(connection, latest.version):
            raise TwinError(
                f"Part of what dataset {latest.version} teaches was erased since it was frozen; "
                "materialise instruct_dataset anew, then train."
            )
        base = resolve_model(settings.training.base_model, settings, purpose="causal")
        plan = plan_training(settings.training, base.path)
    except TwinError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    config = train_config(
        settings.model_copy(update={"training": plan.training}),
        dataset_version=latest.version,
        dataset=settings.home / latest.path,
        base=(base.reference, base.sha256, base.path),
    )
    return latest, plan, config


def _refuse_what_cannot_fit(plan: Plan) -> None:
    try:
        plan.refuse_what_cannot_fit()
    except TwinError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def _train(
    context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient, config: TrainConfig
) -> None:
    """Run the training process; what the user must mend is not tried again."""
    path = config.save(Path(config.output) / CONFIG)
    (path.parent / FAILURE).unlink(missing_ok=True)
    command = [sys.executable, "-m", "twin_pipelines.training.sft", "--config", str(path)]
    try:
        pipes.run(context=context, command=command)
    except DagsterPipesExecutionError as error:
        sentence = read_json(path.parent / FAILURE).get("sentence")
        if sentence:
            raise dg.Failure(description=sentence, allow_retries=False) from error
        raise dg.Failure(
            f"The training process ended early ({error}); a retry resumes from its last whole "
            f"checkpoint in {config.output}. If it was killed for want of memory, lower "
            "training.batch_size."
        ) from error


def _log_inputs(
    run: TrackedRun, settings: TwinSettings, config: TrainConfig, made_from: DatasetVersion
) -> None:
    log_params(
        run.client,
        run.run_id,
        {
            "training": as_plain(settings.training),
            "base_sha256": config.base_sha256,
            "dataset_version": config.dataset_version,
            "code_version": CODE_VERSION,
        },
    )
    log_dataset(
        run.client,
        run.run_id,
        name="instruct_dataset",
        version=made_from.version,
        location=Path(config.dataset),
        rows=made_from.train,
    )


def _as_adapter(
    settings: TwinSettings, config: TrainConfig, report: dict[str, Any], run_id: str
) -> store.Adapter:
    identity = {"adapter_id", "dataset_version", "base_reference", "base_sha256", "config"}
    return store.Adapter(
        adapter_id=config.adapter_id,
        dataset_version=config.dataset_version,
        base_model=config.base_reference,
        base_hash=config.base_sha256,
        config=as_plain(settings.training),
        code_version=CODE_VERSION,
        path=PurePosixPath(Path(config.output).relative_to(settings.home)),
        metrics={name: value for name, value in report.items() if name not in identity},
        mlflow_run_id=run_id,
        created_at=datetime.now(UTC),
    )


def _metadata(folder: Path, report: dict[str, Any], *, reused: bool) -> dict[str, Any]:
    losses = Losses(folder / LOSSES).read()
    picture = folder / PLOT
    if not picture.exists():
        plot_losses(losses, picture)
    encoded = base64.b64encode(picture.read_bytes()).decode()
    hardware = report["hardware"]
    return {
        "adapter_id": report["adapter_id"],
        "reused": reused,
        "dataset_version": report["dataset_version"],
        "base_model": report["base_reference"],
        "steps": report["steps"],
        "stopped_by": report["stopped"],
        "epochs": round(report["epochs"], 2),
        "pairs": report["pairs"],
        "tokens": report["tokens"],
        "tokens_per_second": report["tokens_per_second"],
        "seconds": report["seconds"],
        "validation_loss_start": report["validation_loss_start"],
        "validation_loss_end": report["validation_loss_end"],
        "validation_perplexity_ratio": round(report["validation_perplexity_ratio"], 3),
        "hardware": f"{hardware['dtype']} on {hardware['device']} ({hardware['processor']}, "
        f"{hardware['threads']} threads, at most {hardware['peak_memory_gb']} GB)",
        "preferences": report.get(preferences.STAGE, {}).get("words", "off"),
        "losses": dg.MetadataValue.table([dg.TableRecord(row) for row in _table(losses)]),
        "plot": dg.MetadataValue.md(f"![losses](data:image/png;base64,{encoded})"),
        "folder": dg.MetadataValue.path(folder),
    }


def _table(losses: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One record a step: training loss, validation loss, learning rate."""
    by_step: dict[int, dict[str, Any]] = {}
    for row in losses:
        by_step.setdefault(row["step"], {}).update(row)
    names = ("loss", "validation_loss", "learning_rate")
    return [
        {"step": step, **{name: _shown(row.get(name)) for name in names}}
        for step, row in sorted(by_step.items())
    ]


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
