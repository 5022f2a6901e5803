"""What is preferred is real, what is turned down differs, and all of it is of train."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import psycopg
import pytest
from rich.console import Console
from test_dataset_split import history, unlike
from test_instruct_assets import chats, error_of, make_pairs, materialise, verdicts
from tiny_model import build_tiny_model

from twin_pipelines.commands.dataset import answer_by_base
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.instruct import assets, checks, preference_store
from twin_pipelines.instruct.assets import instruct_dataset, preference_pairs
from twin_pipelines.instruct.formal import OPENINGS, formal_rewrite
from twin_pipelines.instruct.leaks import read_splits
from twin_pipelines.instruct.preference_store import (
    add_correction,
    corrections,
    judged_answers,
)
from twin_pipelines.instruct.preferences import (
    Correction,
    load_preferences,
    preference_rows,
    read_base_replies,
    read_preferences,
    write_base_replies,
    write_preferences,
)
from twin_pipelines.instruct.store import latest_dataset
from twin_pipelines.instruct.strangers import MOST_USES, nearest_replies
from twin_pipelines.settings import TwinError, TwinSettings, load_settings

CHECKS = [
    checks.preferences_differ,
    checks.preferences_are_of_train,
    checks.preferences_load,
]
STRANGERS = [
    ([{"role": "user", "content": "do you like noodles"}], "yes noodles every day"),
    ([{"role": "user", "content": "how is work"}], "busy as always, write me at x@example.org"),
    ([{"role": "user", "content": "any music tonight"}], "a concert maybe"),
]


def rows_of(split: str, count: int) -> list[dict[str, Any]]:
    return [
        {
            "pair_id": f"{split} {n}",
            "prompt": [{"role": "user", "content": row["input"]}],
            "completion": [{"role": "assistant", "content": row["reply"]}],
            "session_id": f"session {split} {n}",
            "replied_at": f"2018-05-01T{n:02d}:00:00+00:00",
            "quality": 5.0,
        }
        for n, row in enumerate(history(count, 1))
    ]


SPLITS: dict[str, list[dict[str, Any]]] = {
    "train": rows_of("train", 6),
    "validation": [],
    "test": [
        {
            **rows_of("test", 1)[0],
            "prompt": [{"role": "user", "content": "where will you be"}],
            "completion": [{"role": "assistant", "content": "at the old temple by the river"}],
        }
    ],
}


def correction(number: int, chosen: str) -> Correction:
    prompt = [{"role": "user", "content": f"question {number}?"}]
    return Correction(str(number), prompt, "As an AI I cannot say.", chosen)


def test_corrections_come_first_then_each_pair_of_train_once() -> None:
    base = {"train 2": "I am a helpful assistant."}
    rows = preference_rows(SPLITS, [correction(1, "no idea lol")], base, STRANGERS, 0.8)
    assert [row["kind"] for row in rows] == [
        "correction",
        "other_person",
        "style",
        "base",
        "style",
        "other_person",
        "style",
    ]
    assert [row["id"] for row in rows[1:]] == [row["pair_id"] for row in SPLITS["train"]]
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "no idea lol"}]
    assert rows[3]["rejected"] == [{"role": "assistant", "content": "I am a helpful assistant."}]
    assert all(row["chosen"] != row["rejected"] for row in rows)
    assert "x@example.org" not in json.dumps(rows)


def test_a_correction_that_repeats_what_test_asks_is_left_out() -> None:
    told = [correction(1, "At the old temple, by the river!"), correction(2, "nowhere")]
    rows = preference_rows(SPLITS, told, {}, [], 0.8)
    assert [row["id"] for row in rows if row["kind"] == "correction"] == ["2"]


def test_a_correction_made_on_a_chat_of_test_is_left_out_whatever_it_says() -> None:
    asked = [part for part in SPLITS["test"][0]["prompt"] if part["role"] != "system"]
    told = [Correction("on test", asked, "As an AI I cannot say.", "quite other words")]
    assert "correction" not in {row["kind"] for row in preference_rows(SPLITS, told, {}, [], 0.8)}


def test_rehearsal_is_nobodys_preference_and_a_base_that_agrees_is_passed_over() -> None:
    train = [*SPLITS["train"][:2], {**SPLITS["train"][2], "rehearsal": True}]
    real = train[1]["completion"][0]["content"]
    rows = preference_rows({**SPLITS, "train": train}, [], {"train 1": f"{real}!"}, [], 0.8)
    assert [row["kind"] for row in rows] == ["style", "style"]


def test_another_person_answers_something_alike_and_not_always_the_same() -> None:
    asked = ["you like noodles?", "noodles?", "what about noodles", "noodles now", "music tonight?"]
    near = nearest_replies(asked, ["sure do"] * 5, STRANGERS)
    assert near[4] == "a concert maybe"
    assert near[:3] == ["yes noodles every day"] * MOST_USES
    assert near[3] not in (None, near[0])
    assert nearest_replies(asked, asked, []) == [None] * 5


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ("yeah i dont know sooo tired 😴", "Yes I do not know so tired."),
        ("hahaha omg\nit's cool!!", "Oh. It is very good."),
        ("u gonna come?? :)", "You going to come??"),
        ("ไปค่ะ 555", "ไป"),
        ("we haven't, it isn't open...", "We have not, it is not open."),
    ],
)
def test_a_rewrite_says_the_same_in_an_assistants_manner(reply: str, told: str) -> None:
    written = formal_rewrite(reply)
    assert written.endswith(told)
    assert written == formal_rewrite(reply)


def test_a_reply_that_is_formal_already_still_gets_an_opening() -> None:
    for reply in ("I will be there at noon.", "Yes.", "What is the name of it?"):
        assert formal_rewrite(reply) != reply
        assert formal_rewrite(reply).startswith(OPENINGS)


@pytest.mark.parametrize("reply", ["😂😂", "haha", "?", "ครับ"])
def test_a_rewrite_is_never_empty(reply: str) -> None:
    assert formal_rewrite(reply).strip()


def test_base_replies_are_kept_for_pairs_of_train_only(tmp_path: Path) -> None:
    for split, rows in SPLITS.items():
        lines = [json.dumps(row) for row in rows]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines) + "\n" if lines else "")
    assert read_base_replies(tmp_path) == {}
    write_base_replies(tmp_path, "base", {"train 1": "hello", "train 2": "hi"})
    write_base_replies(tmp_path, "base", {"train 2": "good day"})
    assert read_base_replies(tmp_path) == {"train 1": "hello", "train 2": "good day"}
    with pytest.raises(TwinError, match="not in the train split"):
        write_base_replies(tmp_path, "base", {"test 0": "hello"})


def test_the_file_is_what_preference_trainers_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from trl.data_utils import is_conversational

    rows = preference_rows(SPLITS, [correction(1, "no idea lol")], {}, STRANGERS, 0.8)
    write_preferences(tmp_path, rows)
    assert read_preferences(tmp_path) == rows
    loaded = load_preferences(tmp_path)
    assert loaded.num_rows == len(rows)
    assert is_conversational(loaded[0])
    assert loaded[0]["chosen"] == rows[0]["chosen"]
    with pytest.raises(TwinError, match="materialise preference_pairs"):
        load_preferences(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("prompt", "rejected", "chosen"),
    [
        ([{"role": "user", "content": "hi"}], "hello", " hello "),
        ([{"role": "user", "content": "hi"}], "hello", " "),
        ([{"role": "assistant", "content": "hi"}], "hello", "yo"),
        ([], "hello", "yo"),
    ],
)
def test_what_corrects_nothing_is_refused_in_words(
    connection: psycopg.Connection, prompt: list, rejected: str, chosen: str
) -> None:
    with pytest.raises(TwinError, match="A correction needs"):
        add_correction(
            connection, prompt=prompt, rejected=rejected, chosen=chosen, made_by="a test"
        )
    assert corrections(connection) == []


@pytest.fixture
def dataset_folder(
    twin_home: TwinSettings,
    connection: psycopg.Connection,
    talk: Callable[..., pl.DataFrame],
    land: Callable[[psycopg.Connection, pl.DataFrame], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    strangers = [
        ([{"role": "user", "content": unlike(f"a{n}")}], unlike(f"b{n}")) for n in range(9)
    ]
    monkeypatch.setattr(assets, "background_exchanges", lambda n, exclude: strangers)
    land(connection, chats(talk))
    make_pairs()
    assert materialise([instruct_dataset]).success
    connection.rollback()
    dataset = latest_dataset(connection)
    assert dataset is not None
    return twin_home.home / dataset.path


def test_the_asset_writes_beside_the_dataset_and_a_correction_joins_at_the_next_run(
    dataset_folder: Path, connection: psycopg.Connection
) -> None:
    result = materialise([preference_pairs, *CHECKS])
    assert result.success
    assert verdicts(result) == dict.fromkeys((check.check_key.name for check in CHECKS), True)
    train = len(read_splits(dataset_folder)["train"])
    version = dataset_folder.name
    assert sum(preference_store.preference_counts(connection, version).values()) == train
    add_correction(
        connection,
        prompt=[{"role": "user", "content": "tea?"}],
        rejected="I do not drink.",
        chosen="always",
        made_by="a test",
    )
    connection.commit()
    assert materialise([preference_pairs, *CHECKS]).success
    connection.rollback()
    assert preference_store.preference_counts(connection, version)["correction"] == 1
    assert read_preferences(dataset_folder)[0]["kind"] == "correction"
    assert checks.nothing_leaks(TwinResource()).passed


def say(connection: psycopg.Connection, asked: str, answer: str, thumb: int | None, **chat: bool):
    """A chat of its own in which the twin was asked this and answered that; its identity."""
    prompt = json.dumps([{"role": "user", "content": asked}])
    row = connection.execute(
        "insert into chats (chat_id, consented, partner) "
        "values (gen_random_uuid(), %s, 'david') returning chat_id::text",
        [chat.get("consented", True)],
    ).fetchone()
    assert row
    connection.execute(
        "insert into chat_turns (chat_id, place, role, content, prompt, thumb) "
        "values (%(chat)s, 0, 'user', %(asked)s, null, null), "
        "       (%(chat)s, 1, 'assistant', %(answer)s, %(prompt)s, %(thumb)s)",
        {"chat": row[0], "asked": asked, "answer": answer, "prompt": prompt, "thumb": thumb},
    )
    connection.commit()
    return row[0]


def test_a_disliked_answer_is_turned_down_for_the_one_that_was_liked_to_the_same_message(
    dataset_folder: Path, connection: psycopg.Connection
) -> None:
    bad = say(connection, "ชอบแมวไหม?", "As an AI I have no pets.", -1)
    good = say(connection, "ชอบแมวไหม", "ชอบมากค่ะ มีสองตัว", 1)
    say(connection, "ชอบแมวไหม", "เคยชอบค่ะ", None)
    say(connection, "do you like dogs", "hate them", -1)
    assert materialise([preference_pairs, *CHECKS]).success
    connection.rollback()
    (row,) = [row for row in read_preferences(dataset_folder) if row["kind"] == "thumbs"]
    assert row["chosen"][0]["content"] == "ชอบมากค่ะ มีสองตัว"
    assert row["rejected"][0]["content"] == "As an AI I have no pets."
    assert row["prompt"][-1]["content"] == "ชอบแมวไหม?", "what was said first"
    (lineage,) = connection.execute(
        "select liked_chat::text, liked_place, disliked_chat::text, disliked_place "
        "from preference_pairs where kind = 'thumbs'"
    ).fetchall()
    assert lineage == (good, 1, bad, 1)


def test_thumbs_of_a_chat_that_may_not_be_learnt_from_teach_nothing(
    connection: psycopg.Connection,
) -> None:
    say(connection, "tea?", "As an AI I do not drink.", -1, consented=False)
    say(connection, "tea?", "always", 1)
    assert judged_answers(connection) == []


def test_faults_in_the_file_are_caught_by_name(
    dataset_folder: Path, connection: psycopg.Connection
) -> None:
    materialise([preference_pairs])
    rows = read_preferences(dataset_folder)
    write_preferences(dataset_folder, [{**rows[0], "rejected": rows[0]["chosen"]}, *rows[1:]])
    assert "prefer what they turn down" in checks.preferences_differ(TwinResource()).description
    test = read_splits(dataset_folder)["test"][0]
    stolen = {**rows[0], "id": test["pair_id"], "chosen": test["completion"]}
    write_preferences(dataset_folder, [stolen, *rows])
    told = checks.preferences_are_of_train(TwinResource())
    assert not told.passed
    assert told.severity == dg.AssetCheckSeverity.ERROR
    for fault in ("nearly equal replies", "neither of train nor the owner's", "the database"):
        assert fault in told.description
    write_preferences(dataset_folder, [{"prompt": rows[0]["prompt"], "kind": "style"}])
    assert not checks.preferences_load(TwinResource()).passed


def test_the_base_answers_pairs_of_train_and_its_replies_are_turned_down(
    dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = build_tiny_model(tmp_path / "tiny")
    monkeypatch.setenv("TWIN_TRAINING__BASE_MODEL", str(base))
    monkeypatch.setenv("TWIN_EVALUATION__MAX_NEW_TOKENS", "8")
    load_settings.cache_clear()
    for _ in range(2):
        answer_by_base(load_settings(), 3, Console(quiet=True))
    answered = read_base_replies(dataset_folder)
    train = {row["pair_id"] for row in read_splits(dataset_folder)["train"]}
    assert len(answered) == 6
    assert set(answered) <= train
    assert materialise([preference_pairs, *CHECKS]).success
    turned_down = [row for row in read_preferences(dataset_folder) if row["kind"] == "base"]
    said = {row["id"]: row["rejected"][0]["content"] for row in turned_down}
    assert said == {pair: text for pair, text in answered.items() if text.strip()}


def test_without_a_dataset_the_failure_says_what_to_do(twin_home: TwinSettings) -> None:
    assert "materialise instruct_dataset" in error_of(materialise([preference_pairs]))
