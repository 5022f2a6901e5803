"""`twin sync`: a two-way sync set up, looked at and taken down."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from twin_pipelines.foundation import alerts_store
from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.sync import store
from twin_pipelines.sources.sync.decision_store import furnished
from twin_pipelines.sources.sync.pair import configured, opened, opened_side, sync_name
from twin_pipelines.sources.sync.setup import SIDES, set_up, take_down
from twin_pipelines.sources.sync.watch import look


def setup(settings: TwinSettings, console: Console) -> None:
    """Set the configured sync up, and print what it took. Raises TwinError naming what to run."""
    with opened(settings.sync) as pair:
        merged = set_up(pair, lambda words: console.print(words, style="dim", soft_wrap=True))
    for one in merged:
        console.print(
            f"{one.table}: {one.differed:,} rows differed; {one.to_remote:,} brought to remote, "
            f"{one.to_local:,} to local, {one.deleted:,} deleted.",
            soft_wrap=True,
        )
    with open_databases(settings) as databases, connect(databases.twin) as own:
        found = look(own, settings.sync, compared=True)
    console.print(f"{found.sync} is set up. {found.words}", soft_wrap=True)


def looked(settings: TwinSettings) -> dict[str, Any]:
    """Everything `twin sync status --json` prints. Raises TwinError when a side is away."""
    with open_databases(settings) as databases, connect(databases.twin) as own:
        found = look(own, configured(settings.sync), compared=True)
        number = {row["sync"]: row["conflicts"] for row in store.summary(own)}[found.sync]
        return {
            "sync": found.sync,
            "agrees": found.agrees,
            "problems": list(found.standing.problems),
            "directions": [asdict(one) for one in found.standing.directions],
            "remote_clock_ahead_ms": round(found.standing.skew_ms, 2),
            "differing": [asdict(one) | {"rows": one.rows} for one in found.differing or []],
            "conflicts": number,
            "latest_conflicts": store.conflicts(own, found.sync),
            "words": found.words,
        }


def view(found: dict[str, Any]) -> RenderableType:
    """What `looked` gives, for a terminal."""
    directions = Table("from", "to", "runs", "bytes behind", "errors", box=None, pad_edge=False)
    for one in found["directions"]:
        directions.add_row(
            one["giver"],
            "remote" if one["giver"] == "local" else "local",
            "yes" if one["running"] else "NO",
            f"{one['lag_bytes']:,}",
            f"{one['errors']:,}",
        )
    counted = ", ".join(f"{table} {rows:,}" for table, rows in found["conflicts"].items())
    lines: list[RenderableType] = [
        directions,
        Text(f"Remote clock ahead by {found['remote_clock_ahead_ms']} ms."),
        Text(f"Conflicts: {counted or 'none'}."),
    ]
    if found["latest_conflicts"]:
        lost = Table("when", "on", "table", "key", "what lost", box=None, pad_edge=False)
        for one in found["latest_conflicts"]:
            lost.add_row(
                f"{one['seen_at']:%Y-%m-%d %H:%M:%S}",
                *(one[name] for name in ("side", "table_name", "key", "kind")),
            )
        lines.append(lost)
    return Group(*lines, Text(found["words"], style="green" if found["agrees"] else "red"))


def stop(settings: TwinSettings, console: Console) -> bool:
    """Take the sync down and print what is left; False while something is."""
    sync = configured(settings.sync)
    name = sync_name(sync)
    with open_databases(settings) as databases, connect(databases.twin) as own:
        for side_name in SIDES:
            try:
                with opened_side(sync, side_name) as side:
                    if furnished(side):
                        store.collect_conflicts(own, side)
            except TwinError as error:
                console.print(str(error), soft_wrap=True, markup=False)
        own.commit()
        removed = take_down(sync)
        left = [one for one in removed if one.problem]
        if not left:
            store.forget_look(own, name)
        for kind in ("sync_blocked", "sync_clock", "sync_differs"):
            alerts_store.clear_alert(own, f"{kind}:{name}")
        own.commit()
    for one in removed:
        kept = (
            f"; {one.kept:,} rows that lost are kept in {name}.conflicts, until you run drop "
            f"schema {name} cascade there"
            if one.kept
            else ""
        )
        words = one.problem or f"taken down{kept}."
        console.print(f"{one.side}: {words}", soft_wrap=True, markup=False)
    return not left
