"""`twin search`: training settings that may be better, found on the validation split alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from twin_pipelines.foundation.database import Databases, connect, open_databases
from twin_pipelines.foundation.models import resolve_model
from twin_pipelines.foundation.tracking import (
    child_run,
    ending,
    log_dataset,
    log_metrics,
    log_params,
    log_series,
    open_client,
    start_run,
)
from twin_pipelines.instruct.store import latest_dataset
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.training.config import LOSSES, TrainConfig, train_config
from twin_pipelines.training.presets import with_preset
from twin_pipelines.training.progress import Losses, finished_report
from twin_pipelines.training.search import (
    RESULT,
    TUNED,
    Found,
    Train,
    Trial,
    search,
    search_id,
    toml_lines,
    train_in_process,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

LINES = "best.toml"


def run_search(
    settings: TwinSettings, console: Console, train: Train = train_in_process
) -> tuple[Found, Path]:
    """Search around the present training settings; returns what was found and the file of lines.

    The parent run and one child run a trial stand in MLflow. Settings are not changed. Raises
    TwinError where there is no dataset, or no trial succeeded.
    """
    with open_databases(settings) as databases:
        base, rows = _base(settings, databases)
        name = search_id(base, settings.search)
        folder = settings.home / "search" / name
        tell = _teller(console)
        if (folder / RESULT).exists():
            found = search(base, settings.search, folder, train, tell)
        else:
            client = open_client(settings, databases)
            with _tracked(client, settings, base, name, rows) as parent:
                found = search(base, settings.search, folder, parent.wrap(train), tell)
                parent.conclude(found)
    lines = folder / LINES
    lines.write_text(toml_lines(found))
    return found, lines


def search_table(found: Found) -> Table:
    """Trials by round, the best of each first."""
    table = Table(box=None, title=f"Search {found.search_id} on dataset {found.dataset_version}")
    for column in ("round", "steps", "seed", *TUNED, "validation loss", ""):
        table.add_column(column, justify="right" if column else "left")
    order = sorted(
        found.trials,
        key=lambda trial: (trial.round, trial.loss is None, trial.loss or 0.0),
    )
    for trial in order:
        loss = "–" if trial.loss is None else f"{trial.loss:.4f}"
        note = trial.words or ("present settings" if trial.number == 0 else "")
        values = [f"{trial.values[name]:g}" for name in TUNED]
        style = "bold" if trial.values == found.best and trial.loss is not None else ""
        table.add_row(
            *(str(trial.round + 1), str(trial.steps), str(trial.seed)),
            *(*values, loss, note),
            style=style,
        )
    return table


def verdict(found: Found) -> str:
    """One sentence: whether something better was found, and by how much."""
    cut = "; time ran out before the last round was whole" if found.stopped == "time" else ""
    if not found.improved or found.present_loss is None:
        return f"Nothing tried is better than the present settings{cut}."
    gain = found.present_loss - found.best_loss
    return (
        f"The best settings have a validation loss of {found.best_loss:.4f}, {gain:.4f} nats a "
        f"token less than the present ones after equal steps{cut}."
    )


def _base(settings: TwinSettings, databases: Databases) -> tuple[TrainConfig, int]:
    with connect(databases.twin) as connection:
        dataset = latest_dataset(connection)
    if dataset is None:
        raise TwinError("There is no dataset to search on; materialise instruct_dataset first.")
    base = resolve_model(settings.training.base_model, settings, purpose="causal")
    config = train_config(
        with_preset(settings, base.path),
        dataset_version=dataset.version,
        dataset=settings.home / dataset.path,
        base=(base.reference, base.sha256, base.path),
    )
    return config, dataset.train


class _Parent:
    """The parent run of a search in MLflow."""

    def __init__(self, client: MlflowClient, run_id: str, name: str) -> None:
        self._client, self._run_id, self._name = client, run_id, name

    def wrap(self, train: Train) -> Train:
        """The same training, each in a child run."""

        def tracked(config: TrainConfig) -> dict[str, Any]:
            trial = Path(config.output).name
            known = finished_report(Path(config.output))
            if known:  # by a search that was killed later
                return known
            with child_run(
                self._client, self._run_id, key=f"{self._name}/{trial}", name=f"trial {trial}"
            ) as run_id:
                values = {name: getattr(config, name) for name in (*TUNED, "max_steps", "seed")}
                log_params(self._client, run_id, {"training": values})
                report = train(config)
                log_series(self._client, run_id, Losses(Path(config.output) / LOSSES).read())
                names = ("validation_loss_start", "validation_loss_end", "seconds", "tokens")
                log_metrics(self._client, run_id, {name: report.get(name) for name in names})
            return report

        return tracked

    def conclude(self, found: Found) -> None:
        """Log the best values and figures."""
        log_params(self._client, self._run_id, {"best": found.best})
        figures = {
            "best_validation_loss": found.best_loss,
            "present_validation_loss": found.present_loss,
            "trials": len(found.trials),
            "seconds": found.seconds,
        }
        log_metrics(self._client, self._run_id, figures)


@contextmanager
def _tracked(
    client: MlflowClient, settings: TwinSettings, base: TrainConfig, name: str, rows: int
) -> Iterator[_Parent]:
    """The parent run; it ends FINISHED, FAILED or, when interrupted, KILLED, to be continued."""
    run_id = start_run(client, key=f"search/{name}", name=f"search {name}", tags={})
    log_params(client, run_id, {"search": settings.search.model_dump()})
    log_dataset(
        client,
        run_id,
        name="instruct_dataset",
        version=base.dataset_version,
        location=Path(base.dataset),
        rows=rows,
    )
    with ending(client, run_id):
        yield _Parent(client, run_id, f"search/{name}")


def _teller(console: Console) -> Callable[[Trial], None]:
    def tell(trial: Trial) -> None:
        what = f"loss {trial.loss:.4f}" if trial.loss is not None else trial.words
        console.print(
            f"  round {trial.round + 1}, {trial.steps} steps, seed {trial.seed}: "
            f"lr {trial.values['learning_rate']:g}, rank {trial.values['lora_rank']}: {what} "
            f"({trial.seconds:.0f} s)",
            highlight=False,
            markup=False,
        )

    return tell
