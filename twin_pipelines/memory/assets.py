"""The Dagster door of the room: self-statements become candidates for core memories."""

import dagster as dg
import polars as pl

from twin_pipelines.features.refresh import slices
from twin_pipelines.features.store import load_turns, raw_volume
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.memory import store
from twin_pipelines.memory.candidates import core_candidates_of
from twin_pipelines.persona.statements import STATEMENTS, find_statements
from twin_pipelines.sources.store import counts, subject

_SHOWN = 30


@dg.asset(
    group_name="memory",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="1",
    deps=[dg.AssetDep("cleaned_messages", partition_mapping=dg.AllPartitionMapping())],
)
def core_candidates(context: dg.AssetExecutionContext, twin: TwinResource) -> dg.MaterializeResult:
    """What the subject said about themselves, weighed: candidates for core memories.

    English and Thai self-statements, what says the same taken together with every message that says
    it. Which become core memories is decided behind the evaluation.
    """
    memory = twin.settings.memory
    with twin.connect() as connection:
        who, landed = subject(connection), counts(connection)
        found = [pl.DataFrame(schema=STATEMENTS)]
        if landed.first_day and landed.last_day:
            days = DayRange(landed.first_day, landed.last_day)
            for part in slices(days, raw_volume(connection, days)):
                turns = load_turns(connection, part)
                found.append(find_statements(turns, who.speaker, [who.name]))
                context.log.info(f"{part.first} to {part.last}: {found[-1].height} statements")
        statements = pl.concat(found)
        candidates = core_candidates_of(statements)
        store.rewrite_candidates(connection, candidates)
        connection.commit()
    passing = candidates.filter(
        pl.col("importance") >= memory.core_threshold, pl.col("sessions") >= memory.core_sessions
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": candidates.height,
            "statements": statements.height,
            "above the threshold": min(passing.height, memory.core_limit),
            "weightiest": dg.MetadataValue.md(_table(candidates.head(_SHOWN))),
            "candidates by kind": dg.MetadataValue.md(
                _markdown(candidates["title"].value_counts(sort=True).rows(), "kind", "candidates")
            ),
        }
    )


def _table(candidates: pl.DataFrame) -> str:
    rows = candidates.select(
        pl.col("importance").round(2).cast(pl.String), "sessions", "title", "content"
    ).rows()
    return _markdown(rows, "importance", "sessions", "kind", "in their words")


def _markdown(rows: list[tuple[object, ...]], *header: str) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(str(value).replace("|", "\\|") for value in line) + " |" for line in lines
    )
