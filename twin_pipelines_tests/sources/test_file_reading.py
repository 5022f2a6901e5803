"""Files as people have them: good rows are kept, bad ones told, impossible files refused."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin_pipelines.settings import TwinError
from twin_pipelines.sources import files, lines, messages
from twin_pipelines.sources.files import read_file
from twin_pipelines.sources.identities import REPEATED
from twin_pipelines.sources.messages import MESSAGE_SCHEMA, Batch, Rules

RULES = Rules(ZoneInfo("Asia/Bangkok"), 1_000, datetime(2026, 1, 1, tzinfo=UTC))
GOOD = {
    "conversation_id": "c",
    "speaker": "ann",
    "text": "hello",
    "sent_at": "2024-05-02T12:30:15Z",
}


def row(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (GOOD | changes).items() if value is not ...}


def jsonl(folder: Path, *rows: dict[str, Any] | bytes, name: str = "m.jsonl") -> Path:
    content = b"\n".join(r if isinstance(r, bytes) else json.dumps(r).encode() for r in rows)
    path = folder / name
    path.write_bytes(content)
    return path


def read(path: Path, rules: Rules = RULES) -> Batch:
    batches = list(read_file(path, rules))
    return Batch(
        pl.concat([batch.frame for batch in batches]),
        pl.concat([batch.problems for batch in batches]),
        sum(batch.read for batch in batches),
    )


def problems(batch: Batch) -> Counter[tuple[str, str]]:
    return Counter(zip(batch.problems["action"], batch.problems["reason"], strict=True))


def test_a_plain_file_is_read_whole(tmp_path: Path) -> None:
    batch = read(
        jsonl(
            tmp_path,
            row(message_id="m1", reply_to="m0", metadata={"topic": "rain"}),
            row(message_id=2, speaker=" bob ", sent_at=1714653016),
        )
    )
    assert batch.frame.drop("line").to_dicts() == [
        {
            "source_message_id": "m1",
            "conversation_id": "c",
            "speaker": "ann",
            "text": "hello",
            "sent_at": datetime(2024, 5, 2, 12, 30, 15, tzinfo=UTC),
            "reply_to": "m0",
            "metadata": '{"topic":"rain"}',
        },
        {
            "source_message_id": "2",
            "conversation_id": "c",
            "speaker": "bob",
            "text": "hello",
            "sent_at": datetime(2024, 5, 2, 12, 30, 16, tzinfo=UTC),
            "reply_to": None,
            "metadata": None,
        },
    ]
    assert batch.read == 2
    assert batch.problems.is_empty()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"speaker": "ann", ', files.NOT_JSON),
        (b"[1, 2]", files.NOT_OBJECT),
        (b'"text"', files.NOT_OBJECT),
        (b'{"a": NaN}', files.NOT_JSON),
        (b"[" * 100_000, files.NOT_JSON),
        (row(text=...), messages.NO_TEXT),
        (row(text=None), messages.NO_TEXT),
        (row(text=["a"]), "text is not text"),
        (row(speaker=...), messages.NO_SPEAKER),
        (row(speaker="  "), messages.NO_SPEAKER),
        (row(conversation_id=""), messages.NO_CONVERSATION),
        (row(sent_at=...), messages.NO_TIME),
        (row(sent_at="yesterday"), messages.UNREADABLE_TIME),
        (row(sent_at={"a": 1}), messages.UNREADABLE_TIME),
        (row(sent_at="2031-01-01T00:00:00Z"), messages.FUTURE_TIME),
        (row(sent_at="9999-12-31T23:59:59Z"), messages.FUTURE_TIME),
        (row(sent_at="1969-12-31T23:59:59Z"), messages.EARLY_TIME),
        (row(sent_at=-1), messages.EARLY_TIME),
        (row(text="x" * 5_000_000), RULES.too_long),
        (row(conversation_id="x" * 600), messages.LONG_NAME),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason_and_the_others_stay(
    tmp_path: Path, bad: Any, reason: str
) -> None:
    batch = read(jsonl(tmp_path, row(text="before"), bad, row(text="after")))
    assert batch.frame["text"].to_list() == ["before", "after"]
    assert batch.problems["action"].to_list() == ["rejected"]
    assert batch.problems["reason"].to_list() == [reason]
    assert batch.problems["line"].to_list() == [2]
    assert batch.read == 3
    assert 0 < len(batch.problems["excerpt"][0]) <= messages.EXCERPT_CHARS


@pytest.mark.parametrize(
    ("mended", "text", "reason"),
    [
        (row(text="a\0b"), "a\ufffdb", messages.CHARACTERS_REPLACED),
        (
            b'{"conversation_id":"c","speaker":"ann","text":"a\\ud800b","sent_at":1714653015}',
            "a\ufffdb",
            messages.CHARACTERS_REPLACED,
        ),
        (
            b'{"conversation_id":"c","speaker":"ann","text":"a\xffb","sent_at":1714653015}',
            "a\ufffdb",
            messages.CHARACTERS_REPLACED,
        ),
        (row(sent_at="2024-05-02T19:30:15"), "hello", RULES.zone_assumed),
        (row(metadata={"long": "x" * 2_000}), "hello", messages.METADATA_LEFT_OUT),
    ],
)
def test_a_row_that_can_be_mended_is_kept_and_told(
    tmp_path: Path, mended: Any, text: str, reason: str
) -> None:
    batch = read(jsonl(tmp_path, row(text="before"), mended))
    assert batch.frame["text"].to_list() == ["before", text]
    assert batch.frame["sent_at"].dt.replace(microsecond=0).n_unique() == 1
    assert problems(batch) == {("repaired", reason): 1}


def test_an_emoji_written_as_two_escapes_is_one_character(tmp_path: Path) -> None:
    line = b'{"conversation_id":"c","speaker":"a","text":"\\ud83d\\ude00","sent_at":1714653015}'
    batch = read(jsonl(tmp_path, line))
    assert batch.frame["text"].to_list() == ["😀"]
    assert batch.problems.is_empty()


def test_byte_order_mark_crlf_and_blank_lines_are_no_rows(tmp_path: Path) -> None:
    good = json.dumps(row()).encode()
    path = tmp_path / "windows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + good + b"\r\n\r\n  \r\n" + good + b"\r\n")
    batch = read(path)
    assert (batch.read, batch.frame.height) == (2, 2)
    assert batch.problems.is_empty()
    assert batch.frame["line"].to_list() == [1, 4]


def test_a_line_of_any_length_is_told_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        files, "read_lines", lambda stream: lines.read_lines(stream, longest=10_000)
    )
    batch = read(jsonl(tmp_path, row(), row(text="x" * 50_000), row()))
    assert batch.frame.height == 2
    assert problems(batch) == {("rejected", files.LONG_LINE): 1}


def test_empty_text_is_kept_for_cleaning_to_count(tmp_path: Path) -> None:
    assert read(jsonl(tmp_path, row(text=""))).frame["text"].to_list() == [""]


def test_jsonl_without_a_needed_name_is_refused_with_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(
        TwinError, match=r"has no speaker \(found: conversation_id, sent_at, text\)"
    ):
        read(jsonl(tmp_path, row(speaker=...), row(speaker=...)))


# Identities ---------------------------------------------------------------------------------------


def test_rows_without_identity_get_a_stable_one_and_copies_stay_apart(tmp_path: Path) -> None:
    path = jsonl(tmp_path, row(), row(), row(speaker="bob"), row())
    first, again = read(path).frame, read(path).frame
    assert first.equals(again)
    assert first["source_message_id"].n_unique() == 4
    longer = read(
        jsonl(tmp_path, row(text="new"), row(), row(), row(speaker="bob"), row(), name="n")
    )
    assert set(first["source_message_id"]) < set(longer.frame["source_message_id"])


def test_copies_in_different_blocks_stay_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row() for _ in range(7)]
    whole = read(jsonl(tmp_path, *rows)).frame["source_message_id"]
    monkeypatch.setattr(files, "read_lines", lambda stream: lines.read_lines(stream, most_lines=2))
    cut = read(jsonl(tmp_path, *rows)).frame
    assert cut["source_message_id"].to_list() == whole.to_list()
    assert cut["sent_at"].is_sorted()
    assert cut["sent_at"].n_unique() == 7


@pytest.mark.parametrize("most_lines", [1, 2, 10])
def test_of_a_repeated_identity_the_last_row_stays_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_lines: int
) -> None:
    monkeypatch.setattr(
        files, "read_lines", lambda stream: lines.read_lines(stream, most_lines=most_lines)
    )
    texts = ["one", "two", "three", "four"]
    batch = read(jsonl(tmp_path, *(row(message_id="m", text=text) for text in texts)))
    assert batch.frame["text"].to_list()[-1] == "four"
    assert problems(batch) == {("repaired", REPEATED): 3}


def test_messages_of_one_minute_keep_the_order_of_the_file(tmp_path: Path) -> None:
    texts = [f"{number}" for number in range(20)]
    frame = read(jsonl(tmp_path, *(row(text=text) for text in texts))).frame
    assert frame.sort("sent_at")["text"].to_list() == texts
    assert frame["sent_at"].max() - frame["sent_at"].min() < timedelta(milliseconds=1)


# CSV ----------------------------------------------------------------------------------------------


def table(folder: Path, content: str | bytes, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_csv_with_quotes_line_breaks_and_any_column_order(tmp_path: Path) -> None:
    content = (
        "Text,sent_at,speaker,conversation_id,extra,metadata\r\n"
        '"hello, ""you""\nthere",2024-05-02T12:30:15Z,ann,c,1,"{""a"": 1}"\r\n'
        "\r\n"
        "bye,1714653016,bob,c,,\r\n"
    )
    batch = read(table(tmp_path, content))
    assert batch.frame["text"].to_list() == ['hello, "you"\nthere', "bye"]
    assert batch.frame["metadata"].to_list() == ['{"a":1}', None]
    assert batch.frame["line"].to_list() == [2, 5]
    assert batch.problems.is_empty()


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_are_recognised(tmp_path: Path, delimiter: str) -> None:
    content = "conversation_id,speaker,text,sent_at\nc,ann,hi,2024-05-02T12:30:15Z\n"
    assert read(table(tmp_path, content.replace(",", delimiter))).frame.height == 1


def test_csv_problems_are_told_by_line(tmp_path: Path) -> None:
    content = (
        b"conversation_id,speaker,text,sent_at\n"
        b"c,ann,good,2024-05-02T12:30:15Z\n"
        b"c,ann,too few\n"
        b"c,ann,caf\xe9,2024-05-02T12:30:16Z\n"
        b"c,ann,no zone,2024-05-02 19:30:17\n"
        b"c,,nobody,2024-05-02T12:30:15Z\n"
        b"c,ann,nul \x00,2024-05-02T12:30:18Z\n"
    )
    batch = read(table(tmp_path, content))
    assert batch.frame["text"].to_list() == ["good", "caf\ufffd", "no zone", "nul \ufffd"]
    assert batch.problems.select("line", "action", "reason").rows() == [
        (3, "rejected", files.WRONG_CELLS),
        (4, "repaired", messages.CHARACTERS_REPLACED),
        (5, "repaired", RULES.zone_assumed),
        (6, "rejected", messages.NO_SPEAKER),
        (7, "repaired", messages.CHARACTERS_REPLACED),
    ]


def test_a_quote_that_never_closes_costs_a_bounded_stretch(tmp_path: Path) -> None:
    head = "conversation_id,speaker,text,sent_at\n"
    good = "c,ann,fine,2024-05-02T12:30:15Z\n"
    content = head + good + 'c,ann,"never closed,2024-05-02T12:30:15Z\n' + good * 60_000
    batch = read(table(tmp_path, content))
    assert batch.frame.height > 20_000
    assert problems(batch)["rejected", files.BROKEN_CELL] == 1


def test_a_huge_cell_costs_its_own_row_only(tmp_path: Path) -> None:
    head = "conversation_id,speaker,text,sent_at\n"
    good = "c,ann,fine,2024-05-02T12:30:15Z\n"
    content = head + good + f"c,ann,{'x' * 5_000_000},2024-05-02T12:30:15Z\n" + good
    batch = read(table(tmp_path, content))
    assert batch.frame.height == 2
    assert batch.problems["action"].to_list() == ["rejected"]


def test_a_csv_without_a_needed_column_is_refused_with_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match=r"has no text and no sent_at \(found: conversation_id, sp"):
        read(table(tmp_path, "conversation_id,speaker\nc,ann\n"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"conversation_id,speaker,text,sent_at\n", "holds no rows"),
        (b"\x1f\x8b\x08\x00", "compressed"),
        (b"PK\x03\x04rest", "archive"),
        (b"\xff\xfet\x00", "UTF-16"),
        (b'[{"text": 1}]', "one JSON list"),
        (b"PAR1....", "parquet"),
        (b"\x00\x01\x02\x03", "has no conversation_id"),
    ],
)
@pytest.mark.parametrize("name", ["file", "m.csv"])
def test_impossible_files_are_refused_in_one_sentence(
    tmp_path: Path, content: bytes, words: str, name: str
) -> None:
    with pytest.raises(TwinError, match=words) as refusal:
        read(table(tmp_path, content, name))
    assert str(tmp_path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match="There is no file"):
        read(tmp_path / "absent.jsonl")
    with pytest.raises(TwinError, match="is a folder"):
        read(tmp_path)


def test_only_the_first_problems_are_shown_but_all_are_counted(tmp_path: Path) -> None:
    batch = read(jsonl(tmp_path, row(), *[b"broken"] * 1_500))
    assert problems(batch) == {("rejected", files.NOT_JSON): 1_500}
    assert (batch.problems["excerpt"] != "").sum() == messages.KEPT_PROBLEMS


# Anything at all ----------------------------------------------------------------------------------

names = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=8
).filter(str.strip)
message = st.fixed_dictionaries(
    {
        "conversation_id": names,
        "speaker": names,
        "text": st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=30),
        "sent_at": st.datetimes(datetime(1980, 1, 1), datetime(2025, 1, 1)).map(
            lambda moment: moment.replace(tzinfo=UTC).isoformat()
        ),
    }
)
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def as_csv(rows: list[dict[str, str]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(GOOD), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@relaxed
@given(rows=st.lists(message, min_size=1, max_size=8), kind=st.sampled_from(["jsonl", "csv"]))
def test_what_is_written_is_read(tmp_path: Path, rows: list[dict[str, str]], kind: str) -> None:
    path = table(tmp_path, as_csv(rows)) if kind == "csv" else jsonl(tmp_path, *rows)
    batch = read(path)
    assert batch.problems.is_empty()
    assert batch.frame["text"].to_list() == [message["text"] for message in rows]
    assert batch.frame["speaker"].to_list() == [message["speaker"].strip() for message in rows]
    assert batch.frame["source_message_id"].is_unique().all()


@relaxed
@given(content=st.binary(max_size=300), name=st.sampled_from(["m.jsonl", "m.csv", "m"]))
def test_no_bytes_can_break_the_reading(tmp_path: Path, content: bytes, name: str) -> None:
    path = table(tmp_path, content, name)
    try:
        batch = read(path)
    except TwinError as refusal:
        assert "\n" not in str(refusal)
        return
    rejected = problems(batch)
    assert batch.frame.height == batch.read - sum(
        count for (action, _), count in rejected.items() if action == "rejected"
    )
    assert set(MESSAGE_SCHEMA) <= set(batch.frame.columns)


@relaxed
@given(
    content=st.lists(
        st.one_of(st.binary(max_size=40), st.just(json.dumps(GOOD).encode())),
        min_size=1,
        max_size=9,
    )
)
def test_good_rows_survive_any_company(tmp_path: Path, content: list[bytes]) -> None:
    lone = [part.replace(b"\n", b" ") for part in content]
    good = lone.count(json.dumps(GOOD).encode())
    path = table(tmp_path, b"\n".join([json.dumps(GOOD).encode(), *lone]), "m.jsonl")
    assert read(path).frame.height == good + 1
