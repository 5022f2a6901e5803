"""One look at a sync: how it stands, its conflicts collected, its alerts raised and cleared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import psycopg

from twin_pipelines.foundation import alerts_store
from twin_pipelines.settings import Sync, TwinError
from twin_pipelines.sources.sync import decision_store, store
from twin_pipelines.sources.sync.pair import Pair, opened, sync_name
from twin_pipelines.sources.sync.standing import (
    MOST_SKEW_MS,
    Difference,
    Standing,
    compare,
    standing,
)

COMPARED_EVERY = timedelta(hours=1)  # row by row, by those who look all the time


@dataclass(frozen=True)
class Look:
    """A sync after a look; `differing` is None where the rows were not compared."""

    sync: str
    standing: Standing
    differing: list[Difference] | None
    new_conflicts: int

    @property
    def agrees(self) -> bool:
        """Nothing keeps it from working, and no compared row differs."""
        return not self.standing.problems and not self.differing

    @property
    def words(self) -> str:
        """The look in some sentences."""
        told = list(self.standing.problems)
        for one in self.differing or []:
            told.append(
                f"{one.table}: {one.rows:,} rows differ lastingly ({one.only_local:,} on local "
                f"alone, {one.only_remote:,} on remote alone, {one.unequal:,} unequal; first "
                f"{', '.join(one.keys)}); run twin sync setup, which mends them."
            )
        if not told:
            told = ["Both sides agree." if self.differing is not None else "Both directions run."]
        return " ".join(told)


def look(own: psycopg.Connection, sync: Sync, *, compared: bool) -> Look:
    """Look at both sides, with their rows where `compared`, and commit what was seen.

    Raises TwinError when a side cannot be reached, which is written down as well.
    """
    name = sync_name(sync)
    try:
        with opened(sync) as pair:
            return _look(own, pair, compared)
    except TwinError as error:
        own.rollback()
        store.record_problem(own, name, str(error))
        alerts_store.raise_alert(own, f"sync_blocked:{name}", _away(name))
        own.commit()
        raise


def _look(own: psycopg.Connection, pair: Pair, compared: bool) -> Look:
    seen = standing(pair)
    furnished = [side for side in pair.sides if decision_store.furnished(side)]
    differing = compare(pair) if compared and len(furnished) == len(pair.sides) else None
    number = sum(store.collect_conflicts(own, side) for side in furnished)
    for side in furnished if compared else ():
        store.prune_deletions(side)
    found = Look(pair.name, seen, differing, number)
    store.record_look(own, pair, seen, differing)
    _alert(own, found)
    own.commit()
    return found


def _alert(own: psycopg.Connection, seen: Look) -> None:
    """What leaves the machine tells no row and no address."""
    told = {
        "sync_blocked": "A direction of the two-way sync stands still; twin sync status tells why."
        if seen.standing.stuck
        else "",
        "sync_clock": "The clocks of the two synced servers are more than "
        f"{MOST_SKEW_MS / 1_000:g} s apart; set both by a time service."
        if abs(seen.standing.skew_ms) > MOST_SKEW_MS
        else "",
    }
    if seen.differing is not None:
        rows = sum(one.rows for one in seen.differing)
        told["sync_differs"] = (
            f"{rows:,} rows differ between both sides of the sync; run twin sync setup."
            if rows
            else ""
        )
    for kind, words in told.items():
        if words:
            alerts_store.raise_alert(own, f"{kind}:{seen.sync}", words)
        else:
            alerts_store.clear_alert(own, f"{kind}:{seen.sync}")


def _away(name: str) -> str:
    return f"A side of the two-way sync {name} cannot be reached; twin sync status tells which."
