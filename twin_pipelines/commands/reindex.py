"""`twin reindex`: the search index is brought to what was said and to the set embedding model."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from twin_pipelines.embeddings.encoder import load_encoder
from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.retrieval.index.index_store import state
from twin_pipelines.retrieval.index.refresh import Indexed, reindex
from twin_pipelines.settings import TwinSettings


def reindex_all(settings: TwinSettings, console: Console) -> tuple[Indexed, int]:
    """Look at every turn and memory and index what is not as it should be, showing progress.

    Returns what was done and how many entries there are. Raises TwinError when the embedding model
    or the database cannot be used.
    """
    encoder = load_encoder(settings)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with (
        open_databases(settings) as databases,
        connect(databases.twin) as connection,
        Progress(*columns, console=console, transient=True) as bar,
    ):
        task = bar.add_task("Indexing", total=None)
        done = reindex(
            connection,
            encoder,
            lambda finished, total: bar.update(task, completed=finished, total=total),
        )
        return done, state(connection).entries


def told(done: Indexed, entries: int) -> str:
    """What was done, in a sentence."""
    if not (done.turns or done.memories or done.removed or done.index_made):
        return f"The search index was up to date: {entries:,} turns and memories."
    return (
        f"Indexed {done.turns:,} turns and {done.memories:,} memories, took {done.removed:,} out "
        f"and embedded {done.embedded:,} texts in {done.seconds:.1f} s; {entries:,} turns and "
        "memories can be found."
    )
