"""The Dagster door of the room: what was said becomes memories, knowledge and candidates."""

from collections.abc import Sequence

import dagster as dg
import polars as pl

from twin_pipelines.embeddings.encoder import load_encoder
from twin_pipelines.features.refresh import slices
from twin_pipelines.features.store import load_session_turns, raw_volume
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.llm import open_endpoint
from twin_pipelines.foundation.markdown import markdown_table
from twin_pipelines.foundation.partitions import DAILY, WITH_EVE, day_range
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.memory import ledger, ledger_store, store
from twin_pipelines.memory.consolidation import store as consolidation_store
from twin_pipelines.memory.consolidation.candidates import core_candidates_of, main_partner
from twin_pipelines.memory.consolidation.consolidate import consolidate
from twin_pipelines.memory.dreams.reflection import dream
from twin_pipelines.memory.extraction.refresh import extract_days
from twin_pipelines.memory.forgetting.archiving import MOST_LOST, Plan, forget, plan
from twin_pipelines.memory.imports.tables import TableReport, import_tables, problems
from twin_pipelines.memory.procedures.recurring import procedures_of
from twin_pipelines.memory.procedures.store import rewrite_procedures
from twin_pipelines.memory.recall.search import index
from twin_pipelines.memory.recall.search_store import index_summary
from twin_pipelines.persona.preferences import STANCES, find_stances
from twin_pipelines.persona.replies.exchanges import REPLIES, replies_of
from twin_pipelines.sources.store import counts, subject

_SHOWN = 30


@dg.asset(
    group_name="memory",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="1",
    deps=[dg.AssetDep("episodic_memories", partition_mapping=dg.AllPartitionMapping())],
)
def knowledge_memories(
    context: dg.AssetExecutionContext, twin: TwinResource
) -> dg.MaterializeResult:
    """What people said of themselves several times, as one fact with all its evidence.

    Statements that say the same are merged, and of facts that cannot both be true the newer is
    current; nothing is thrown away. All of it happens in one transaction, journaled as a memory
    run: `twin memory undo` takes it back. Only speakers who said something new are looked at.
    """
    with twin.connect() as connection:
        done = consolidate(connection, twin.settings.memory.weights)
        connection.commit()
        known = store.load_memories(connection, types=["knowledge"])
        ended = store.load_memories(connection, types=["knowledge", "episodic"])
    known = known.filter(pl.col("origin") == "consolidated")
    ended = ended.filter(pl.col("superseded_by").is_not_null())
    context.log.info(
        f"{done.statements} statements of {done.speakers} speakers make {done.knowledge} facts; "
        + (f"run {done.run_id}" if done.run_id else "nothing had to change")
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": known.height,
            "speakers looked at": done.speakers,
            "run": str(done.run_id or "none"),
            "made": done.made,
            "changed": done.changed,
            "removed": done.removed,
            "no longer true": ended.height,
            "weightiest": dg.MetadataValue.md(_facts(known.head(_SHOWN))),
            "replaced": dg.MetadataValue.md(
                _facts(ended.sort("valid_until", descending=True).head(_SHOWN))
            ),
        }
    )


@dg.asset(
    group_name="memory",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="2",
    deps=["knowledge_memories", "imported_memories"],
)
def core_candidates(context: dg.AssetExecutionContext, twin: TwinResource) -> dg.MaterializeResult:
    """What is known of the subject, weighed: candidates for core memories.

    Facts with all their evidence, what was imported as core and what the owner pinned; and the same
    about a partner who takes part in half of all sessions. Which become core memories is decided
    behind the evaluation.
    """
    memory = twin.settings.memory
    with twin.connect() as connection:
        who = subject(connection)
        partner = main_partner(*consolidation_store.sessions_with(connection, who.speaker))
        memories = store.load_memories(connection)
        candidates = core_candidates_of(memories, who.speaker, memory, partner)
        store.rewrite_candidates(connection, candidates)
        connection.commit()
    context.log.info(f"{candidates.height} candidates of {memories.height} active memories")
    passing = candidates.filter(
        pl.col("importance") >= memory.core_threshold, pl.col("sessions") >= memory.core_sessions
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": candidates.height,
            "above the threshold": min(passing.height, memory.core_limit),
            "partner": partner or "none",
            "weightiest": dg.MetadataValue.md(_table(candidates.head(_SHOWN))),
            "candidates by kind": dg.MetadataValue.md(
                markdown_table(
                    candidates["title"].value_counts(sort=True).rows(), ("kind", "candidates")
                )
            ),
        }
    )


