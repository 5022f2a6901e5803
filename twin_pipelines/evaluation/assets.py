"""The Dagster door of the room: an adapter becomes figures, in a process of its own."""

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import dagster as dg
import psycopg

from twin_pipelines.evaluation import scorecard, store
from twin_pipelines.evaluation.frozen import (
    LEARNT_SPLITS,
    FrozenSet,
    exchange,
    freeze,
    read_split,
    train_exchanges,
)
from twin_pipelines.evaluation.judge import judge_identity
from twin_pipelines.evaluation.leaks import Overlap, overlap, refuse_leaks
from twin_pipelines.evaluation.personality.systems_asked import UNSEEN_SPLITS
from twin_pipelines.evaluation.recall import digest, recall
from twin_pipelines.evaluation.task import Candidate, Task, write_task
from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.foundation.models import resolve_model
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.foundation.tracking import (
    MlflowTracking,
    child_run,
    log_dataset,
    log_metrics,
    log_params,
)
from twin_pipelines.instruct.store import (
    DatasetVersion,
    dataset,
    learnt_sessions,
    message_ids,
)
from twin_pipelines.settings import TwinError, TwinSettings, as_plain
from twin_pipelines.training import store as training
from twin_pipelines.training.control import control_adapter_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient

CODE_VERSION = "3"  # raise it when the same adapter would get other figures
ANSWERS = ".answers"  # kept answers of systems, beside the evaluations
TASKS = ".tasks"
METRICS = "metrics.json"


@dataclass(frozen=True)
class Prepared:
    """What is to be evaluated, against whom, and where."""

    task: Task
    adapter: training.Adapter
    champion_id: str | None

    @property
    def evaluation_id(self) -> str:
        """Identity of the evaluation."""
        return self.task.folder.name


@dg.asset(
    deps=["lora_adapter", "control_adapter"],
    group_name="evaluation",
    kinds={"python", "pytorch", "scikitlearn"},
    owners=["team:twin"],
    code_version=CODE_VERSION,
    pool="training",
)
def evaluated_model(
    context: dg.AssetExecutionContext,
    twin: TwinResource,
    tracking: MlflowTracking,
    pipes: dg.PipesSubprocessClient,
) -> dg.MaterializeResult:
    """How close the twin comes to the person, on sessions nobody has trained on.

    Style consistency and realism, likelihood of the real replies, picking the real reply,
    memorisation, safety and manners, each with interval, ceiling and controls; in full depth also
    another person's twin and the ablation. Measured in a process of its own; what the base says is
    kept and used again, and so is an evaluation of the same adapter, champion, test set and
    settings.
    """
    with twin.connect() as connection:
        prepared = prepare(connection, twin.settings)
    metrics = read_json(prepared.task.folder / METRICS)
    reused = bool(metrics)
    if reused:
        context.log.info(f"Evaluation {prepared.evaluation_id} exists; it is used again")
    else:
        metrics = _measure(context, twin.settings, pipes, prepared.task)
    with twin.connect() as connection:
        known = store.choose_evaluation(connection, prepared.evaluation_id)
        if known is None:
            store.save_evaluation(
                connection,
                evaluation_id=prepared.evaluation_id,
                adapter_id=prepared.adapter.adapter_id,
                champion_id=prepared.champion_id,
                metrics=metrics,
                path=PurePosixPath(prepared.task.folder.relative_to(twin.settings.home)),
            )
        connection.commit()
    if known is None:
        figures = {"evaluation": scorecard.headline(metrics)}
        with tracking.client() as client:
            log_metrics(client, prepared.adapter.mlflow_run_id, figures)
            _log_child(client, prepared, metrics)
    return dg.MaterializeResult(metadata=_metadata(prepared, metrics, reused=reused))


def prepare(connection: psycopg.Connection, settings: TwinSettings) -> Prepared:
    """The evaluation of the current adapter against the present champion.

    Raises TwinError when there is no adapter, or its dataset or base is gone; SeenError when
    anything of the test set was learnt from.
    """
    adapter = training.latest_adapter(connection)
    if adapter is None:
        raise TwinError("There is no adapter to evaluate; materialise lora_adapter first.")
    made_from = dataset(connection, adapter.dataset_version)
    if made_from is None:
        raise TwinError(
            f"The dataset {adapter.dataset_version} of adapter {adapter.adapter_id} is gone; "
            "materialise instruct_dataset and lora_adapter again."
        )
    champion_id = store.serving_adapter(connection)
    if champion_id == adapter.adapter_id:
        champion_id = None
    champion = training.adapter(connection, champion_id) if champion_id else None
    folder = settings.home / made_from.path
    candidate = _candidate(adapter, settings)
    barred = champion_sessions(connection, settings, champion, made_from.version)
    frozen = freeze_for(settings, made_from, candidate.adapter, barred)
    found = find_overlap(connection, settings, made_from, frozen).as_dict()
    refuse_leaks(found)
    control = _control(adapter, settings)
    beside = [control.adapter.parent.name] if control and control.adapter else []
    unseen = [exchange(row) for part in UNSEEN_SPLITS for row in read_split(folder, part)]
    recalled = recall(
        connection,
        settings,
        train=train_exchanges(folder),
        unseen=unseen,
        frozen=frozen,
        train_until=made_from.train_until,
    )
    identity = evaluation_id(
        adapter.adapter_id,
        champion_id,
        frozen.version,
        settings,
        beside=[*beside, *digest(recalled), *judge_identity(settings.llm)],
    )
    task = Task(
        folder=settings.evaluations_dir / identity,
        cache=settings.evaluations_dir / ANSWERS,
        dataset=folder,
        dataset_version=made_from.version,
        speaker=made_from.subject,
        twin=candidate,
        champion=_candidate(champion, settings) if champion else None,
        settings=settings.evaluation,
        min_reply_words=settings.pairs.min_reply_words,
        one_voice=store.one_voice(connection),
        leaks=found,
        dtype=settings.training.dtype,
        control=control,
        recalled=recalled,
        barred=barred,
        llm=settings.llm,
    )
    return Prepared(task, adapter, champion_id)


