"""What the owner never wants to hear, or wants forgotten, is not taught; it is turned down."""

from __future__ import annotations

import psycopg
from test_preferences import SPLITS, STRANGERS, correction

from twin_pipelines.instruct.left_out import NEVER_SAY, without_never_says
from twin_pipelines.instruct.pairs import PAIR_SCHEMA
from twin_pipelines.instruct.preferences import ROWS_A_PHRASE, preference_rows
from twin_pipelines.instruct.store import load_pairs


def test_some_replies_are_turned_down_with_the_phrase_added() -> None:
    rows = preference_rows(SPLITS, [], {}, STRANGERS, 0.8, never=["as an AI", "เอไอ"])
    never = [row for row in rows if row["kind"] == "never"]
    assert len(never) == len(SPLITS["train"]) < 2 * ROWS_A_PHRASE
    for row in never:
        chosen, rejected = row["chosen"][0]["content"], row["rejected"][0]["content"]
        assert rejected in (f"{chosen} as an AI", f"{chosen} เอไอ")
    assert len({row["id"] for row in rows}) == len(rows)


def test_no_reply_that_holds_one_is_preferred() -> None:
    said = SPLITS["train"][0]["completion"][0]["content"]
    word = said.split()[0]
    rows = preference_rows(
        SPLITS, [correction(1, f"well {word}")], {}, STRANGERS, 0.8, never=[word]
    )
    assert rows
    assert not any(word in row["chosen"][0]["content"].split() for row in rows)


def test_pairs_whose_reply_holds_one_are_left_out_with_the_reason(
    connection: psycopg.Connection,
) -> None:
    for number, reply in enumerate(["oh darling yes", "plain words", "ที่รักจ๋า"]):
        connection.execute(
            "insert into instruct_pairs select gen_random_uuid(), '2018-05-01', 'made', 'c', "
            "gen_random_uuid(), 'p', '2018-05-01T12:00Z'::timestamptz + %s * interval '1 hour', "
            "'[]', 'hi', %s, 'en', 5, '{}', null, array[md5(%s)::uuid]",
            (number, reply, str(number)),
        )
    pairs = load_pairs(connection)
    kept, barred = without_never_says(pairs, ["darling", "ที่รัก"])
    assert kept["reply"].to_list() == ["plain words"]
    assert set(barred["excluded"]) == {NEVER_SAY}
    assert kept.schema == barred.schema == pairs.schema == dict(PAIR_SCHEMA)
    assert without_never_says(pairs, [])[1].is_empty()
    connection.execute(
        "insert into forgotten (hidden_ids, words) values (array[md5('1')::uuid], 'plain words')"
    )
    assert "plain words" not in load_pairs(connection)["reply"].to_list()
