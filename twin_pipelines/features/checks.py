"""What must be true of turns before anything is learnt from them."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import polars as pl
import psycopg

from twin_pipelines.features import store
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.quality import table_checks

MOST_DROPPED = 0.20  # share of the messages
MOST_WITHOUT_LANGUAGE = 0.25  # share of the turns
ENOUGH = 20  # messages or turns, before a share says anything


def _none_of(*columns: str) -> Any:
    def expectations(gxe: ModuleType) -> Sequence[Any]:
        return [gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[0]) for column in columns]

    return expectations


def _at_most(column: str, share: float) -> Any:
    def expectations(gxe: ModuleType) -> Sequence[Any]:
        return [gxe.ExpectColumnValuesToBeBetween(column=column, min_value=0, max_value=share)]

    return expectations


def dropped_share(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Messages that cleaning left out, as a share of all; a high one hints at a bad import."""
    account = store.account(connection, days).sum()
    return account.filter(pl.col("messages") >= ENOUGH).select(
        "messages", share=pl.col("dropped") / pl.col("messages")
    )


def share_without_language(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Turns without any letter, as a share of all; a high one hints at broken text."""
    shares = store.language_shares(connection, days)
    return shares.filter(pl.col("language") == "none", shares["turns"].sum() >= ENOUGH)


turns_are_readable = table_checks(
    "cleaned_messages",
    "turns_are_readable",
    store.turn_faults,
    _none_of("blank", "control_characters", "wrong_hash", "backward"),
    severity="critical",
    partitioned=True,
    description="No turn is blank, holds control characters or ends before it begins.",
)

sessions_begin_in_time = table_checks(
    "cleaned_messages",
    "sessions_begin_in_time",
    store.turn_faults,
    _none_of("session_elsewhere"),
    severity="critical",
    partitioned=True,
    description="The session of each turn begins with a raw message of the day or of its eve.",
)

every_message_is_accounted_for = table_checks(
    "cleaned_messages",
    "every_message_is_accounted_for",
    store.account,
    _none_of("missing", "repeated", "unknown"),
    severity="critical",
    partitioned=True,
    description="Every raw message is in exactly one turn, or dropped for a reason.",
)

few_messages_are_dropped = table_checks(
    "cleaned_messages",
    "few_messages_are_dropped",
    dropped_share,
    _at_most("share", MOST_DROPPED),
    severity="warning",
    partitioned=True,
)

languages_are_recognised = table_checks(
    "cleaned_messages",
    "languages_are_recognised",
    share_without_language,
    _at_most("share", MOST_WITHOUT_LANGUAGE),
    severity="warning",
    partitioned=True,
)