def _facts(memories: pl.DataFrame) -> str:
    rows = memories.select(
        pl.col("importance").round(2).cast(pl.String),
        "sessions",
        "about",
        "kind",
        "content",
        pl.col("first_at").dt.date().cast(pl.String),
        pl.col("valid_until").dt.date().cast(pl.String).fill_null("now"),
    ).rows()
    header = ("importance", "sessions", "about", "kind", "in their words", "since", "until")
    return markdown_table(rows, (*header,))


def _table(candidates: pl.DataFrame) -> str:
    rows = candidates.select(
        pl.col("importance").round(2).cast(pl.String), "sessions", "title", "content"
    ).rows()
    return markdown_table(rows, ("importance", "sessions", "kind", "in their words"))


@dg.asset(
    group_name="memory",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="1",
    deps=[dg.AssetDep("raw_conversations", partition_mapping=dg.AllPartitionMapping())],
)
def imported_memories(
    context: dg.AssetExecutionContext, twin: TwinResource
) -> dg.MaterializeResult:
    """Memories of an existing companion, from the tables that memory.imports in twin.toml lists.

    Core memories, concepts, emotions, dreams and the context of the active session. Repeating it
    brings only what changed; what is gone from its table is archived; bad rows are left out and
    shown. Without a configured table there is nothing to do.
    """
    with twin.connect() as connection:
        who = subject(connection)
        reports = import_tables(connection, twin.settings, who.speaker)
    for report in reports:
        context.log.info(f"{report.table}: {report.imported} of {report.read} rows stand")
    rejected = pl.concat([one.rejected for one in reports]) if reports else pl.DataFrame()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(report.imported for report in reports),
            "rejected rows": rejected.height,
            "tables": dg.MetadataValue.md(_imported(reports)),
            "rejected because": dg.MetadataValue.md(
                markdown_table(list(problems(reports).items()), ("table: reason", "rows"))
            ),
            "rejected, the first": dg.MetadataValue.md(
                markdown_table(rejected.head(_SHOWN).rows(), ("row", "reason", "excerpt"))
            ),
        }
    )


def _imported(reports: Sequence[TableReport]) -> str:
    if not reports:
        return "no table is configured; add [[memory.imports]] to twin.toml"
    rows: list[tuple[object, ...]] = [
        (
            one.table,
            one.type,
            one.read,
            one.imported,
            one.rejected.height,
            one.inactive,
            one.quarantined,
            one.written,
            one.archived,
            ", ".join(f"{field} = {column}" for field, column in one.columns.items()),
        )
        for one in reports
    ]
    header = ("table", "as", "read", "imported", "rejected", "inactive", "quarantined")
    return markdown_table(rows, (*header, "written", "archived", "columns"))


@dg.asset(
    group_name="memory",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="1",
    deps=[
        dg.AssetDep("episodic_memories", partition_mapping=dg.AllPartitionMapping()),
        "knowledge_memories",
        "imported_memories",
    ],
)
def dream_memories(context: dg.AssetExecutionContext, twin: TwinResource) -> dg.MaterializeResult:
    """What the subject may dream of: two distant memories joined, imagined and never a fact.

    Each week of the history brings a few hopes, wishes, fears, visions, thanks, questions and
    plans, never the same twice; later messages may show that one came true. Worded by templates,
    or by the language model where one is configured.
    """
    with twin.connect() as connection:
        who = subject(connection)
        reflected = dream(connection, twin.settings, who.speaker, context.log.debug)
        dreams = store.load_memories(connection, types=["dream"], about=who.speaker)
    if reflected.model_failed:
        context.log.warning(f"worded by templates: {reflected.model_failed}")
    latest = dreams.sort("first_at", "importance", descending=True).head(_SHOWN)
    rows = latest.select(pl.col("first_at").dt.date().cast(pl.String), "kind", "content").rows()
    came_true = dreams.join(reflected.fulfilled, on="memory_id").select(
        "content", pl.col("fulfilled_at").dt.date().cast(pl.String)
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": dreams.height,
            "reflections": reflected.moments,
            "new": reflected.made.height,
            "worded by the model": reflected.by_model,
            "removed, as what they were made of is gone": reflected.removed,
            "latest": dg.MetadataValue.md(markdown_table(rows, ("dreamt on", "kind", "dream"))),
            "came true": dg.MetadataValue.md(markdown_table(came_true.rows(), ("dream", "on"))),
        }
    )


