"""What `twin forget` does: tell what would go, let it go, go on where it was broken off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from twin_pipelines.automation.erasure import erasure_store, removal_store
from twin_pipelines.automation.erasure.erase import erase
from twin_pipelines.automation.erasure.erasure_store import Erasure
from twin_pipelines.automation.erasure.request import Request
from twin_pipelines.automation.following import stretches
from twin_pipelines.commands import runs
from twin_pipelines.foundation.database import Databases, connect, open_databases
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.settings import TwinError, TwinSettings

if TYPE_CHECKING:
    from twin_pipelines.automation.erasure.files import Place
    from twin_pipelines.automation.erasure.verify import Verification

MOST_RUNS = 6  # stretches of days; more are derived as one
_BUSY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


@dataclass(frozen=True)
class Planned:
    """What an erasure would do: rows by table, and the places in files and other databases."""

    erasure: Erasure
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Forgotten:
    """An erasure that is done, and its receipt."""

    erasure: Erasure
    receipt: Path


def plan(settings: TwinSettings, request: Request) -> Planned:
    """What would go: the removal itself, rolled back. Raises TwinError when nothing fits."""
    from twin_pipelines.automation.erasure.files import affected

    with open_databases(settings) as databases:
        with connect(databases.twin) as connection:
            found = erase(connection, settings, request)
            gone = erasure_store.gone(connection, found.erasure_id)
            connection.rollback()
        return Planned(found, tuple(affected(settings, databases, gone)))


def forget(settings: TwinSettings, request: Request, console: Console) -> Forgotten:
    """Erase what the request names, for good. Raises TwinError; what was begun is then gone on
    with by `resume`."""
    with runs.open_twin(settings) as (instance, databases):
        _nobody_derives(instance)
        with connect(databases.twin) as connection:
            begun = erase(connection, settings, request)
            connection.commit()
        console.print(
            f"Removed from the tables: {begun.counts.get('raw_messages', 0):,} messages and all "
            "that was derived from them."
        )
        return _go_on(settings, instance, databases, begun.erasure_id, console)


def resume(settings: TwinSettings, console: Console) -> Forgotten:
    """Go on with the erasure that was broken off. Raises TwinError when there is none."""
    with runs.open_twin(settings) as (instance, databases):
        with connect(databases.twin) as connection:
            going = erasure_store.unfinished(connection)
        if going is None:
            raise TwinError("No erasure is unfinished; `twin forget --receipts` lists those done.")
        _nobody_derives(instance)
        return _go_on(settings, instance, databases, going.erasure_id, console)


def _go_on(
    settings: TwinSettings,
    instance: dg.DagsterInstance,
    databases: Databases,
    erasure_id: str,
    console: Console,
) -> Forgotten:
    """The stages that are left; each is committed before the next begins."""
    from twin_pipelines.automation.erasure.files import cleanse

    with connect(databases.twin) as connection:
        present = _erasure(connection, erasure_id)
        gone = erasure_store.gone(connection, erasure_id)
        connection.commit()
        if present.stage == "removed":
            console.print("Cleansing files and papers.")
            cleanse(settings, databases, gone)
            erasure_store.reach(connection, erasure_id, "cleansed")
            connection.commit()
        if present.stage in ("removed", "cleansed"):
            runs.derive(instance, _stretches(settings, present), console)
            erasure_store.reach(connection, erasure_id, "derived")
            connection.commit()
        return _finish(settings, databases, connection, erasure_id, console)


def _finish(
    settings: TwinSettings,
    databases: Databases,
    connection: Any,
    erasure_id: str,
    console: Console,
) -> Forgotten:
    from twin_pipelines.automation.erasure.files import cleanse
    from twin_pipelines.automation.erasure.receipt import write_receipt
    from twin_pipelines.automation.erasure.verify import verify

    present = _erasure(connection, erasure_id)
    gone = erasure_store.gone(connection, erasure_id)
    connection.commit()
    cleanse(settings, databases, gone)
    connection.autocommit = True
    removal_store.vacuum(connection, [name for name, rows in present.counts.items() if rows])
    connection.autocommit = False
    console.print("Searching everything for what went.")
    found = verify(settings, databases, gone)
    receipt = write_receipt(settings, connection, present, found)
    if not found.passed:
        erasure_store.doubt(connection, erasure_id)
        connection.commit()
        raise TwinError(
            f"Some of it was found afterwards, see {receipt}; mend that, then run "
            "`twin forget --resume`."
        )
    erasure_store.finish(connection, erasure_id)
    connection.commit()
    connection.autocommit = True
    removal_store.vacuum(connection, ["erasing"])
    connection.autocommit = False
    return Forgotten(_erasure(connection, erasure_id), receipt)


def _erasure(connection: Any, erasure_id: str) -> Erasure:
    found = erasure_store.erasure(connection, erasure_id)
    if found is None:
        raise TwinError(f"The erasure {erasure_id} was removed while it was on its way.")
    return found


def _stretches(settings: TwinSettings, erasure: Erasure) -> Sequence[DayRange]:
    """The days that are derived anew; many single ones as one stretch."""
    first, last = settings.history_span()
    days = [day for day in erasure.days if day >= first and (last is None or day <= last)]
    if not days:
        return []
    found = stretches(days)
    return found if len(found) <= MOST_RUNS else [DayRange(days[0], days[-1])]


def _nobody_derives(instance: dg.DagsterInstance) -> None:
    busy = instance.get_runs(dg.RunsFilter(statuses=_BUSY), limit=1)
    if busy:
        raise TwinError(
            f"The run {busy[0].run_id[:8]} of {busy[0].job_name} is on its way and may write what "
            "shall go; let it end, or cancel it in the web UI, and try again."
        )


def told(erasure: Erasure) -> dict[str, Any]:
    """An erasure for a machine: kind and numbers."""
    return {
        "erasure_id": erasure.erasure_id,
        "kind": erasure.kind,
        "request_hash": erasure.request_hash,
        "stage": erasure.stage,
        "days": len(erasure.days),
        "tables": {
            name: {"removed": rows, "before": erasure.before.get(name, 0)}
            for name, rows in erasure.counts.items()
        },
        "datasets": list(erasure.datasets),
        "adapters": list(erasure.blocked),
        "releases": list(erasure.releases),
        "retrievers": list(erasure.retrievers),
        "keep_serving": erasure.keep_serving,
        "verified": erasure.verified,
    }


def planned_json(planned: Planned) -> dict[str, Any]:
    """A plan for a machine."""
    facts = {name: value for name, value in told(planned.erasure).items() if name != "erasure_id"}
    places = [vars(place) for place in planned.places]
    return {"dry_run": True, **facts, "stage": None, "files": places}


def planned_view(planned: Planned) -> RenderableType:
    """A plan for people."""
    tables = Table("table", "rows that go", "of", box=None, pad_edge=False)
    for name, rows in planned.erasure.counts.items():
        tables.add_row(name, f"{rows:,}", f"{planned.erasure.before.get(name, 0):,}")
    files = Table("place", "what", "found", box=None, pad_edge=False)
    for place in planned.places:
        files.add_row(str(place.where), str(place.what), f"{place.hits:,}")
    parts: list[RenderableType] = [tables, Text()]
    if planned.places:
        parts += [files, Text()]
    return Group(*parts, *(Text(line) for line in _consequences(planned.erasure)))


def done_view(done: Forgotten) -> RenderableType:
    """An erasure that is done, for people."""
    lines = [
        f"Forgotten: {done.erasure.counts.get('raw_messages', 0):,} messages; nothing of it was "
        "found afterwards.",
        *_consequences(done.erasure),
        f"Receipt: {done.receipt}",
    ]
    return Group(*map(Text, lines))


def _consequences(erasure: Erasure) -> list[str]:
    lines = [f"{len(erasure.days):,} days are derived anew, then memories and persona."]
    if erasure.datasets:
        lines.append(f"Datasets that held some of it: {', '.join(erasure.datasets)}.")
    if erasure.blocked:
        fate = "may go on serving, signed" if erasure.keep_serving else "answer nobody any more"
        lines.append(f"Adapters that learnt some of it and {fate}: {', '.join(erasure.blocked)}.")
    if erasure.releases:
        lines.append(f"Releases of them: {', '.join(map(str, erasure.releases))}.")
    if erasure.retrievers:
        lines.append(f"Learned retrievers that go: {', '.join(erasure.retrievers)}.")
    return lines


def check(settings: TwinSettings, text: str) -> Verification:
    """Search everything for a text, at any later time."""
    from twin_pipelines.automation.erasure.verify import probe

    with open_databases(settings) as databases:
        return probe(settings, databases, text)
