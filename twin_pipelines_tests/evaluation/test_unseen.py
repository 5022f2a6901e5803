"""A leak planted anywhere must stop the figure, and the sentence must say where it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from twin_pipelines.evaluation.frozen import freeze
from twin_pipelines.evaluation.leaks import refuse_leaks
from twin_pipelines.evaluation.style.consistency import StyleTexts, measure
from twin_pipelines.evaluation.unseen import FittedOn, SeenError
from twin_pipelines.instruct.thresholds import ROWS_FILE
from twin_pipelines.settings import TwinError


def row(number: int, **more: Any) -> dict[str, Any]:
    return {
        "pair_id": f"pair-{number}",
        "prompt": [{"role": "user", "content": f"what did you do on day number {number}"}],
        "completion": [{"role": "assistant", "content": f"i went to place {number}"}],
        "session_id": f"session-{number}",
        **more,
    }


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Ten test rows, and other rows in train and validation."""
    write(tmp_path, "test", [row(number) for number in range(10)])
    write(tmp_path, "train", [row(number) for number in range(100, 120)])
    write(tmp_path, "validation", [row(number) for number in range(200, 204)])
    return tmp_path


def write(folder: Path, split: str, rows: list[dict[str, Any]]) -> None:
    (folder / f"{split}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))


def frozen(folder: Path, **more: Any) -> set[str]:
    chosen = freeze(folder, "v", replies=10, ranked=10, **more)
    return {one.pair_id for one in chosen.exchanges}


def test_a_clean_dataset_is_frozen(dataset: Path) -> None:
    assert len(frozen(dataset)) == 10


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize(
    ("planted", "found"),
    [
        (row(3), "1 pairs .* in the {split} split"),
        (row(3, pair_id="new"), "1 sessions .* in the {split} split"),
        (row(3, pair_id="new", session_id="new"), "1 whole exchanges .* in the {split} split"),
    ],
)
def test_a_test_row_planted_among_what_is_learnt_is_refused(
    dataset: Path, split: str, planted: dict[str, Any], found: str
) -> None:
    rows = [json.loads(line) for line in (dataset / f"{split}.jsonl").open()]
    write(dataset, split, [*rows, planted])
    with pytest.raises(SeenError, match=found.format(split=split)):
        frozen(dataset)


def test_a_threshold_computed_on_test_rows_is_refused(dataset: Path) -> None:
    rows = pl.DataFrame({"pair_id": ["pair-100"], "session_id": ["session-100"]})
    rows.write_parquet(dataset / ROWS_FILE)
    assert len(frozen(dataset)) == 10
    rows = pl.DataFrame({"pair_id": ["pair-100", "pair-4"], "session_id": ["s", "s"]})
    rows.write_parquet(dataset / ROWS_FILE)
    with pytest.raises(SeenError, match="rows its thresholds come from"):
        frozen(dataset)


def test_a_test_pair_among_the_preferences_is_refused(dataset: Path) -> None:
    def preferred(number: int, name: str) -> dict[str, Any]:
        made = row(number)
        return {"id": name, "prompt": made["prompt"], "chosen": made["completion"]}

    write(dataset, "preferences", [preferred(100, "pair-100")])
    assert len(frozen(dataset)) == 10
    write(dataset, "preferences", [preferred(100, "pair-5")])
    with pytest.raises(SeenError, match=r"1 pairs .* in the preference pairs"):
        frozen(dataset)
    write(dataset, "preferences", [preferred(5, "a correction")])
    with pytest.raises(SeenError, match=r"1 whole exchanges .* in the preference pairs"):
        frozen(dataset)


def test_what_a_training_recorded_as_read_is_refused(dataset: Path, tmp_path: Path) -> None:
    weights = tmp_path / "a1" / "adapter"
    weights.mkdir(parents=True)
    assert len(frozen(dataset, adapter=weights)) == 10
    record = weights.parent / "training.json"
    record.write_text(json.dumps({"learnt": {"pairs": ["pair-100"], "sessions": ["session-7"]}}))
    with pytest.raises(SeenError, match=r"1 sessions .* training of a1 read"):
        frozen(dataset, adapter=weights)


def test_what_the_champion_knows_is_left_out(dataset: Path) -> None:
    assert frozen(dataset) - frozen(dataset, barred=["session-1", "session-2"]) == {
        "pair-1",
        "pair-2",
    }
    with pytest.raises(TwinError, match="import newer history"):
        frozen(dataset, barred=[f"session-{number}" for number in range(10)])


def test_an_unclean_comparison_of_messages_is_refused() -> None:
    clean = {"sessions": 0, "messages": 0, "exchanges": 0, "words": "clean"}
    refuse_leaks(clean)
    with pytest.raises(SeenError, match="2 messages"):
        refuse_leaks({**clean, "messages": 2, "words": "2 messages"})


def test_a_verifier_refuses_the_texts_it_was_fitted_on() -> None:
    said = [f"well today i saw {number} ducks in the park" for number in range(80)]
    own, other = said[:40], [f"Certainly, here is item {number}." for number in range(80)]
    texts = StyleTexts(
        subject=own,
        people={"a": other},
        ai=[f"As a model I can say {number} things" for number in range(80)],
        unseen={"b": other[:20]},
        human=own[:20],
        twin=said[40:60],
        base=other[:20],
        prompted=other[20:40],
    )
    with pytest.raises(SeenError, match="fitted on 20 of the 20 longer texts"):
        measure(texts, window_words=30, times=50, seed=1)


def test_what_people_say_again_by_chance_is_no_leak() -> None:
    learnt = FittedOn.of("The rater", [f"this is what i said on day {day}" for day in range(50)])
    new = [f"and this is what i say on day {day}" for day in range(60)]
    learnt.refuse(["ok", "haha", *new, "This is what I said  on day 3"], "new replies")
    assert (
        learnt.fingerprint
        == FittedOn.of(
            "x", sorted(f"this is what i said on day {day}" for day in range(50))
        ).fingerprint
    )
    with pytest.raises(SeenError, match="The rater was fitted on"):
        learnt.refuse([f"this is what i said on day {day}" for day in range(9)], "new replies")
