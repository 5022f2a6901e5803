"""One evaluation from end to end: real (tiny) models, everything written whole."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from twin_pipelines.evaluation import figures, frame, measure, scorecard, workers
from twin_pipelines.evaluation.run import main, while_wanted
from twin_pipelines.evaluation.systems import (
    Sampling,
    System,
    examples,
    forget_old_answers,
    with_examples,
)
from twin_pipelines.evaluation.task import Candidate, Task, read_task, write_task
from twin_pipelines.evaluation.unseen import SeenError
from twin_pipelines.evaluation.workers import Model, Workers, workers_for
from twin_pipelines.settings import TwinError


def no_style(*_: object, **__: object) -> None:
    raise ValueError("no style here")


def test_everything_is_measured_and_a_second_evaluation_answers_from_the_cache(
    task: Task,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "task.json"
    write_task(task, path)
    assert read_task(path) == task
    assert main(["--config", str(path)]) == 0
    assert "24 unseen exchanges of" in capsys.readouterr().out

    metrics = json.loads((task.folder / "metrics.json").read_text())
    assert metrics["frozen_set"]["n_pairs"] == 24
    assert metrics["frozen_set"]["generated"] == 12
    assert metrics["reply_perplexity"]["ratio"] > 0
    assert metrics["pick_real_reply"]["twin"]["hits1_of_20"]["n"] == 24
    assert 0 <= metrics["style_consistency"]["value"] <= 1
    assert metrics["style_consistency"]["masked"]["value"] is not None
    exposure = metrics["memorisation"]["canary_exposure"]
    assert exposure["n"] == 2
    assert 0 <= exposure["mean"] <= exposure["limit"] == 6
    assert scorecard.headline(metrics)["reply_perplexity_twin"] > 1
    assert "style consistency" in scorecard.table(metrics)
    assert scorecard.plots(task.folder).count("data:image/png") == 3

    assert set(metrics) >= set(frame.frame())
    assert metrics["depth"] == "full"
    assert metrics["template"]["matches"] is True
    assert 0 <= metrics["template"]["ends"] <= 1
    assert metrics["latency"]["p50_ms"] <= metrics["latency"]["p95_ms"]
    assert metrics["context"]["shuffled_gap"]["n"] == 24
    assert metrics["context"]["hits20_beyond_base"]["ci95"] is not None
    assert metrics["safety"]["n"] == 12
    assert metrics["language"]["twin"] is not None
    assert metrics["calibration"]["length"]["human"] > 0.4
    assert metrics["person_specific_gain"]["value"] is None
    assert "control_adapter" in metrics["person_specific_gain"]["note"]
    rows = {row["system"]: row for row in metrics["ablation"]}
    assert rows["prompt"]["perplexity"] > 1
    assert rows["retrieval"]["perplexity"] is None

    replies = [json.loads(line) for line in (task.folder / "replies.jsonl").open()]
    assert len(replies) == 12
    assert set(replies[0]) >= {"context", "real", "twin", "base", "prompted"}
    assert replies[0]["context"][-1]["role"] == "user"
    assert any(row["twin"] != row["base"] for row in replies)

    monkeypatch.setattr(workers, "load_model", pytest.fail)
    again = measure.evaluate(replace(task, folder=task.folder.with_name("e2")), lambda _: None)
    for timed in (metrics, again):
        del timed["seconds"]
    assert again == metrics


def test_an_adapter_alone_is_new_work_and_the_base_is_not_asked_again(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "style_consistency", no_style)
    real, loaded = workers.load_model, []

    def spied(base, adapter, dtype):
        loaded.append(adapter)
        return real(base, adapter, dtype)

    monkeypatch.setattr(workers, "load_model", spied)
    measure.evaluate(task, lambda _: None)
    assert loaded == [None, task.twin.adapter]

    as_base = replace(task, twin=Candidate(task.twin.base, None), champion=task.twin)
    found = measure.evaluate(as_base, lambda _: None)
    assert loaded[2:] == [None, task.twin.adapter, None], (
        "the twin's questions are new to the base, which is then timed beside the champion"
    )
    likelihood = found["reply_perplexity"]
    assert likelihood["ratio"] == pytest.approx(1)
    assert likelihood["champion_delta"]["n"] == 24
    assert "champion" in scorecard.table(found)
    assert found["champion"]["style_consistency"]["delta"]["value"] is None
    assert found["champion"]["memorisation"]["delta"]["n"] == 12
    assert found["champion"]["latency"]["p95_ms"] > 0
    assert not (as_base.folder / "style_attribution.png").exists()


def test_full_depth_asks_another_persons_twin_and_recalls_quick_depth_does_not(
    task: Task, tiny_adapter: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_adapter, other)
    weights = other / "adapter_config.json"
    config = json.loads(weights.read_text())
    weights.write_text(json.dumps({**config, "lora_alpha": 64}))
    recalled = {f"test-{number}": [f"i said {number}"] for number in range(40)}
    whole = replace(task, control=Candidate(task.twin.base, other), recalled=recalled)
    write_task(whole, tmp_path / "task.json")
    assert read_task(tmp_path / "task.json") == whole
    found = measure.evaluate(whole, lambda _: None)
    assert found["person_specific_gain"]["value"] != 0
    assert found["person_specific_gain"]["n"] == 24
    assert found["style_consistency"]["another_person"]["ci95"] is not None
    rows = {row["system"]: row for row in found["ablation"]}
    assert all(row["perplexity"] > 1 for row in rows.values())
    assert rows["retrieval"]["perplexity"] != rows["base"]["perplexity"]
    assert rows["all"]["perplexity"] != rows["adapter"]["perplexity"]
    assert "ablation, all" in scorecard.table(found)

    quick = task.settings.model_copy(update={"depth": "quick"})
    little = replace(whole, settings=quick, folder=whole.folder.with_name("e2"))
    found = measure.evaluate(little, lambda _: None)
    assert not [part for part in found["seconds"] if part.startswith(("another", "all", "retr"))]
    assert found["person_specific_gain"]["value"] is None
    assert found["style_realism"].keys() == frame.frame()["style_realism"].keys() | {"note"} or (
        found["style_realism"]["value"] is not None
    )


def test_nothing_is_measured_on_what_was_learnt_from(task: Task) -> None:
    leaking = replace(task, leaks={**task.leaks, "messages": 3, "words": "3 messages were learnt"})
    with pytest.raises(SeenError, match="3 messages were learnt"):
        measure.evaluate(leaking, lambda _: None)
    train = task.dataset / "train.jsonl"
    train.write_text(train.read_text() + (task.dataset / "test.jsonl").read_text())
    with pytest.raises(SeenError, match="also stand in the train split"):
        measure.evaluate(task, lambda _: None)
    assert not task.folder.exists()


def test_what_the_user_can_mend_is_one_sentence_and_leaves_no_folder(
    task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (task.dataset / "test.jsonl").unlink()
    write_task(task, tmp_path / "task.json")
    assert main(["--config", str(tmp_path / "task.json")]) == 1
    assert "materialise instruct_dataset" in capsys.readouterr().err
    assert not task.folder.exists()


def test_an_evaluation_nobody_waits_for_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    report = while_wanted(told.append)
    report("working")
    monkeypatch.setattr(os, "getppid", lambda: 1)
    with pytest.raises(SystemExit, match="is gone"):
        report("still working")
    assert told == ["working"]


def test_a_folder_is_written_whole_or_not_at_all(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "style_consistency", no_style)
    from twin_pipelines.evaluation import plots

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(plots, "draw", killed)
        with pytest.raises(KeyboardInterrupt):
            measure.evaluate(task, lambda _: None)
    assert not task.folder.exists()
    measure.evaluate(task, lambda _: None)
    left = sorted(path.name for path in task.folder.parent.iterdir())
    assert left == [".answers", "e1"]


def test_too_little_text_gives_no_style_figure_but_all_the_others(task: Task) -> None:
    huge = replace(task, settings=task.settings.model_copy(update={"window_words": 5_000}))
    found = measure.evaluate(huge, lambda _: None)
    assert found["style_consistency"]["value"] is None
    assert "a window takes 5000" in found["style_consistency"]["note"]
    assert found["style_realism"]["value"] is None
    assert found["reply_perplexity"]["twin"] > 1
    assert "a window takes" in scorecard.table(found)


def test_a_missing_model_is_said(task: Task, tmp_path: Path) -> None:
    base = replace(task.twin.base, path=tmp_path / "nowhere")
    with pytest.raises(TwinError, match="No usable tokenizer"):
        measure.evaluate(replace(task, twin=Candidate(base, None)), lambda _: None)
    gone = Candidate(task.twin.base, tmp_path)
    with pytest.raises(TwinError, match="no adapter in"):
        measure.evaluate(replace(task, twin=gone), lambda _: None)


def test_undefined_numbers_become_null() -> None:
    assert measure.json_ready({"a": [float("nan"), 1.0], "b": float("inf"), "c": "x"}) == {
        "a": [None, 1.0],
        "b": None,
        "c": "x",
    }


def test_examples_are_short_real_replies_of_different_sessions(task: Task) -> None:
    from twin_pipelines.evaluation.frozen import train_exchanges

    train = train_exchanges(task.dataset)
    shown = examples(train)
    assert len(shown) == 16
    by_reply = {exchange.reply: exchange for exchange in train}
    sessions = [by_reply[part["content"]].session_id for part in shown[1::2]]
    assert len(set(sessions)) == 8
    assert examples(train[::-1]) == shown
    whole = with_examples([{"role": "system", "content": "s"}, shown[0]], shown)
    assert [part["role"] for part in whole[:3]] == ["system", "user", "assistant"]
    assert len(whole) == 18


def systems_of(task: Task, cache: Path, crew: Workers, told: list[str]) -> tuple[System, System]:
    base = Model(task.twin.base, None, "float32")
    twin = Model(task.twin.base, task.twin.adapter, "float32")
    return (
        System("base", base, crew, cache=cache, max_tokens=96, report=told.append),
        System("twin", twin, crew, cache=cache, max_tokens=96, report=told.append),
    )


def test_answers_depend_on_the_adapter_and_are_kept(task: Task, tmp_path: Path) -> None:
    told: list[str] = []
    asked = [[{"role": "user", "content": "hello how are you"}]] * 3
    with Workers(1) as crew:
        base, twin = systems_of(task, tmp_path, crew, told)
        assert base.greedy(asked, 6) == base.greedy(asked, 6)
        assert base.greedy(asked, 6) != twin.greedy(asked, 6)
    assert told == ["base: 3 of 3 replies written", "twin: 3 of 3 replies written"]
    assert len(list(tmp_path.glob("*.json"))) == 2
    assert forget_old_answers(tmp_path, keep=1) == 1
    assert len(list(tmp_path.glob("*.json"))) == 1


def test_a_killed_evaluation_asks_only_for_the_pieces_it_lacks(task: Task, tmp_path: Path) -> None:
    asked = [[{"role": "user", "content": f"hello number {n}" * (n % 5)}] for n in range(40)]
    told: list[str] = []
    with Workers(1) as crew:
        base, _ = systems_of(task, tmp_path, crew, told)
        first = base.replies(asked, Sampling(4, 0.8, 0.95, 3))
        assert told == ["base: 32 of 40 replies written", "base: 40 of 40 replies written"]
        next(iter(tmp_path.glob("*.json"))).unlink()
        assert base.replies(asked, Sampling(4, 0.8, 0.95, 3)) == first
        assert len(told) == 3


def test_processes_give_the_answers_one_process_gives(task: Task, tmp_path: Path) -> None:
    asked = [[{"role": "user", "content": f"hello number {n}"}] for n in range(40)]
    candidates = [["lovely day", (5, 6, 7)]] * 40
    got = []
    for number in (1, 2):
        with Workers(number) as crew:
            _, twin = systems_of(task, tmp_path / str(number), crew, [])
            replies = twin.replies(asked, Sampling(4, 0.8, 0.95, 3))
            scores = twin.scores(asked, candidates, "candidates")
        got.append((replies, [score.log_prob for group in scores for score in group]))
    assert got[0][0] == got[1][0]
    assert got[0][1] == pytest.approx(got[1][1], abs=1e-3)


def test_a_killed_model_process_is_said_and_what_was_answered_is_kept(
    task: Task, tmp_path: Path
) -> None:
    asked = [[{"role": "user", "content": f"hello number {n}"}] for n in range(40)]
    with Workers(2) as crew:
        base, _ = systems_of(task, tmp_path, crew, [])

        def killed(told: str) -> None:
            assert crew._pool
            for process in crew._pool._processes.values():
                process.kill()

        base._report = killed
        with pytest.raises(TwinError, match="what was answered is kept"):
            base.greedy(asked * 4, 40)
    assert len(list(tmp_path.glob("*.json"))) >= 1


def test_processes_are_for_small_models_and_much_work(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = task.twin.base
    assert workers_for(base, 10, at_least=50) == 1
    assert workers_for(base, 100, at_least=50) == min(4, workers.cores())
    monkeypatch.setattr(workers, "LARGE_MODEL", 1_000)
    assert workers_for(base, 100, at_least=50) == 1
