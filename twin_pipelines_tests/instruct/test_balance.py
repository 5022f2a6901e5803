"""Near-identical replies are capped, and a smaller train still covers what there is."""

from __future__ import annotations

import polars as pl
import pytest
from test_dataset_split import frame, history, pair, unlike

from twin_pipelines.foundation.budget import estimated_tokens
from twin_pipelines.instruct import dataset as rules
from twin_pipelines.instruct import rehearsal
from twin_pipelines.instruct.balance import FACETS, coverage, stratified, with_facets
from twin_pipelines.instruct.dataset import draft_dataset
from twin_pipelines.instruct.echoes import reply_key
from twin_pipelines.instruct.topics import NO_TOPIC
from twin_pipelines.settings import Dataset

SUBJECTS = {
    name: [f"{name}{letter}" for letter in "abcdefghijklmnopqrstuvwx"]
    for name in ("food", "work", "music")
}


def key(text: str) -> str:
    return reply_key(pl.Series([text]))[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("haha", "HAHAHAHA!!! 😂😂"),
        ("haha", "ahahaha"),
        ("lol", "loool"),
        ("ok", "okkkk..."),
        ("so good", "sooo gooood"),
        ("no no no", "No."),
        ("yes haha", "hahaha yes"),
        ("ค่ะ", "ค่ะะะ 😊"),
        ("มากๆ", "มากกก"),
        ("5555", "555555+"),
    ],
)
def test_replies_that_differ_in_drawl_laughter_emoji_or_order_are_one(one: str, other: str) -> None:
    assert key(one) == key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("yes", "no"),
        ("ค่ะ", "ครับ"),
        ("at 10", "at 100"),
        ("he said so", "haha said so"),
        ("you are not what i am", "i am not what you are"),
    ],
)
def test_replies_that_say_different_things_stay_apart(one: str, other: str) -> None:
    assert key(one) != key(other)


def test_the_cap_counts_near_identical_replies_and_spares_validation_and_test() -> None:
    rows = history()
    said = ("oh no", "Oh no!!", "ohh nooo", "oh no 😢", "Oh... no?")
    for n, text in enumerate(said):
        rows[n] = {**rows[n], "reply": text}
        rows[-1 - n] = {**rows[-1 - n], "reply": text}
    draft = draft_dataset(frame(rows), Dataset(max_same_reply=2))
    assert draft.purged == {rules.COMMON_REPLY: 3}
    assert set(draft.left_out["split"]) == {"train"}


def talkative() -> pl.DataFrame:
    """600 pairs: much about food, little about work and music; one partner writes most."""
    rows = []
    for n in range(600):
        name = "food" if n % 10 < 7 else "work" if n % 10 < 9 else "music"
        words = [SUBJECTS[name][(n * step) % 24] for step in (1, 5, 7, 11)]
        asked = f"{words[0]} {words[1]} {unlike(f'ask {n}')[:6]}"
        said = f"{words[2]} {words[3]} {unlike(f'tell {n}')[:6]}"
        partner = "partner-rare" if n % 50 == 0 else "partner-usual"
        rows.append({**pair(n // 10, 60 * (n // 10) + n % 10, asked, said), "partner": partner})
    return frame(rows)


def test_topics_part_what_is_talked_about() -> None:
    about = pl.col("input").str.extract("^(food|work|music)").alias("about")
    faceted = with_facets(talkative()).with_columns(about)
    assert NO_TOPIC not in faceted["topic"]
    common = pl.col("about") == pl.col("about").mode().first().over("topic")
    assert faceted.select(common.mean()).item() > 0.8
    assert with_facets(talkative().head(20))["topic"].unique().to_list() == [NO_TOPIC]


def test_a_smaller_choice_keeps_rare_topics_and_partners_and_is_the_same_each_time() -> None:
    faceted = with_facets(talkative())
    chosen = stratified(faceted, 240)
    assert len(set(chosen)) == 240
    assert stratified(faceted.sample(fraction=1, shuffle=True, seed=2), 240) == chosen
    counted = coverage(faceted, faceted.filter(pl.col("id").is_in(chosen)))
    assert set(counted["facet"]) == set(FACETS)
    assert counted["taken"].min() > 0
    shares = counted.with_columns(share=pl.col("taken") / pl.col("offered"))
    rare = shares.filter(pl.col("value") == "partner-rare")["share"].item()
    usual = shares.filter(pl.col("value") == "partner-usual")["share"].item()
    assert rare > usual


def test_the_limit_shrinks_train_alone_and_only_when_it_is_set() -> None:
    whole = draft_dataset(talkative(), Dataset())
    small = draft_dataset(talkative(), Dataset(max_train=200))
    assert small.count("train") == 200
    assert whole.count("train") > 400
    for split in ("validation", "test"):
        assert small.count(split) == whole.count(split)
    assert small.purged[rules.TOO_MANY] == whole.count("train") - 200


def test_rehearsal_is_marked_counted_nowhere_and_repeats_no_later_split(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draft = draft_dataset(frame(history()), Dataset())
    test = draft.pairs.filter(pl.col("split") == "test").row(0, named=True)
    strangers = [
        ([{"role": "user", "content": unlike(f"hm {n}")}], unlike(f"well {n}")) for n in range(40)
    ]
    strangers.insert(0, ([{"role": "user", "content": test["input"]}], test["reply"]))
    monkeypatch.setattr(rehearsal, "background_exchanges", lambda n, exclude: strangers[:n])
    rows = rehearsal.rehearsal_rows(draft, Dataset(rehearsal_share=0.25), "sue")
    assert len(rows) == round(0.25 * draft.count("train"))
    assert all(row["rehearsal"] and not row["canary"] for row in rows)
    assert test["reply"] not in {row["completion"][0]["content"] for row in rows}
    assert {row["prompt"][0]["role"] for row in rows} == {"user"}
    assert rehearsal.rehearsal_rows(draft, Dataset(), "sue") == []


def test_the_budget_is_the_same_for_parts_and_whole_and_dearer_for_thai() -> None:
    assert estimated_tokens("abc def") == pytest.approx(
        estimated_tokens("abc ") + estimated_tokens("def")
    )
    assert estimated_tokens("กินข้าว") == 7
    assert estimated_tokens("gin kao") < 3