@dg.asset(
    group_name="memory",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="1",
    deps=[dg.AssetDep("cleaned_messages", partition_mapping=dg.AllPartitionMapping())],
)
def procedural_memories(
    context: dg.AssetExecutionContext, twin: TwinResource
) -> dg.MaterializeResult:
    """How the subject does things: comforting, greeting, helping, joking, writing code.

    What they do more often in a situation than elsewhere, step by step and counted, and what they
    tell step by step themselves. What recurs no longer is archived; a run can be undone.
    """
    replies, habits = [pl.DataFrame(schema=REPLIES)], [pl.DataFrame(schema=STANCES)]
    with twin.connect() as connection:
        who, landed = subject(connection), counts(connection)
        if landed.first_day and landed.last_day:
            days = DayRange(landed.first_day, landed.last_day)
            for part in slices(days, raw_volume(connection, days)):
                turns = load_session_turns(connection, part)
                answered = replies_of(turns, who.speaker)
                replies.append(answered.filter(pl.col("day").is_between(part.first, part.last)))
                own = turns.filter(
                    pl.col("speaker") == who.speaker,
                    pl.col("day").is_between(part.first, part.last),
                )
                stances = find_stances(own, {who.speaker: [who.name]})
                habits.append(stances.filter(pl.col("category") == "habit"))
        procedures = procedures_of(
            pl.concat(replies),
            pl.concat(habits),
            who.speaker,
            who.name,
            twin.settings.memory.weights,
        )
        words = f"learnt {procedures.height} ways of doing things"
        with ledger.run(connection, "procedures", words) as run:
            rewrite_procedures(connection, procedures)
        connection.commit()
    context.log.info(f"{run.made} made, {run.changed} changed")
    importance = pl.col("importance").cast(pl.Float64).round(2)
    rows = procedures.select(importance, "kind", "sessions", "status", "content").rows()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": procedures.height,
            "made": run.made,
            "changed": run.changed,
            "ledger run": run.run_id if run.changed_anything else "none: nothing changed",
            "procedures": dg.MetadataValue.md(
                markdown_table(rows, ("importance", "kind", "sessions", "status", "what they do"))
            ),
        }
    )


@dg.asset(
    group_name="memory",
    kinds={"python", "postgres"},
    owners=["team:twin"],
    code_version="1",
    deps=[
        dg.AssetDep("episodic_memories", partition_mapping=dg.AllPartitionMapping()),
        "knowledge_memories",
        "imported_memories",
        "procedural_memories",
        "dream_memories",
    ],
)
def memory_embeddings(
    context: dg.AssetExecutionContext, twin: TwinResource
) -> dg.MaterializeResult:
    """The index of all active memories: a unit-length vector each, for search by meaning, and the
    words it holds, for search by words.

    Only what is new or was reworded is embedded, and equal wordings once.
    """
    encoder = load_encoder(twin.settings)
    with twin.connect() as connection:
        done = index(connection, encoder)
        summary = index_summary(connection, encoder.model_id)
    context.log.info(f"{done.memories:,} memories indexed, {done.embedded:,} texts embedded")
    rows = summary.select("type", "memories", "embedded", "worded").rows()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": int(summary["embedded"].sum()),
            "indexed": done.memories,
            "embedded": done.embedded,
            "model": encoder.model_id,
            "dimensions": encoder.dimensions,
            "by type": dg.MetadataValue.md(
                markdown_table(rows, ("type", "active memories", "with a vector", "with words"))
            ),
        }
    )


