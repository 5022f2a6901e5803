"""`twin report --confirm`: the owner says what turns refer back to, which recall is measured on."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

import psycopg
from rich.console import Console

from twin_pipelines.embeddings.encoder import load_encoder
from twin_pipelines.foundation.database import connect
from twin_pipelines.retrieval import figures_store
from twin_pipelines.retrieval.figures import TURNS_READ
from twin_pipelines.retrieval.references import Reference, references
from twin_pipelines.settings import TwinSettings

SHOWN = 30  # turns at once
QUIT, SKIP, NONE = "q", "s", "n"

Ask = Callable[[str], str]


def confirm(settings: TwinSettings, url: str, console: Console, ask: Ask) -> int:
    """Show turns that refer back, one by one, and keep what the owner picks; how many were judged.

    Each answer is committed before the next is asked.
    """
    with connect(url) as connection:
        turns = figures_store.sampled_turns(connection, TURNS_READ)
        judged = figures_store.judged_references(connection)
        connection.rollback()
        found = references(turns, load_encoder(settings), SHOWN, judged)
        if not found:
            console.print("No turn is left that refers back to an earlier one.")
            return 0
        return _judged(connection, found, settings.zone, console, ask)


def _judged(
    connection: psycopg.Connection,
    found: list[Reference],
    zone: ZoneInfo,
    console: Console,
    ask: Ask,
) -> int:
    count = 0
    for number, one in enumerate(found, start=1):
        console.print(f"\n{number} of {len(found)}, {one.sent_at.astimezone(zone):%-d %B %Y}")
        console.print(f"{one.speaker}: {one.text}", style="bold", markup=False, highlight=False)
        for place, offer in enumerate(one.offers, start=1):
            day = f"{offer.sent_at.astimezone(zone):%-d %B %Y}"
            told = f"  {place}  {day}  {offer.speaker}: {offer.text}"
            console.print(told, markup=False, highlight=False)
        numbers = {str(place): offer.message_id for place, offer in enumerate(one.offers, start=1)}
        answer = ""
        while answer not in (*numbers, NONE, SKIP, QUIT):
            answer = ask(f"Which one is meant? {'/'.join(numbers)}, n none, s skip, q enough")
            answer = answer.strip().lower()
        if answer == QUIT:
            break
        if answer != SKIP:
            figures_store.judge_reference(connection, one.message_id, numbers.get(answer))
            connection.commit()
            count += 1
    return count
