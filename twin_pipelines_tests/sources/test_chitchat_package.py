"""The real package: who may be read, and as what."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from twin_pipelines.settings import TwinError
from twin_pipelines.sources import chitchat

THIRD = "720840be-e522-47ba-9e9f-143f66372673"


def reserved() -> set[str]:
    return set(chitchat.senders()["speaker"][10:20])


def test_senders_are_ranked_by_what_they_wrote() -> None:
    senders = chitchat.senders()
    assert senders.height == 1_315
    assert senders["messages"].sum() == 258_145
    assert senders["messages"].is_sorted(descending=True)
    assert chitchat.speaker_of_rank(3) == THIRD
    assert senders.row(0)[1:] == ("31267496-e50f-4f91-a197-c5b1bfde803b", 25_272, 777)


@pytest.mark.parametrize("rank", [0, 11, 20])
def test_only_ten_ranks_may_be_a_subject(rank: int) -> None:
    with pytest.raises(TwinError, match="from 1 to 10"):
        chitchat.speaker_of_rank(rank)


def test_a_sender_is_found_by_the_beginning_of_its_id() -> None:
    assert chitchat.find_speaker(THIRD) == THIRD
    assert chitchat.find_speaker("720840be") == THIRD
    assert chitchat.find_speaker("7208") is None
    assert chitchat.find_speaker("nobody here") is None


def test_the_span_is_that_of_the_package_in_a_zone() -> None:
    assert chitchat.span() == (date(2018, 4, 10), date(2018, 11, 16))
    assert chitchat.span("Asia/Bangkok") == (date(2018, 4, 11), date(2018, 11, 17))


def test_a_subject_comes_with_whole_chats_in_order() -> None:
    rows = chitchat.subject_messages(THIRD)
    assert rows.filter(pl.col("speaker") == THIRD).height == 13_580
    assert rows["conversation_id"].n_unique() == 347
    assert rows["source_message_id"].is_unique().all()
    for (_,), chat in rows.group_by("conversation_id"):
        assert chat["sent_at"].is_sorted()
        assert chat["source_message_id"].is_sorted()
    assert rows["source_message_id"][1] == "a07edb12-6b91-4138-b11e-02421888d699/0001"
    assert "best friend" in rows["metadata"][0]
    assert rows["metadata"].null_count() == rows.height - 347


def test_nobody_s_chats_are_no_messages() -> None:
    assert chitchat.subject_messages("nobody").is_empty()


def test_background_is_strangers_only_and_the_same_each_time() -> None:
    first = chitchat.senders()["speaker"][20]
    texts = chitchat.background_texts(first, people=5)
    assert list(texts) == chitchat.senders()["speaker"][21:26].to_list()
    assert chitchat.background_texts(first, people=3, skip=2).keys() == set(list(texts)[2:])
    assert texts == chitchat.background_texts(first, people=5)
    assert not reserved() & set(chitchat.background_texts("", people=400))
    assert all(len(turns) > 100 for turns in texts.values())


def test_exchanges_ask_for_a_reply_and_never_show_the_reserved() -> None:
    exchanges = chitchat.background_exchanges(150, THIRD)
    assert len(exchanges) == 150
    assert exchanges == chitchat.background_exchanges(150, THIRD)
    rows = chitchat.messages().with_columns(pl.col("speaker").cast(pl.String))
    barred = rows.filter(pl.col("speaker").is_in([*reserved(), THIRD]))
    private = set(barred["text"].filter(barred["text"].str.len_chars() > 40))
    for context, reply in exchanges:
        assert context[-1]["role"] == "user"
        assert {turn["role"] for turn in context} <= {"user", "assistant"}
        assert 1 <= len(context) <= chitchat.CONTEXT_TURNS
        assert len(reply.split()) >= 2
        for line in [reply, *(turn["content"] for turn in context)]:
            assert not private & set(line.split("\n"))


def test_exchanges_come_from_many_people() -> None:
    exchanges = chitchat.background_exchanges(60, THIRD)
    by_text = chitchat.messages().select(pl.col("text"), speaker=pl.col("speaker").cast(pl.String))
    long = [reply.split("\n")[0] for _, reply in exchanges if len(reply) > 40]
    assert by_text.filter(pl.col("text").is_in(long))["speaker"].n_unique() > len(long) // 2


def test_asking_for_more_exchanges_than_there_are_gives_all() -> None:
    everything = chitchat.background_exchanges(10**9, THIRD)
    assert 1_000 < len(everything) < 100_000


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise ModuleNotFoundError

    monkeypatch.setattr(chitchat, "files", missing)
    with pytest.raises(TwinError, match="chitchat-dataset is not installed"):
        chitchat._content()
