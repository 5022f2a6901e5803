"""`twin retriever`: learn what questions are looked up by, see what was learned, undo it."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from twin_pipelines.commands.runs import RunProgress, open_twin
from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.foundation.instance import run_job
from twin_pipelines.retrieval.learning import store
from twin_pipelines.settings import TwinError, TwinSettings

JOB = "learn_retriever"
STOCK = "The encoder as it is looks questions up."


def trained(settings: TwinSettings, console: Console) -> str:
    """Learn a retriever, or find the one of the same recipe; what came of it, in sentences.

    Raises TwinError when the run fails.
    """
    with open_twin(settings) as (instance, databases):
        from twin_pipelines.definitions import defs

        with RunProgress(console) as progress:
            outcome = run_job(instance, defs.resolve_job_def(JOB), on_event=progress)
        if not outcome.success:
            raise TwinError(f"No retriever was learned: {'; '.join(outcome.failures)}.")
        with connect(databases.twin) as connection:
            newest = store.learned(connection)[0]
    name = newest.retriever_id
    if newest.passed and not newest.in_force:
        return f"Retriever {name} was rolled back; `twin retriever use {name}` brings it back."
    return (
        f"Retriever {name} {'is in force' if newest.in_force else 'was refused'}. {newest.verdict}"
    )


def listed(settings: TwinSettings) -> dict[str, Any]:
    """The retriever in force (null: the encoder as it is) and all that were learned."""
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        found = store.learned(connection)
    return {
        "in_force": next((one.retriever_id for one in found if one.in_force), None),
        "learned": [
            {**vars(one), "learned_at": one.learned_at.isoformat(timespec="seconds")}
            for one in found
        ],
    }


def status_view(found: dict[str, Any]) -> RenderableType:
    """What was learned, for people."""
    first = Text(f"In force: {found['in_force']}." if found["in_force"] else STOCK)
    if not found["learned"]:
        return Group(first, Text("None was learned; `twin retriever train` does.", style="dim"))
    table = Table(box=None, pad_edge=False, show_edge=False)
    for name in ("retriever", "learned", "contexts", "verdict"):
        table.add_column(name, overflow="fold")
    for one in found["learned"]:
        contexts = str(one["figures"]["contexts"])
        table.add_row(one["retriever_id"], one["learned_at"], contexts, one["verdict"])
    return Group(first, table)


def used(settings: TwinSettings, retriever_id: str) -> str:
    """Put a retriever into force. Raises TwinError where it is unknown or was refused."""
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        store.put_in_force(connection, retriever_id)
        connection.commit()
    return f"Questions are looked up by retriever {retriever_id} from now on."


def rolled_back(settings: TwinSettings) -> str:
    """Undo the present retriever. Raises TwinError where none is in force."""
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        before = store.roll_back(connection)
        connection.commit()
    return f"Questions are looked up by retriever {before} again." if before else STOCK
