"""What is said to the twin becomes messages of the source `chat`, where its owner consented.

Both sides of a chat are landed. The twin's own words carry the speaker TWIN, by which they are
known everywhere: they are kept as what the other side answered to, and are no facts, no style and
nothing to learn from. Cleaning leaves them out, so no room after `features` ever sees them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl
import psycopg

from twin_pipelines.settings import TwinSettings
from twin_pipelines.sources import chats_store, landing_store
from twin_pipelines.sources.landing_store import Reading
from twin_pipelines.sources.messages import MESSAGE_SCHEMA, TWIN, Rules, as_loose, day_of, tidy
from twin_pipelines.sources.tally import Tally

__all__ = ["SOURCE", "TWIN", "VISITOR", "LandedChats", "land_chats", "withdraw_chat"]

SOURCE = KIND = "chat"
LOCATION = "what was said to the twin"
VISITOR = "(visitor)"  # who gave no name, or the twin's


@dataclass(frozen=True)
class LandedChats:
    """What came of landing chats: new messages, those refused, and the days they are of."""

    messages: int = 0
    rejected: int = 0
    days: tuple[date, ...] = ()


def land_chats(connection: psycopg.Connection, settings: TwinSettings) -> LandedChats:
    """Land what was said with consent since the last time, and commit.

    Nothing is landed unless `serving.chat_consent` says who allowed it and the chat had consented
    when the turn was said. A turn is landed once; one that is no message (too long, say) is listed
    in `import_problems`. Raises TwinError when another kind of source is called `chat`.
    """
    granted = settings.serving.chat_consent.strip()
    if not granted or not chats_store.anything_to_land(connection):
        connection.rollback()
        return LandedChats()
    rules = Rules.of(settings)
    with connection.transaction():
        landing_store.lock(connection, SOURCE)
        landing_store.record_consent(connection, SOURCE, KIND, LOCATION, granted)
        said = chats_store.turns_to_land(connection)
        messages = _messages(said)
        texts = messages["text"]
        batch = tidy(as_loose(messages), rules, lambda place: str(texts[place]))
        frame = batch.frame.with_columns(
            source=pl.lit(SOURCE), day=day_of(pl.col("sent_at"), rules.zone)
        )
        tally = Tally()
        tally.add(batch, frame["day"])
        if frame.height:
            landing_store.upsert_messages(connection, frame)
        if tally.rejected:
            _account_for(connection, tally)
        chats_store.mark_landed(connection, said)
        cut = chats_store.drop_cut_turns(connection, SOURCE, said["chat_id"].unique().to_list())
    connection.commit()
    days = tuple(sorted({*frame["day"].to_list(), *cut}))
    if days:
        settings.widen_history(days[0], days[-1])
    return LandedChats(frame.height, tally.rejected, days)


def withdraw_chat(connection: psycopg.Connection, chat_id: str) -> list[date]:
    """Remove a chat's messages from the history; the caller commits and cleans the days returned.

    The chat itself stays; what of it was not landed yet is not landed any more.
    """
    with connection.transaction():
        landing_store.lock(connection, SOURCE)
        return chats_store.withdraw(connection, SOURCE, chat_id)


def _messages(said: pl.DataFrame) -> pl.DataFrame:
    """Turns of chats (`chats_store.TURNS`) as messages of a source."""
    number = pl.format("{}/{}", "chat_id", "place")
    before = pl.format("{}/{}", "chat_id", pl.col("place") - 1)
    partner = pl.col("partner").str.strip_chars()
    visitor = pl.when(partner.is_in(["", TWIN])).then(pl.lit(VISITOR)).otherwise(partner)
    twins = pl.col("role") == "assistant"
    return said.select(
        number.alias("source_message_id"),
        pl.col("chat_id").alias("conversation_id"),
        pl.when(twins).then(pl.lit(TWIN)).otherwise(visitor).alias("speaker"),
        pl.col("content").alias("text"),
        pl.col("said_at").alias("sent_at"),
        pl.when(pl.col("place") > 0).then(before).alias("reply_to"),
        pl.when(twins).then(pl.struct("backend", "release").struct.json_encode()).alias("metadata"),
    ).select(pl.col(name).cast(dtype) for name, dtype in MESSAGE_SCHEMA.items())


def _account_for(connection: psycopg.Connection, tally: Tally) -> None:
    """Write down what was refused; a landing without faults leaves no reading."""
    reading = Reading(
        SOURCE,
        LOCATION,
        "",
        None,
        tally.read,
        tally.landed,
        tally.rejected,
        tally.repaired,
        tally.reasons,
    )
    landing_store.record_import(connection, reading, tally.kept)
