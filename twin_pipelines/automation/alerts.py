"""Alerts told outside: what is due by each channel, joined into one message, and told again later
where it did not arrive."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from twin_pipelines.automation import alerts_store
from twin_pipelines.automation.alerts_store import Delivery
from twin_pipelines.automation.channels import UndeliveredError, channels
from twin_pipelines.foundation.alerts_store import clear_alert, open_alerts, raise_alert
from twin_pipelines.settings import Alerts

SHOWN = 20  # alerts of one message; the rest is counted
LONGEST = 300  # characters of an alert's words outside

_SECRETS = (
    (re.compile(r"(\w+://)[^\s/@]*@"), r"\1"),  # user and password of an address
    (re.compile(r"(\w+://[^\s?#]+)[?#]\S*"), r"\1"),  # its query, where tokens stand
    (re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+"), "…"),  # e-mail addresses
    (re.compile(r"(?i)\b(password|token|secret|api[_-]?key)\s*[=:]\s*\S+"), r"\1=…"),
)


def settle(connection: psycopg.Connection, topic: str, found: Mapping[str, str]) -> None:
    """Open an alert for each thing found, `{what: words}`, and clear those of the topic that are
    no longer found. The caller commits."""
    wanted = {f"{topic}:{what}": words for what, words in found.items()}
    standing = {one.kind: one.words for one in open_alerts(connection)}
    for kind, words in wanted.items():
        if standing.get(kind) != words:
            raise_alert(connection, kind, words)
    for kind in standing:
        if kind.startswith(f"{topic}:") and kind not in wanted:
            clear_alert(connection, kind)


def deliver(
    connection: psycopg.Connection, settings: Alerts, environment: Mapping[str, str] = os.environ
) -> list[str]:
    """Tell what is due by every channel, and commit; returns what came of it, in sentences.

    At least once: a process killed between telling and noting it tells again. Raises TwinError when
    a channel's address cannot be meant.
    """
    found = channels(settings, environment)
    alerts_store.queue(connection, list(found))
    connection.commit()
    said = []
    for name, send in found.items():
        told = alerts_store.due(connection, name, settings.minutes_between)
        if told:
            try:
                send(subject(told), text(told), [_plain(one) for one in told])
                alerts_store.delivered(connection, name, told)
                said.append(f"{name}: {len(told)} told.")
            except UndeliveredError as error:
                alerts_store.failed(connection, name, told, str(error))
                said.append(str(error))
        connection.commit()
    return said


def subject(told: Sequence[Delivery]) -> str:
    """One line about all of them."""
    opened = sum(one.state == "open" for one in told)
    parts = [f"{opened} open" if opened else "", f"{len(told) - opened} cleared"]
    counted = ", ".join(part for part in parts if part and not part.startswith("0 "))
    return f"Twin at {socket.gethostname()}: alerts, {counted}"


def text(told: Sequence[Delivery]) -> str:
    """The message: what is open with what to do, what was cleared; SHOWN of them at most."""
    lines = [subject(told)]
    for one in told[:SHOWN]:
        if one.state == "open":
            lines.append(f"• since {one.raised_at:%Y-%m-%d %H:%M %Z}: {harmless(one.words)}")
        else:
            lines.append(f"• cleared: {one.kind}, open since {one.raised_at:%Y-%m-%d %H:%M %Z}")
    if len(told) > SHOWN:
        lines.append(f"• and {len(told) - SHOWN} more; `twin status` shows all.")
    return "\n".join(lines)


def harmless(words: str) -> str:
    """Words that may leave the machine: without keys and addresses, in one line of LONGEST."""
    line = " ".join(words.split())
    for pattern, instead in _SECRETS:
        line = pattern.sub(instead, line)
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _plain(one: Delivery) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "state": one.state,
        "words": harmless(one.words),
        "raised_at": one.raised_at.isoformat(),
        "cleared_at": one.cleared_at.isoformat() if one.cleared_at else None,
    }
