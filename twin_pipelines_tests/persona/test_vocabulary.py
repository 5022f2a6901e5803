"""Characteristic words, phrases and emoji: what somebody says more than others."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from made_turns import turns_of

from twin_pipelines.persona.style.vocabulary import (
    add_terms,
    characteristic,
    frequent_phrases,
    log_odds,
    others_terms,
    own_terms,
)


def said(speaker: str, *texts: str) -> pl.DataFrame:
    """Each text in a session of its own."""
    return turns_of([[(speaker, text)] for text in texts])


def told(own: pl.DataFrame, *others: pl.DataFrame) -> dict[str, set[str]]:
    terms = add_terms([own_terms(own)])
    phrases = frequent_phrases(terms)
    spoken = pl.concat([terms.filter(pl.col("kind") != "phrase"), phrases])
    rows = characteristic(spoken, pl.concat([others_terms(one, phrases) for one in others]))
    return {
        kind: set(rows.filter(pl.col("kind") == kind)["term"]) for kind in rows["kind"].unique()
    }


def test_log_odds_are_those_of_the_paper() -> None:
    """Computed by hand: 30 of 100 words against 10 of 100, prior of 100 words."""
    ratio, z = log_odds(np.array([30.0]), 100, np.array([10.0]), 100)
    assert ratio[0] == pytest.approx(np.log(50 / 150) - np.log(30 / 170))
    assert z[0] == pytest.approx(ratio[0] / np.sqrt(1 / 50 + 1 / 30))


def test_what_is_said_alike_is_not_characteristic() -> None:
    same = ["well the owl is here"] * 20
    assert told(said("sue", *same), said("bob", *same)) == {}


def test_words_phrases_and_emoji_stand_out_in_both_languages() -> None:
    own = said("sue", *["owls are way cool 😊"] * 20, *["แมวน่ารักนะคะ 555"] * 20)
    other = said("bob", *["dogs are very nice 👍"] * 20, *["หมาดุมากครับ"] * 20)
    found = told(own, other)
    assert {"owls", "cool", "แมว", "น่ารัก", "555"} <= found["word"]
    assert found["emoji"] == {"😊"}
    assert any("way cool" in phrase for phrase in found["phrase"])
    assert any(phrase.startswith("แมวน่ารัก") for phrase in found["phrase"])
    assert not {"are", "dogs"} & found["word"]


def test_one_evening_is_no_habit() -> None:
    once = turns_of([[("sue", "owls owls owls owls owls owls")]])
    usual = said("sue", *["well i see"] * 20)
    found = told(pl.concat([once, usual]), said("bob", *["well i know"] * 30))
    assert "owls" not in found.get("word", set())


def test_a_common_word_the_subject_never_writes_is_told() -> None:
    own = said("sue", *["i dont know about that"] * 40)
    others = [said(f"p{n}", *["i don't know about that lol"] * 10) for n in range(4)]
    assert {"don't", "lol"} <= told(own, *others)["never"]


def test_a_word_of_one_other_person_is_not_missed() -> None:
    own = said("sue", *["i know about that"] * 40)
    others = [said(f"p{n}", *["i know about that"] * 10) for n in range(9)]
    others.append(said("fan", *["i know about pokemon"] * 40))
    assert "pokemon" not in told(own, *others).get("never", set())


def test_nothing_is_said_of_a_language_nobody_else_writes() -> None:
    assert told(said("sue", *["แมวน่ารัก"] * 30), said("bob", *["cats are nice"] * 30)) == {}


def test_a_fragment_of_a_longer_phrase_is_left_out() -> None:
    own = said("sue", *["what kinds of things do you like"] * 10, *["red", "blue"] * 30)
    phrases = frequent_phrases(add_terms([own_terms(own)]))["term"].to_list()
    assert all(len(phrase.split()) >= 6 for phrase in phrases)


def test_phrases_do_not_cross_marks_or_lines() -> None:
    terms = own_terms(said("sue", "owls, cats\ndogs. foxes"))
    assert terms.filter(pl.col("kind") == "phrase").is_empty()


def test_a_term_names_the_very_message_that_holds_it() -> None:
    turn = turns_of([[("sue", "first owls\nthen cats")]])
    ids = ["00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"]
    terms = own_terms(turn.with_columns(raw_ids=pl.lit(ids)))
    found = dict(terms.select("term", "message_ids").iter_rows())
    assert found["owls"] == ids[:1]
    assert found["cats"] == ids[1:]


def test_parts_of_a_history_add_up() -> None:
    parts = [said("sue", "owls are here", "owls"), said("sue", "owls too")]
    added = add_terms([own_terms(part) for part in parts])
    (owls,) = added.filter(pl.col("term") == "owls").iter_rows(named=True)
    assert (owls["uses"], owls["sessions"]) == (3, 3)
    assert add_terms([]).is_empty()
