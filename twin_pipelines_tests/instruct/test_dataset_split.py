"""Splits are by time and whole session, and nothing of a later split stands in an earlier one."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_pipelines.instruct import dataset as rules
from twin_pipelines.instruct.dataset import (
    SPLITS,
    chat_rows,
    dataset_version,
    draft_dataset,
    split_by_time,
)
from twin_pipelines.instruct.leaks import find_leaks
from twin_pipelines.instruct.pairs import PAIR_SCHEMA
from twin_pipelines.settings import Dataset, TwinError

BEGIN = datetime(2018, 5, 1, tzinfo=UTC)
LONG = "well we went all the way up to the temple and back"


def pair(session: int, minute: float, input: str, reply: str, quality: float = 5.0) -> dict:
    name = f"{session}/{minute}"
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        "day": BEGIN.date(),
        "source": "made",
        "conversation_id": "chat",
        "session_id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(session))),
        "partner": "partner-00000001",
        "replied_at": BEGIN + timedelta(minutes=minute),
        "context": [],
        "input": input,
        "reply": reply,
        "language": "en",
        "quality": quality,
        "quality_parts": dict.fromkeys(
            ("relevance", "information", "emotion", "style", "flow"), 1.0
        ),
        "excluded": None,
        "message_ids": [str(uuid.uuid5(uuid.NAMESPACE_OID, "m" + name))],
    }


def frame(rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=PAIR_SCHEMA)


def unlike(name: str) -> str:
    """A long text that resembles no other."""
    return hashlib.sha256(name.encode()).hexdigest()


def history(sessions: int = 20, each: int = 5) -> list[dict]:
    """Sessions an hour apart; every text is its own."""
    return [
        pair(n, 60 * n + m, unlike(f"ask {n} {m}"), unlike(f"tell {n} {m}"))
        for n in range(sessions)
        for m in range(each)
    ]


def split_of(draft: rules.Draft) -> dict[str, str]:
    return dict(draft.pairs.select("id", "split").iter_rows())


def test_shares_and_order_are_as_asked() -> None:
    draft = draft_dataset(frame(history()), Dataset(validation_share=0.1, test_share=0.2))
    assert [draft.count(split) for split in SPLITS] == [70, 10, 20]
    assert draft.train_until < draft.test_from
    assert draft.purged == {}


def test_a_session_across_a_cut_is_dropped_and_counted() -> None:
    rows = history()
    rows += [pair(99, 60 * n + 30, f"mid {n}", unlike(f"also {n}")) for n in (2, 18)]
    draft = draft_dataset(frame(rows), Dataset(validation_share=0.1, test_share=0.2))
    assert draft.purged == {rules.ACROSS_CUT: 2}
    assert draft.pairs.height == 100


def test_a_long_reply_said_again_later_leaves_train_and_stays_in_test() -> None:
    rows = history()
    rows[0] = pair(0, 0, "how was it", LONG)
    rows[-1] = pair(19, 60 * 19 + 4, "tell me", LONG.replace("well", "Well,"))
    draft = draft_dataset(frame(rows), Dataset())
    assert draft.purged == {rules.LEAKING_REPLY: 1}
    assert rows[0]["id"] not in split_of(draft)
    assert split_of(draft)[rows[-1]["id"]] == "test"


def test_a_short_exchange_said_again_leaks_but_a_short_reply_alone_does_not() -> None:
    rows = history()
    rows[0] = pair(0, 0, "you ok?", "haha yes")
    rows[1] = pair(0, 1, "hungry?", "haha yes")
    rows[-1] = pair(19, 60 * 19 + 4, "You OK", "Haha, yes!")
    draft = draft_dataset(frame(rows), Dataset())
    assert draft.purged == {rules.LEAKING_EXCHANGE: 1}
    assert split_of(draft)[rows[1]["id"]] == "train"


def test_a_long_message_with_a_short_reply_leaks_as_one_text() -> None:
    rows = history()
    rows[0] = pair(0, 0, "do you want to come to the cinema with us", "sure thing")
    rows[-1] = pair(19, 60 * 19 + 4, "do you want to come to the cinema with us?", "sure thing!")
    draft = draft_dataset(frame(rows), Dataset())
    assert draft.purged == {rules.LEAKING_EXCHANGE: 1}


def test_validation_is_purged_of_test_and_test_of_nothing() -> None:
    rows = history()
    split = dict(split_by_time(frame(rows), Dataset()).select("id", "split").iter_rows())
    middle = next(n for n, row in enumerate(rows) if split[row["id"]] == "validation")
    rows[middle] = {**rows[middle], "reply": LONG}
    rows[-1] = {**rows[-1], "reply": LONG}
    rows[-2] = {**rows[-2], "reply": LONG}
    draft = draft_dataset(frame(rows), Dataset())
    assert rows[middle]["id"] not in split_of(draft)
    assert {rows[-1]["id"], rows[-2]["id"]} <= set(split_of(draft))


def test_train_keeps_one_of_nearly_equal_exchanges_and_a_few_of_one_reply() -> None:
    rows = history()
    for n in range(4):
        rows[n] = {**rows[n], "reply": "no way"}
    rows[10] = {**rows[10], "input": "what is your favourite food", "reply": "som tam of course"}
    rows[20] = {**rows[20], "input": "What is your favourite food?", "reply": "Som tam, of course"}
    draft = draft_dataset(frame(rows), Dataset(max_same_reply=3))
    assert draft.purged == {rules.COMMON_REPLY: 1, rules.REPEATED_EXCHANGE: 1}
    assert rows[3]["id"] not in split_of(draft)
    assert rows[20]["id"] not in split_of(draft)


def test_thai_texts_leak_too() -> None:
    rows = history()
    text = "เมื่อวานไปวัดพระธาตุดอยสุเทพกับครอบครัวมาค่ะ"
    rows[0] = {**rows[0], "reply": text}
    rows[-1] = {**rows[-1], "reply": f"{text} 😊"}
    assert draft_dataset(frame(rows), Dataset()).purged == {rules.LEAKING_REPLY: 1}


def test_poor_pairs_are_left_out_of_train_and_of_no_other_split() -> None:
    rows = history()
    rows[0] = {**rows[0], "quality": 1.0}
    rows[-1] = {**rows[-1], "quality": 1.0}
    draft = draft_dataset(frame(rows), Dataset(min_quality=2.0))
    assert draft.purged == {rules.LOW_QUALITY: 1}
    assert split_of(draft)[rows[-1]["id"]] == "test"


@pytest.mark.parametrize("rows", [[], history(1), history(2)])
def test_a_history_of_too_few_sessions_is_refused_in_words(rows: list[dict]) -> None:
    with pytest.raises(TwinError, match="sessions"):
        draft_dataset(frame(rows), Dataset())


def test_a_history_that_is_all_repetition_is_refused_in_words() -> None:
    rows = [pair(n, 60 * n, "and what did you do then", LONG) for n in range(9)]
    with pytest.raises(TwinError, match="too few are left"):
        draft_dataset(frame(rows), Dataset())


def test_the_version_follows_content_and_settings_and_nothing_else() -> None:
    def version(rows: list[dict], **knobs: int) -> str:
        draft = draft_dataset(frame(rows), Dataset())
        parts = {split: draft.pairs.filter(pl.col("split") == split) for split in SPLITS}
        return dataset_version(
            knobs, {name: chat_rows(part, "You.") for name, part in parts.items()}
        )

    rows = history()
    assert version(rows, a=1) == version(list(reversed(rows)), a=1)
    assert version(rows, a=1) != version(rows, a=2)
    assert version(rows, a=1) != version([{**rows[0], "reply": "changed it"}, *rows[1:]], a=1)
    assert len(version(rows, a=1)) == 12


def test_rows_have_the_system_message_first_and_end_with_the_partner() -> None:
    said = {
        **pair(0, 0, "and you?", "fine thanks"),
        "context": [{"role": "assistant", "content": "hi"}],
    }
    (row,) = chat_rows(frame([said]), "You are Sue.")
    assert [part["role"] for part in row["prompt"]] == ["system", "assistant", "user"]
    assert row["completion"] == [{"role": "assistant", "content": "fine thanks"}]


texts = st.sampled_from(
    [LONG, LONG + "!", "haha yes", "you ok", "sure", "no way " * 4, "กินข้าว" * 5]
)
replies = st.tuples(st.integers(0, 12), st.integers(0, 2_000), texts, texts)


@given(st.lists(replies, min_size=1, max_size=60, unique_by=lambda said: said[:2]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_was_said_no_session_time_or_text_is_in_two_splits(said: list, few: bool) -> None:
    rows = [pair(session, session * 100 + minute, *texts) for session, minute, *texts in said]
    pairs = frame(rows)
    try:
        draft = draft_dataset(pairs, Dataset(test_share=0.3 if few else 0.1))
    except TwinError:
        return
    again = draft_dataset(
        pairs.sample(fraction=1, shuffle=True, seed=1), Dataset(test_share=0.3 if few else 0.1)
    )
    assert split_of(again) == split_of(draft)
    assert sum(draft.purged.values()) + draft.pairs.height == len(rows)
    spans = draft.pairs.group_by("split").agg(
        pl.col("replied_at").min().alias("first"), pl.col("replied_at").max().alias("last")
    )
    at = {name: (first, last) for name, first, last in spans.iter_rows()}
    assert at["train"][1] < at["validation"][0] <= at["validation"][1] < at["test"][0]
    assert draft.pairs.group_by("session_id").agg(pl.col("split").n_unique())["split"].max() == 1
    splits = {
        name: chat_rows(draft.pairs.filter(pl.col("split") == name), "You.") for name in SPLITS
    }
    behind = dict(draft.pairs.select("id", "message_ids").iter_rows())
    assert find_leaks(splits, behind, 0.8) == []