@dg.asset(
    group_name="memory",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="1",
    deps=["memory_embeddings"],
)
def archived_memories(
    context: dg.AssetExecutionContext, twin: TwinResource
) -> dg.MaterializeResult:
    """Memories that have faded, put aside: still there and explained, but no longer recalled.

    Retention falls with the time since a memory was last said or recalled, the slower the more it
    matters. First it is measured what search would lose; where that is too much, nothing fades
    until the owner has seen it (`twin memory forget --dry-run`) and says so. No memory is deleted,
    what is said again comes back, and every run can be undone; but the journal lets go of memories
    whose messages are gone.
    """
    encoder = load_encoder(twin.settings)
    with twin.connect() as connection:
        planned = plan(connection, encoder, twin.settings.memory)
        run = forget(connection, planned, asked_for=False)
        groundless = ledger_store.remove_groundless(connection)
        connection.commit()
    if planned.costs_too_much:
        context.log.warning(
            f"held back: search would lose {planned.effect.lost:.0%} of what it finds, more than "
            f"{MOST_LOST:.0%}; look at `twin memory forget --dry-run`"
        )
    effect = planned.effect
    shown = planned.archived.head(_SHOWN).select(
        pl.col("importance").round(2), pl.col("days").round(0).cast(pl.Int64), "type", "content"
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": run.counts["archived"],
            "would go": planned.archived.height,
            "held back": planned.costs_too_much,
            "remembered again": run.counts["revived"],
            "journal rows without their messages": groundless,
            "ledger run": run.run_id if run.changed_anything else "none: nothing changed",
            "known items asked for": effect.asked,
            **({} if effect.before is None else {"recall at 10 before": effect.before}),
            **({} if effect.after is None else {"recall at 10 after": effect.after}),
            "recall by age": dg.MetadataValue.md(
                markdown_table(effect.by_age.rows(), ("last said", "asked for", "before", "after"))
            ),
            "most important that go": dg.MetadataValue.md(
                markdown_table(shown.rows(), ("importance", "days", "type", "memory"))
            ),
            "retention": dg.MetadataValue.md(_retention(planned)),
        }
    )


def _retention(planned: Plan) -> str:
    kinds = (
        planned.judged.filter(status="active")
        .group_by("type")
        .agg(
            pl.len(),
            *(
                pl.col("retention").quantile(share).round(2).alias(str(share))
                for share in (0.1, 0.5, 0.9)
            ),
        )
        .sort("type")
    )
    return markdown_table(
        kinds.rows(), ("type", "memories", "lowest tenth", "median", "highest tenth")
    )


@dg.asset(
    group_name="memory",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="1",
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[dg.AssetDep("cleaned_messages", partition_mapping=WITH_EVE)],
)
def episodic_memories(
    context: dg.AssetExecutionContext, twin: TwinResource
) -> dg.MaterializeResult:
    """What happened in each session, and what people said and felt there, about themselves.

    Episodes, statements with the day a plan is for, and strong feelings, each with its messages,
    its importance and how sure it is; besides, what is still in mind of each conversation. Found by
    patterns, in English and Thai; a configured language model may add what it can quote. The day is
    the one the session began, so a run also renews its eve.
    """
    days = day_range(context)
    settings = twin.settings
    with twin.connect() as connection:
        done = extract_days(
            connection, settings, days, open_endpoint(settings.llm), context.log.info
        )
    for day, rows in done.memories.group_by("day").len().rows():
        if days.first <= day <= days.last:
            context.add_asset_metadata(
                {"dagster/partition_row_count": rows}, partition_key=day.isoformat()
            )
    if done.failure:
        context.log.warning(f"the model left sessions unread: {done.failure}")
    found = done.memories
    tally = found.group_by("type", "kind").len("memories").sort("memories", descending=True)
    weighty = found.filter(pl.col("type") != "short_term").sort(
        "importance", "memory_id", descending=[True, False]
    )
    rows = weighty.head(_SHOWN).select(
        pl.col("importance").round(2).cast(pl.String),
        "kind",
        pl.col("content").str.replace_all("\n", " / ", literal=True),
        pl.col("happens_on").cast(pl.String).fill_null(""),
    )
    return dg.MaterializeResult(
        metadata={
            "memories": found.height,
            "rows written": done.written,
            "quarantined": found.filter(pl.col("status") == "quarantined").height,
            "found by the model": found.filter(pl.col("origin") == "llm").height,
            "sessions the model was asked about": done.asked,
            "sessions it left unread": done.unread,
            "memories by kind": dg.MetadataValue.md(
                markdown_table(tally.rows(), ("type", "kind", "memories"))
            ),
            "weightiest": dg.MetadataValue.md(
                markdown_table(rows.rows(), ("importance", "kind", "in their words", "for the day"))
            ),
        }
    )
