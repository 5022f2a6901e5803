"""The only SQL over `blind_choices`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import psycopg

Source = Literal["real", "twin", "base"]
Chosen = Literal["real", "twin", "base", "unsure"]


@dataclass(frozen=True)
class BlindChoice:
    """What was taken for the real reply to one context, and after how many seconds."""

    pair_id: str
    shown: tuple[Source, ...]
    chosen: Chosen
    seconds: float


def save_choice(connection: psycopg.Connection, evaluation_id: str, choice: BlindChoice) -> bool:
    """Record a choice; False, and nothing changes, when this context was judged before."""
    with connection.transaction():
        cursor = connection.execute(
            "insert into blind_choices (evaluation_id, pair_id, shown, chosen, seconds) "
            "values (%s, %s, %s, %s, %s) on conflict do nothing",
            (evaluation_id, choice.pair_id, list(choice.shown), choice.chosen, choice.seconds),
        )
    return cursor.rowcount == 1


def choices(connection: psycopg.Connection, evaluation_id: str) -> list[BlindChoice]:
    """The choices about an evaluation's replies, in the order they were made."""
    rows = connection.execute(
        "select pair_id::text, shown, chosen, seconds from blind_choices where evaluation_id = %s "
        "order by chosen_at, pair_id",
        (evaluation_id,),
    ).fetchall()
    return [
        BlindChoice(pair_id, tuple(shown), chosen, seconds)
        for pair_id, shown, chosen, seconds in rows
    ]


def undo_choice(connection: psycopg.Connection, evaluation_id: str) -> bool:
    """Forget the choice made last; False when there is none."""
    with connection.transaction():
        cursor = connection.execute(
            "delete from blind_choices where evaluation_id = %(evaluation)s and pair_id = ("
            "select pair_id from blind_choices where evaluation_id = %(evaluation)s "
            "order by chosen_at desc, pair_id desc limit 1)",
            {"evaluation": evaluation_id},
        )
    return cursor.rowcount == 1
