"""A second opinion moves the scores of doubtful pairs of train, and nothing when nobody answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from test_thresholds import scored

from twin_pipelines.instruct.dataset import draft_dataset
from twin_pipelines.instruct.quality import QUALITY_PARTS
from twin_pipelines.instruct.refine import DOUBTFUL, RECORD, Refinement, parsed_rating
from twin_pipelines.settings import Dataset, TwinError

BEST = dict.fromkeys(QUALITY_PARTS, 2)


class Judge:
    """An endpoint that always gives one answer, or none, and counts what it was asked."""

    model = "judge"
    parallel = 2

    def __init__(self, answer: str | None) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def complete(self, messages: list[dict[str, str]], **options: Any) -> str:
        self.asked.append(messages[-1]["content"])
        if self.answer is None:
            raise TwinError("No model answers.")
        return self.answer


def train() -> pl.DataFrame:
    return scored({}).with_columns(split=pl.lit("train"))


def test_doubtful_pairs_get_the_mean_of_both_opinions_and_the_others_stay(tmp_path: Path) -> None:
    judge = Judge(f"Sure: {json.dumps(BEST)}")
    refine = Refinement(judge, tmp_path)
    before = train()
    after = refine(before)
    doubtful = int(DOUBTFUL * before.height)
    assert (refine.rated, refine.unrated, len(judge.asked)) == (doubtful, 0, doubtful)
    moved = before.join(after, on="id").filter(pl.col("quality") != pl.col("quality_right"))
    assert moved.height == doubtful
    assert moved["quality_right"].to_list() == [7.5] * doubtful  # parts of 1 and 2: 1.5 each
    assert after["id"].to_list() == before["id"].to_list()
    assert after.schema == before.schema


def test_no_question_is_asked_twice_and_no_text_is_kept(tmp_path: Path) -> None:
    judge = Judge(json.dumps(BEST))
    first = Refinement(judge, tmp_path)(train())
    asked = len(judge.asked)
    assert Refinement(judge, tmp_path)(train()).equals(first)
    assert len(judge.asked) == asked
    assert judge.asked[0].split("REPLY: ")[1] not in (tmp_path / RECORD).read_text()


@pytest.mark.parametrize("answer", [None, "no idea", '{"relevance": 9}', "{broken"])
def test_an_endpoint_without_a_usable_answer_changes_nothing_and_is_counted(
    tmp_path: Path, answer: str | None
) -> None:
    refine = Refinement(Judge(answer), tmp_path)
    assert refine(train()).equals(train())
    assert (refine.rated, refine.unrated) == (0, int(DOUBTFUL * train().height))


def test_validation_and_test_are_never_shown_to_it(tmp_path: Path) -> None:
    judge = Judge(json.dumps(BEST))
    draft = draft_dataset(scored({}), Dataset(), Refinement(judge, tmp_path))
    plain = draft_dataset(scored({}), Dataset())
    shown = "\n".join(judge.asked)
    later = draft.pairs.filter(pl.col("split") != "train")
    assert judge.asked
    assert not [reply for reply in later["reply"] if reply in shown]
    assert later.equals(plain.pairs.filter(pl.col("split") != "train"))


def test_only_five_parts_between_0_and_2_are_a_rating() -> None:
    assert parsed_rating(json.dumps(BEST)) == dict.fromkeys(QUALITY_PARTS, 2.0)
    assert parsed_rating(json.dumps({**BEST, "flow": True})) is None
    assert parsed_rating(json.dumps({**BEST, "flow": -1})) is None
    assert parsed_rating("[1, 2]") is None
