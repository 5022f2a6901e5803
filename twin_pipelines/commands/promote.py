"""`twin promote`: let a registered challenger serve, by the gate's word or against it, signed."""

from __future__ import annotations

from typing import Any

import psycopg
from rich.console import Console

from twin_pipelines.foundation import alerts_store
from twin_pipelines.foundation.database import Databases, connect
from twin_pipelines.foundation.tracking import open_client
from twin_pipelines.memory.store import load_candidates
from twin_pipelines.promotion import notes_store, store
from twin_pipelines.promotion.release import Force, admitted, promote, sync_aliases
from twin_pipelines.promotion.signature import allowance_faults, note_faults, signing_key
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.training import blocks_store


def promote_release(
    settings: TwinSettings,
    databases: Databases,
    console: Console,
    release_id: int | None,
    *,
    force: bool = False,
    allow_erased: bool = False,
    by: str = "",
    reason: str = "",
) -> store.Release:
    """Promote the release, by default the one judged last; servers switch when it commits.

    Raises TwinError when the gate refused it and `force` is not given, when it learnt what was
    erased since and `allow_erased` is not given, when either comes without a name and a reason, or
    when the release cannot serve.
    """
    if (force or allow_erased) and not (by.strip() and reason.strip()):
        wish = "--force" if force else "--allow-erased"
        raise TwinError(
            "A promotion against an objection leaves a signed note: say who and why with "
            f"{wish} --by NAME --reason TEXT."
        )
    with connect(databases.twin) as connection:
        asked = (
            store.latest_release(connection)
            if release_id is None
            else store.release(connection, release_id)
        )
        if asked is None:
            missing = f"There is no release {release_id}" if release_id else "Nothing is registered"
            raise TwinError(f"{missing}; see `twin status`, and `twin train` to make one.")
        if not (settings.home / asked.path / "adapter").is_dir():
            raise TwinError(
                f"The adapter of release {asked.release_id} is gone from "
                f"{settings.home / asked.path}; run `twin train`."
            )
        signs = force or allow_erased
        word = Force(by.strip(), reason.strip(), signing_key(settings.home)) if signs else None
        memories = admitted(load_candidates(connection), settings.memory)
        promoted = promote(
            connection,
            asked.release_id,
            memories,
            force=word if force else None,
            allow=word if allow_erased else None,
        )
        connection.commit()
        sync_aliases(connection, open_client(settings, databases))
        count = store.core_memory_count(connection)
    told = f"Release {promoted.release_id} (version {promoted.model_version})"
    if asked.blocked:
        console.print(
            f"{told} may answer although {asked.blocked}, signed by {by.strip()}.",
            soft_wrap=True,
            markup=False,
        )
    if asked.status == "champion":
        console.print(f"{told} serves {'again' if asked.blocked else 'already'}.", soft_wrap=True)
    else:
        against = f" against the gate's word, signed by {by.strip()}" if promoted.forced else ""
        console.print(
            f"{told} now serves with {count} core memories{against}.", soft_wrap=True, markup=False
        )
    return promoted


def standing(connection: psycopg.Connection, settings: TwinSettings) -> dict[str, Any]:
    """What `twin status` tells besides the gate: forced promotions with their notes, adapters that
    learnt what was erased, and alerts."""
    notes = notes_store.notes(connection)
    faults = note_faults(settings.home, notes)
    allowed = blocks_store.allowances(connection)
    blocked = blocks_store.blocked_adapters(connection)
    return {
        "forced": [
            {
                "release": note.release_id,
                "by": note.signed_by,
                "at": note.signed_at,
                "reason": note.reason,
                "refused_because": note.verdict()["words"],
                "fault": fault,
            }
            for note, fault in zip(notes, faults, strict=True)
        ],
        "blocked_adapters": [{"adapter": name, "reason": why} for name, why in blocked.items()],
        "allowed_adapters": [
            {
                "adapter": one.adapter_id,
                "erasure": one.erasure_id,
                "by": one.allowed_by,
                "at": one.allowed_at,
                "reason": one.allowed_because,
                "fault": fault,
            }
            for one, fault in zip(allowed, allowance_faults(settings.home, allowed), strict=True)
        ],
        "alerts": [
            {"kind": alert.kind, "since": alert.raised_at, "words": alert.words}
            for alert in alerts_store.open_alerts(connection)
        ],
    }


def standing_lines(found: dict[str, Any]) -> list[str]:
    """The same for people, one sentence each."""
    lines = [f"Alert since {one['since']:%Y-%m-%d}: {one['words']}" for one in found["alerts"]]
    for note in found["forced"]:
        genuine = note["fault"] or "signature valid"
        lines.append(
            f"Release {note['release']} was forced by {note['by']} on {note['at']:%Y-%m-%d %H:%M}"
            f" ({note['reason']}); {genuine}. The gate had said: {note['refused_because']}"
        )
    lines += [
        f"Adapter {one['adapter']} may not answer: {one['reason']}."
        for one in found["blocked_adapters"]
    ]
    for one in found["allowed_adapters"]:
        lines.append(
            f"Adapter {one['adapter']} may answer although it learnt what was erased: allowed by "
            f"{one['by']} on {one['at']:%Y-%m-%d %H:%M} ({one['reason']}); "
            f"{one['fault'] or 'signature valid'}."
        )
    return lines
