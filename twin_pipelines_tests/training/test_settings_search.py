"""The search for better training settings: its budget, and what it must never look at."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from twin_pipelines.settings import Search, TwinError
from twin_pipelines.training import search as room
from twin_pipelines.training.config import TrainConfig
from twin_pipelines.training.fine_tune import fine_tune
from twin_pipelines.training.search import (
    TUNED,
    Trial,
    candidates,
    rounds,
    search,
    search_id,
    toml_lines,
    without_test,
)

Configure = Callable[..., TrainConfig]
BEST_RATE = 3e-3
opened: list[str] = []


def _note_opened(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str | Path):
        opened.append(str(arguments[0]))


sys.addaudithook(_note_opened)


def really_train(config: TrainConfig) -> dict[str, Any]:
    return fine_tune(config, lambda _: None)


def pretend(config: TrainConfig) -> dict[str, Any]:
    """A loss that is least at BEST_RATE, falls with steps, and forgives a higher rank."""
    off = abs(config.learning_rate - BEST_RATE) / BEST_RATE
    loss = 3 + off + 10 / config.max_steps - config.lora_rank / 1_000
    return {"validation_loss_end": loss, "stopped": "steps"}


def quiet(_: Trial) -> None:
    """Trials nobody reads."""


def test_real_trainings_are_compared_without_any_look_at_the_test_split(
    config_of: Configure, tmp_path: Path
) -> None:
    base = config_of(max_steps=30, learning_rate=1e-4, save_steps=30, max_tokens=96)
    opened.clear()
    told: list[Trial] = []
    found = search(base, Search(trials=3, max_minutes=5), tmp_path / "s", really_train, told.append)
    assert not [path for path in opened if "test.jsonl" in path]
    assert [path for path in opened if "validation.jsonl" in path]
    assert found.improved and found.best["learning_rate"] > 1e-4  # 1e-4 is far too low here
    assert {trial.steps for trial in told} == {10, 30}
    assert told == found.trials and found.stopped == "done"
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"dataset", "search.json"}


def test_a_dataset_that_has_no_test_split_will_do(config_of: Configure, tmp_path: Path) -> None:
    base = config_of(max_steps=10)
    (Path(base.dataset) / "test.jsonl").unlink()
    found = search(base, Search(trials=2), tmp_path / "s", pretend, quiet)
    assert found.trials
    seen = without_test(Path(base.dataset), tmp_path / "seen")
    assert sorted(path.name for path in seen.iterdir()) == ["train.jsonl", "validation.jsonl"]
    (Path(base.dataset) / "validation.jsonl").unlink()
    with pytest.raises(TwinError, match=r"validation\.jsonl does not exist"):
        without_test(Path(base.dataset), tmp_path / "seen")


def test_the_folder_a_trial_is_given_never_holds_the_test_split(
    config_of: Configure, tmp_path: Path
) -> None:
    seen: list[set[str]] = []

    def look(config: TrainConfig) -> dict[str, Any]:
        seen.append({path.name for path in Path(config.dataset).iterdir()})
        return pretend(config)

    search(config_of(max_steps=90), Search(trials=9), tmp_path / "s", look, quiet)
    assert seen and all(names == {"train.jsonl", "validation.jsonl"} for names in seen)


def test_a_round_keeps_the_best_third_and_trains_it_three_times_as_long() -> None:
    assert rounds(9, 120) == [(9, 13), (3, 40), (1, 120)]
    assert rounds(12, 120) == [(12, 13), (3, 40), (1, 120)]
    assert rounds(9, 40) == [(9, 13), (1, 40)] or rounds(9, 40)[-1] == (1, 40)
    assert rounds(2, 120) == [(2, 120)]


def test_the_best_is_compared_with_the_present_settings_after_equal_steps_and_seeds(
    config_of: Configure, tmp_path: Path
) -> None:
    base = config_of(max_steps=90, learning_rate=1e-3)
    found = search(base, Search(trials=9, seeds=2), tmp_path / "s", pretend, quiet)
    last = [trial for trial in found.trials if trial.steps == 90]
    assert {trial.number for trial in last} >= {0} and len({t.number for t in last}) == 2
    assert {(trial.number, trial.seed) for trial in last} == {
        (number, seed) for number in {t.number for t in last} for seed in (7, 8)
    }
    assert found.improved and abs(found.best["learning_rate"] - BEST_RATE) < 1e-3
    assert found.present == {name: getattr(base, name) for name in TUNED}


def test_time_that_runs_out_ends_the_search_with_what_it_has(
    config_of: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(room.time, "monotonic", lambda: clock[0])

    def slowly(config: TrainConfig) -> dict[str, Any]:
        clock[0] += config.max_steps
        return pretend(config)

    base = config_of(max_steps=90)
    found = search(base, Search(trials=9, max_minutes=2.2), tmp_path / "s", slowly, quiet)
    assert found.stopped == "time" and found.seconds <= 2.2 * 60
    assert {trial.steps for trial in found.trials} == {10, 30}
    assert found.best["learning_rate"] > 0


def test_a_trial_that_fails_is_told_and_the_search_goes_on(
    config_of: Configure, tmp_path: Path
) -> None:
    def failing(config: TrainConfig) -> dict[str, Any]:
        if config.lora_rank >= 32:
            raise TwinError("Training ran out of memory.")
        if config.learning_rate > 1e-2:
            return {"validation_loss_end": float("nan"), "stopped": "nan"}
        return pretend(config)

    base = config_of(max_steps=90, learning_rate=5e-3)
    found = search(base, Search(trials=9, seed=1), tmp_path / "s", failing, quiet)
    words = {trial.words for trial in found.trials}
    assert words == {"", "Training ran out of memory.", "the loss became infinite"}
    assert found.best["lora_rank"] < 32

    def hopeless(_: TrainConfig) -> dict[str, Any]:
        raise TwinError("The disk is full.")

    with pytest.raises(TwinError, match=r"No trial of the search succeeded \(The disk is full"):
        search(base, Search(trials=2), tmp_path / "t", hopeless, quiet)


def test_a_trial_cut_short_by_time_is_not_compared(config_of: Configure, tmp_path: Path) -> None:
    def cut(config: TrainConfig) -> dict[str, Any]:
        return {**pretend(config), "stopped": "time" if config.max_steps == 90 else "steps"}

    found = search(config_of(max_steps=90), Search(trials=9), tmp_path / "s", cut, quiet)
    assert {trial.words for trial in found.trials if trial.steps == 90} == {"time ran out"}
    assert found.best_loss < 10 and found.best in [t.values for t in found.trials if t.steps < 90]


def test_a_finished_search_is_found_again(config_of: Configure, tmp_path: Path) -> None:
    base, chosen = config_of(max_steps=30), Search(trials=3)
    first = search(base, chosen, tmp_path / "s", pretend, quiet)

    def never(_: TrainConfig) -> dict[str, Any]:
        raise AssertionError

    again: list[Trial] = []
    assert search(base, chosen, tmp_path / "s", never, again.append) == first
    assert again == first.trials
    assert search_id(base, chosen) == search_id(replace(base, output="elsewhere"), chosen)
    assert search_id(base, chosen) != search_id(base, Search(trials=4))


def test_candidates_cover_the_learning_rates_and_begin_with_the_present_settings(
    config_of: Configure,
) -> None:
    base = config_of(learning_rate=1e-3)
    made = candidates(base, 9, seed=13)
    assert made == candidates(base, 9, seed=13) != candidates(base, 9, seed=14)
    assert made[0]["learning_rate"] == 1e-3 and made[0]["lora_rank"] == base.lora_rank
    rates = sorted(values["learning_rate"] for values in made[1:])
    assert rates[0] < 3.5e-4 and rates[-1] > 3e-3
    assert all(later / sooner < 3 for sooner, later in pairwise(rates))


def test_the_best_values_are_lines_that_the_settings_understand(
    config_of: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tomllib

    from twin_pipelines.settings import Training

    found = search(config_of(max_steps=30), Search(trials=3), tmp_path / "s", pretend, quiet)
    values = tomllib.loads(toml_lines(found))["training"]
    assert Training(**values).learning_rate == found.best["learning_rate"]
    assert set(values) == set(TUNED)
