"""Other people, against whom a person's own way of writing stands out.

They are the other speakers of the history, and strangers of chitchat (ranks 21 and further). Ranks
11 to 20 are nobody's background, also where they wrote with the subject.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import polars as pl

from twin_pipelines.features.cleaning import clean
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.persona.style.measure import add_sums, add_up, count_turns, values
from twin_pipelines.persona.style.vocabulary import others_terms
from twin_pipelines.settings import Cleaning
from twin_pipelines.sources import chitchat

THAI_FROM = 0.5  # share of the subject's turns with Thai


def strangers(exclude: str, people: int) -> list[str]:
    """The most prolific of chitchat's senders who may be background, without `exclude`."""
    ranked = chitchat.senders()["speaker"][chitchat.FIRST_STRANGER - 1 :].to_list()
    return [name for name in ranked if name != exclude][:people]


def reserved() -> list[str]:
    """Chitchat's senders whose texts are nobody's background."""
    ranked = chitchat.senders()["speaker"]
    return ranked[chitchat.SUBJECT_RANKS : chitchat.FIRST_STRANGER - 1].to_list()


def turns_of(
    people: Iterable[str], cleaning: Cleaning, without: Iterable[str] = ()
) -> pl.DataFrame:
    """All turns (`features.turns.TURNS`) of the chitchat chats in which one of `people` writes.

    Cleaned as a history is. Chats with one of `without` are not read.
    """
    messages = chitchat.messages().with_columns(pl.col("chat", "speaker").cast(pl.String))
    speaker = pl.col("speaker")
    wanted = messages.filter(
        speaker.is_in(list(people)).any().over("chat"),
        ~speaker.is_in(list(without)).any().over("chat"),
    )
    raw = raw_messages(wanted)
    days = DayRange(raw["day"].min(), raw["day"].max())  # type: ignore[arg-type]
    return clean(raw, days, cleaning).turns


def others_habits(
    sums: pl.DataFrame, subject: str, people: int, cleaning: Cleaning
) -> pl.DataFrame:
    """Habits of other people (`style.values` by speaker): of the history and of strangers.

    `sums` are `style.add_up` of the history by speaker. Chitchat's strangers write English: they
    are left out where the subject mostly writes Thai.
    """
    own = sums.filter(pl.col("speaker") == subject)
    english = float(own["thai_turns"].sum()) < THAI_FROM * float(own["languaged"].sum() or 1)
    names = strangers(subject, people) if english else []
    partners = sums.filter(~pl.col("speaker").is_in([subject, *names, *reserved()]))
    parts = [values(add_sums(partners, ["speaker"]), ["speaker"])]
    if names:
        counts = count_turns(turns_of(names, cleaning, [*reserved(), subject]), names)
        parts.append(values(add_up(counts, ["speaker"]), ["speaker"]))
    return pl.concat(parts)


def others_vocabulary(
    turns: pl.DataFrame, subject: str, phrases: pl.DataFrame, strangers: Collection[str] = ()
) -> pl.DataFrame:
    """`vocabulary.others_terms` of the turns that are background of the subject.

    `strangers` are counted elsewhere, from all that they wrote.
    """
    barred = [subject, *reserved(), *strangers]
    return others_terms(turns.filter(~pl.col("speaker").is_in(barred)), phrases)


def raw_messages(messages: pl.DataFrame) -> pl.DataFrame:
    """Messages of the package (`chitchat.messages`) in the form of `raw_messages`."""
    number = pl.col("number").cast(pl.String).str.zfill(4)
    name = pl.concat_str("chat", number, separator="/")
    return messages.select(
        id=name,
        source=pl.lit("chitchat"),
        source_message_id=name,
        conversation_id="chat",
        speaker="speaker",
        text="text",
        sent_at="sent_at",
        day=pl.col("sent_at").dt.date(),
        metadata=pl.lit(None, dtype=pl.String),
    )
