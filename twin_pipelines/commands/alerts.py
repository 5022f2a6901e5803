"""`twin alerts`: what is open, by which ways it is told, and a message to try them."""

from __future__ import annotations

import json
import os

from rich.console import Console

from twin_pipelines.automation.alerts_store import undelivered
from twin_pipelines.automation.channels import WEBHOOK, channels
from twin_pipelines.foundation.alerts_store import open_alerts
from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.settings import TwinSettings

TRIED = "Twin: this is a test of its alerts; nothing is wrong."


def alerts(settings: TwinSettings, console: Console, *, test: bool, as_json: bool) -> None:
    """Print the open alerts and the channels; with `test` send a message by each of them.

    Raises TwinError when a channel cannot be meant, or did not take the message.
    """
    found = channels(settings.alerts, os.environ)
    if test:
        for send in found.values():
            send("Twin: test", TRIED, [])
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        standing = open_alerts(connection)
        untold = {name: why for name, why, _ in undelivered(connection)}
    if as_json:
        plain = {
            "open": [
                {"kind": one.kind, "since": one.raised_at, "words": one.words} for one in standing
            ],
            "channels": sorted(found),
            "tested": test,
            "untold": untold,
        }
        console.print_json(json.dumps(plain, default=str, ensure_ascii=False))
        return
    for one in standing:
        console.print(
            f"{one.raised_at:%Y-%m-%d %H:%M}  {one.kind}  {one.words}", soft_wrap=True, markup=False
        )
    if not standing:
        console.print("No alert is open.")
    names = ", ".join(sorted(found))
    told = f"Told by {names}." if found else f"Told here alone: set {WEBHOOK}, or alerts.email_to."
    console.print(f"{told}{' The test arrived.' if test and found else ''}", soft_wrap=True)
    for name, why in untold.items():
        console.print(f"{name}: {why}", style="yellow", soft_wrap=True, markup=False)