def freeze_for(
    settings: TwinSettings,
    made_from: DatasetVersion,
    adapter: Path | None,
    barred: Sequence[str],
) -> FrozenSet:
    """The frozen set of a dataset version at the sizes of the settings; see `freeze`."""
    return freeze(
        settings.home / made_from.path,
        made_from.version,
        replies=settings.evaluation.replies,
        ranked=settings.evaluation.ranked,
        adapter=adapter,
        barred=barred,
    )


def evaluation_id(
    adapter_id: str,
    champion_id: str | None,
    frozen_version: str,
    settings: TwinSettings,
    *,
    beside: Sequence[str] = (),
) -> str:
    """Identity of an evaluation: 12 hexadecimal digits of what decides its figures.

    `beside` names what else takes part, such as another person's adapter.
    """
    parts = [
        adapter_id,
        champion_id,
        frozen_version,
        as_plain(settings.evaluation),
        settings.training.dtype,
        CODE_VERSION,
        *beside,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def find_overlap(
    connection: psycopg.Connection,
    settings: TwinSettings,
    made_from: DatasetVersion,
    frozen: FrozenSet,
) -> Overlap:
    """What of the frozen set also stands in train or validation of its dataset."""
    folder = settings.home / made_from.path
    learnt = [exchange(row) for split in LEARNT_SPLITS for row in read_split(folder, split)]
    pairs = [one.pair_id for one in (*frozen.exchanges, *learnt)]
    return overlap(frozen.exchanges, learnt, message_ids(connection, pairs))


def champion_sessions(
    connection: psycopg.Connection,
    settings: TwinSettings,
    champion: training.Adapter | None,
    dataset_version: str,
) -> list[str]:
    """Sessions that the champion learnt from, of another dataset version than the challenger's.

    They are left out of the frozen set, or the champion would be compared on what it knows.
    """
    if champion is None or champion.dataset_version == dataset_version:
        return []
    learnt_from = dataset(connection, champion.dataset_version)
    if learnt_from is None:
        raise TwinError(
            f"The dataset {champion.dataset_version} of the champion {champion.adapter_id} is "
            "gone, so nobody can tell what it was trained on; roll back or promote another."
        )
    folder = settings.home / learnt_from.path
    if not folder.is_dir():  # as after an erasure that reached it
        return learnt_sessions(connection, learnt_from.version)
    rows = [row for split in LEARNT_SPLITS for row in read_split(folder, split)]
    return sorted({str(row["session_id"]) for row in rows})


def _control(adapter: training.Adapter, settings: TwinSettings) -> Candidate | None:
    """Another person's adapter of the same recipe, where one is wanted and was trained."""
    if settings.evaluation.depth == "quick":
        return None
    folder = control_adapter_folder(settings, adapter)
    base = resolve_model(adapter.base_model, settings, purpose="causal")
    return Candidate(base, folder) if folder else None


def _candidate(adapter: training.Adapter, settings: TwinSettings) -> Candidate:
    base = resolve_model(adapter.base_model, settings, purpose="causal")
    return Candidate(base, settings.home / adapter.path / "adapter")


def _measure(
    context: dg.AssetExecutionContext,
    settings: TwinSettings,
    pipes: dg.PipesSubprocessClient,
    task: Task,
) -> dict[str, Any]:
    path = settings.evaluations_dir / TASKS / f"{task.folder.name}.json"
    write_task(task, path)
    command = [sys.executable, "-m", "twin_pipelines.evaluation.run", "--config", str(path)]
    invocation = pipes.run(context=context, command=command)
    for message in invocation.get_custom_messages():
        raise TwinError(message["error"])
    metrics = read_json(task.folder / METRICS)
    assert metrics, "an evaluation that ends well leaves its metrics"
    return metrics


def _log_child(client: "MlflowClient", prepared: Prepared, metrics: dict[str, Any]) -> None:
    """The evaluation as a run nested in the adapter's, with the frozen set as its input."""
    task, frozen, name = prepared.task, metrics["frozen_set"], prepared.evaluation_id
    parent = prepared.adapter.mlflow_run_id
    with child_run(client, parent, key=name, name=f"evaluate {name}") as run_id:
        settings = {"evaluation": as_plain(task.settings), "beside": prepared.champion_id or "none"}
        log_params(client, run_id, settings)
        log_dataset(
            client,
            run_id,
            name="frozen_set",
            version=frozen["version"],
            location=task.dataset,
            rows=frozen["n_pairs"],
            context="evaluation",
        )
        log_metrics(client, run_id, scorecard.headline(metrics))


def _metadata(prepared: Prepared, metrics: dict[str, Any], *, reused: bool) -> dict[str, Any]:
    folder = prepared.task.folder
    return {
        "evaluation_id": prepared.evaluation_id,
        "adapter_id": prepared.adapter.adapter_id,
        "compared_with": prepared.champion_id or "no champion yet",
        "frozen_set": metrics["frozen_set"]["version"],
        "reused": reused,
        "dagster/row_count": metrics["frozen_set"]["n_pairs"],
        **scorecard.headline(metrics),
        "seconds": sum(metrics["seconds"].values()),
        "figures": dg.MetadataValue.md(scorecard.table(metrics)),
        "plots": dg.MetadataValue.md(scorecard.plots(folder)),
        "seconds_by_part": dg.MetadataValue.json(metrics["seconds"]),
        "folder": dg.MetadataValue.path(folder),
    }
