"""Habits of writing are what a reader would count, in English, in Thai and in both."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_turns import turns_of

from twin_pipelines.features.language import detect_languages
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.persona.style.habits import HABITS
from twin_pipelines.persona.style.measure import (
    FEATURES,
    add_sums,
    add_up,
    begun,
    count_turns,
    matrix,
    values,
)
from twin_pipelines.persona.style.rules import is_manner, style_rules
from twin_pipelines.persona.style.table import StyleTally, background, style_rows, with_examples

Sessions = Callable[..., pl.DataFrame]


def habits(*texts: str, speaker: str = "sue") -> dict[str, float]:
    """Habits of Sue, who says each of the texts to Bob."""
    turns = turns_of([[("bob", "hm"), ("sue", text)] for text in texts])
    return measured(turns.with_columns(detect_languages(turns["text"])), speaker)


def measured(turns: pl.DataFrame, speaker: str = "sue") -> dict[str, float]:
    sums = add_up(count_turns(turns), ["speaker"])
    found = values(sums, ["speaker"], fewest=1).filter(pl.col("speaker") == speaker)
    return dict(found.select("feature", "value").iter_rows())


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("words_per_turn", "one two three", 3),
        ("words_per_turn", "วันนี้อากาศดี", 3),
        ("words_per_line", "one two\nthree four", 2),
        ("one_word_turns", "ok", 1),
        ("period_ends", "fine.\nfine..\nfine", 1 / 3),
        ("no_mark_ends", "fine\nวันนี้ดี\nfine!", 2 / 3),
        ("question_ends", "you?\nไปไหม？\nyes", 2 / 3),
        ("exclamation_ends", "yay!!\nyay", 0.5),
        ("ellipses", "well... ok… yes no", 50),
        ("repeated_marks", "what?!\nok!", 0.5),
        ("lower_starts", "hi there\nHello\nไปไหน", 0.5),
        ("lower_i", "i think I can", 0.5),
        ("shouting", "NOOO way man ok", 25),
        ("elongations", "sooo good มากกกก จริง", 50),
        ("elongations", "good see book 1000", 0),
        ("bare_contractions", "dont you don't", 0.5),
        ("repetition_marks", "ดีๆ", 50),
        ("laughter_haha", "hahaha yes", 1),
        ("laughter_haha", "that has hat", 0),
        ("laughter_lol", "looool", 1),
        ("laughter_555", "ตลกมาก 5555", 1),
        ("laughter_555", "it costs 5,555 baht", 0),
        ("emoji", "nice 😊👍🏽 👨‍👩‍👧", 3),
        ("emoji_ends", "nice 😊", 1),
        ("emoji_ends", "😊 nice", 0),
        ("emoji_alone", "😂😂", 1),
        ("emoji_runs", "yes 😂😂", 1),
        ("emoticons", "nice :) and ^^ ok", 2),
        ("emoticons", "see http://x.org/a:)b", 0),
        ("polite_endings", "ได้ครับ\nไม่ไปค่ะ 😊\nไม่รู้", 2 / 3),
        ("soft_endings", "ไปนะ\nไปแล้ว", 0.5),
        ("romanised_endings", "sawasdee krub", 1),
        ("mixed_turns", "ไป meeting กัน", 1),
        ("switches", "ไป meeting กัน", 2),
        ("thai_turns", "ไปกัน", 1),
        ("questions", "ไปไหม", 1),
        ("greetings", "สวัสดีครับ", 1),
        ("greetings", "Hey there", 1),
        ("greetings", "history is fun", 0),
        ("farewells", "ok bye!", 1),
        ("farewells", "ฝันดีนะ", 1),
        ("address", "dude are you ok", 25),
        ("hedges", "maybe i think so", 50),
        ("thanks", "ขอบคุณค่ะ", 1),
    ],
)
def test_a_habit_is_what_a_reader_would_count(name: str, text: str, value: float) -> None:
    assert habits(text)[name] == pytest.approx(value)


def test_links_are_nobodys_style() -> None:
    assert habits("see https://Example.org/?q=LOL!!! now")["words_per_turn"] == 2


def test_partner_delay_and_beginnings_come_from_the_session(sessions: Sessions) -> None:
    turns = sessions([[("bob", "hi"), ("sue", "hello"), ("sue", "you?"), ("eve", "me too")]])
    counts = count_turns(turns)
    assert counts["partner"].to_list() == ["sue", "bob", "bob", "sue"]
    assert counts["starts"].to_list() == [1, 0, 0, 0]
    assert counts["greetings"].to_list() == [1, 1, 0, 0]
    assert counts["closings"].to_list() == [1, 0, 1, 1]
    assert counts["answered"].to_list() == [0, 1, 0, 1]
    assert measured(turns)["reply_delay"] == pytest.approx(55)


def test_a_monologue_has_no_partner(sessions: Sessions) -> None:
    assert count_turns(sessions([[("sue", "note to self")]]))["partner"].to_list() == [""]


def test_an_answer_of_another_day_is_no_delay(sessions: Sessions) -> None:
    turns = sessions([[("bob", "hi"), ("sue", "sorry, was away")]])
    late = pl.when(pl.col("speaker") == "sue").then(timedelta(hours=5)).otherwise(timedelta())
    assert "reply_delay" not in measured(turns.with_columns(pl.col("sent_at") + late))


def test_function_words_count_among_words_of_their_own_language() -> None:
    turns = turns_of([[("sue", "the cat and the dog ไปกับแม่ " * 80)]])
    found = measured(turns)
    assert found["word:the"] == pytest.approx(40)
    assert found["word:กับ"] == pytest.approx(100 / 3, abs=1)
    assert "word:the" not in habits("the cat")  # too few words to say anything


def test_sums_of_parts_are_the_sums_of_the_whole(sessions: Sessions) -> None:
    parts = [sessions([[("bob", "hi"), ("sue", "hello there :)")], [("sue", "ok ok ok")]])]
    parts.append(sessions([[("bob", "hm"), ("sue", "ได้ค่ะ")]]))
    whole = add_up(pl.concat([count_turns(part) for part in parts]), ["speaker"])
    together = add_sums(
        pl.concat([add_up(count_turns(part), ["speaker", "period"]) for part in parts]), ["speaker"]
    )
    assert together.sort("speaker").equals(whole.sort("speaker"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=6))
def test_no_text_breaks_a_habit(texts: list[str]) -> None:
    turns = turns_of([[("sue", text) for text in texts]])
    sums = add_up(count_turns(turns), ["speaker"])
    found = values(sums, ["speaker"], fewest=1)
    assert set(found["feature"]) <= set(FEATURES)
    shares = found.join(
        pl.DataFrame({"feature": [one.name for one in HABITS if one.unit == "share of turns"]}),
        on="feature",
    )
    assert shares["value"].is_between(0, 1).all()
    assert matrix(sums)[0].shape == (1, len(FEATURES))


def test_each_session_is_counted_once_whatever_the_slices(sessions: Sessions) -> None:
    turns = sessions([[("sue", "a"), ("bob", "b")], [("sue", "c")]])
    night = turns.with_columns(
        day=pl.when(pl.col("place") == 1).then(turns["day"].max()).otherwise(pl.col("day"))
    )
    first, last = night["day"].min(), night["day"].max()
    assert begun(night, DayRange(first, first))["text"].to_list() == ["a", "b"]
    assert begun(night, DayRange(last, last))["text"].to_list() == ["c"]


def others(feature: str, *shown: float) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "speaker": [f"p{number}" for number in range(len(shown))],
            "feature": feature,
            "value": shown,
            "n": pl.Series([50] * len(shown), dtype=pl.Int32),
        }
    )


def talk(sessions: Sessions) -> pl.DataFrame:
    """Sue, who never ends a sentence and likes emoji, with Bob and with Eve, 30 turns each."""
    with_bob = [[("bob", "Well, I see."), ("sue", f"nice 😊 number {n}")] for n in range(30)]
    with_eve = [[("eve", "Indeed!"), ("sue", f"very nice number {n}")] for n in range(30)]
    return sessions([*with_bob, *with_eve])


def test_rows_compare_with_partners_and_with_other_people(sessions: Sessions) -> None:
    tally = StyleTally("sue")
    tally.add(talk(sessions))
    rows = style_rows(tally.sums(), others("no_mark_ends", 0.1, 0.2, 0.3, 0.2, 0.2), "sue")
    (whole,) = rows.filter(
        pl.col("feature") == "no_mark_ends", pl.col("partner") == "", pl.col("period") == ""
    ).iter_rows(named=True)
    assert whole["value"] == 1.0
    assert whole["background"] == pytest.approx(0.2)
    assert whole["distinction"] > 10
    assert whole["partner_value"] == 0.0
    emoji = rows.filter(pl.col("feature") == "emoji", pl.col("period") == "")
    assert dict(emoji.select("partner", "value").iter_rows()) == {"": 0.5, "bob": 1.0, "eve": 0.0}
    assert emoji["background"].null_count() == 3  # nobody to compare with
    assert set(rows["period"]) == {"", "2018-05", "2018-06"}


def test_too_few_other_people_say_nothing() -> None:
    assert background(others("emoji", 0.1, 0.2, 0.3)).is_empty()


def test_examples_show_the_habit_and_name_their_messages(sessions: Sessions) -> None:
    turns = talk(sessions)
    tally = StyleTally("sue")
    tally.add(turns)
    rows = style_rows(tally.sums(), others("emoji", 0.0, 0.1, 0.0, 0.1, 0.0), "sue")
    told = with_examples(rows, tally.examples(rows), turns.select("id", "text", "raw_ids"))
    shown = told.filter(pl.col("feature") == "emoji", pl.col("partner") == "bob")
    assert all("😊" in text for text in shown["examples"][0])
    assert len(shown["message_ids"][0]) == 3
    assert told.filter(pl.col("value") != 0)["message_ids"].list.len().min() >= 1


def test_a_habit_others_have_is_shown_by_turns_without_it(sessions: Sessions) -> None:
    turns = talk(sessions)
    tally = StyleTally("sue")
    tally.add(turns)
    rows = style_rows(tally.sums(), others("emoji", 2.0, 3.0, 2.0, 3.0, 2.0), "sue")
    chosen = tally.examples(rows).filter(
        pl.col("feature") == "emoji", pl.col("partner") == "", pl.col("period") == ""
    )
    texts = turns.join(chosen, left_on="id", right_on="turn")["text"]
    assert len(texts) == 3
    assert not texts.str.contains("😊").any()


def test_rules_say_each_thing_once_and_only_what_is_noticeable() -> None:
    def row(feature: str, value: float, others: float, distinction: float) -> dict[str, object]:
        return {
            "feature": feature,
            "value": value,
            "background": others,
            "distinction": distinction,
            "message_ids": ["m"],
        }

    rows = pl.DataFrame(
        [
            row("word:dont", 0.4, 0.1, 3.0),
            row("bare_contractions", 0.9, 0.1, 2.5),
            row("words_per_turn", 6.0, 11.0, -2.0),
            row("long_turns", 0.0, 0.1, -1.5),
            row("commas", 1.0, 1.1, -0.3),
            row("word:sorta", 0.02, 0.0, 4.0),
            row("word:ครับ", 8.0, 1.0, 1.2),
        ]
    )
    assert [rule.words for rule in style_rules(rows)] == [
        "leaves out apostrophes (dont, im) (90% of contractions; others 10%)",
        "writes short turns (6.00 words; others 11.0)",
        "often says “ครับ” (8.00 per 100 Thai words; others 1.00)",
    ]
    assert style_rules(rows.clear()) == []


def test_a_topic_is_no_manner_of_speaking() -> None:
    manner = [
        term for term in ("yep", "wouldn't", "ครับ", "😂", "country", "แมว") if is_manner(term)
    ]
    assert manner == ["yep", "wouldn't", "ครับ", "😂"]
