"""Search for better training settings, on validation only and within a budget.

Successive halving (Jamieson and Talwalkar 2016): many settings are tried with few steps, the best
third of them with three times as many, and so on; the last round trains as long as a real training
would. The present settings are one of the candidates and always reach the last round, so that what
is found is compared with them after equal steps and seeds. Every trial is a training as any other,
in a folder of its own, and sees a dataset folder that holds no test split. Nothing is changed: the
result is a table and a few lines for twin.toml.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any

from twin_pipelines.foundation.fingerprints import read_json, write_json
from twin_pipelines.settings import Search, TwinError
from twin_pipelines.training.config import CODE_VERSION, CONFIG, FAILURE, TrainConfig

FEWER = 3  # a round keeps one in FEWER and gives it FEWER times the steps
LEAST_STEPS = 10  # of a trial in the first round
SEEN_SPLITS = ("train", "validation")
RESULT = "search.json"
RATE_FACTORS = (0.2, 5.0)  # around the present learning rate, log-uniform
RANKS = (8, 16, 32, 64)
ALPHA_OF_RANK = (1, 2)
EPOCHS = (1.0, 2.0, 3.0, 5.0)
DROPOUTS = (0.0, 0.05)
TUNED = ("learning_rate", "lora_rank", "lora_alpha", "lora_dropout", "max_epochs")

Train = Callable[[TrainConfig], dict[str, Any]]
Values = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One training. `loss` is of the validation split, in nats per token; None where it failed."""

    number: int  # of its candidate; 0 are the present settings
    round: int
    steps: int
    seed: int
    values: Values
    loss: float | None
    seconds: float
    words: str = ""


@dataclass(frozen=True)
class Found:
    """What a search came to. `stopped` is `done` or `time`."""

    search_id: str
    dataset_version: str
    best: Values
    best_loss: float
    present: Values
    present_loss: float | None
    stopped: str
    seconds: float
    trials: list[Trial] = field(default_factory=list)

    @property
    def improved(self) -> bool:
        """Whether another candidate beat the present settings in the same round."""
        return self.present_loss is not None and self.best_loss < self.present_loss


def search(
    base: TrainConfig,
    chosen: Search,
    folder: Path,
    train: Train,
    tell: Callable[[Trial], None],
) -> Found:
    """Search around the settings of `base`; the result is kept in `folder` and found there again.

    `train` runs one training and returns its report; a TwinError of its is noted as a failed
    trial. `tell` is told of every trial. Raises TwinError when no trial succeeded.
    """
    known = _known(folder / RESULT)
    if known:
        for trial in known.trials:
            tell(trial)
        return known
    dataset = without_test(Path(base.dataset), folder / "dataset")
    base = replace(base, dataset=str(dataset), dpo_steps=0)
    course = _Course(base, chosen, folder, train, tell)
    found = course.run()
    write_json(folder / RESULT, asdict(found))
    shutil.rmtree(folder / "trials", ignore_errors=True)
    return found


def search_id(base: TrainConfig, chosen: Search) -> str:
    """Identity of a search: 12 hexadecimal digits of what decides its result."""
    paths = {"output", "base", "dataset", "adapter_id", "save_steps", "dpo_steps"}
    decides = {name: value for name, value in asdict(base).items() if name not in paths}
    parts = json.dumps([decides, chosen.model_dump(), CODE_VERSION], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:12]


def without_test(dataset: Path, folder: Path) -> Path:
    """A dataset folder beside `dataset` that holds its train and validation splits alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in SEEN_SPLITS:
        source, target = dataset / f"{split}.jsonl", folder / f"{split}.jsonl"
        if not source.exists():
            raise TwinError(f"{source} does not exist; materialise instruct_dataset again.")
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except OSError:  # another disk, or one without links
            shutil.copyfile(source, target)
    return folder


def train_in_process(config: TrainConfig) -> dict[str, Any]:
    """Run one training in a process of its own, as the asset does; returns its report."""
    path = config.save(Path(config.output) / CONFIG)
    command = [sys.executable, "-m", "twin_pipelines.training.sft", "--config", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    report = read_json(Path(config.output) / "training.json")
    if ended.returncode or not report:
        sentence = read_json(path.with_name(FAILURE)).get("sentence")
        last = ended.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise TwinError(sentence or f"A trial ended early ({last[0]}); see {config.output}.")
    return report


def candidates(base: TrainConfig, count: int, seed: int) -> list[Values]:
    """The present settings and `count` − 1 others, whose learning rates are spread evenly."""
    dice = random.Random(f"search/{seed}")
    present = {name: getattr(base, name) for name in TUNED}
    slots = list(range(count - 1))
    dice.shuffle(slots)
    low, high = (math.log(factor) for factor in RATE_FACTORS)
    made = [present]
    for slot in slots:
        share = (slot + dice.random()) / len(slots)
        rank = dice.choice(RANKS)
        made.append(
            {
                "learning_rate": _two_digits(
                    base.learning_rate * math.exp(low + share * (high - low))
                ),
                "lora_rank": rank,
                "lora_alpha": rank * dice.choice(ALPHA_OF_RANK),
                "lora_dropout": dice.choice(DROPOUTS),
                "max_epochs": dice.choice(EPOCHS),
            }
        )
    return made


def rounds(count: int, steps: int) -> list[tuple[int, int]]:
    """Candidates and steps of each round; the last trains all the steps.

    >>> rounds(9, 120)
    [(9, 13), (3, 40), (1, 120)]
    """
    plan = [(1, steps)]
    while plan[0][0] * FEWER <= count and plan[0][1] // FEWER >= LEAST_STEPS:
        plan.insert(0, (plan[0][0] * FEWER, plan[0][1] // FEWER))
    return [(count, plan[0][1]), *plan[1:]]


class _Course:
    """One search."""

    def __init__(
        self,
        base: TrainConfig,
        chosen: Search,
        folder: Path,
        train: Train,
        tell: Callable[[Trial], None],
    ) -> None:
        self.base, self.chosen, self.folder = base, chosen, folder
        self.train, self.tell = train, tell
        self.candidates = candidates(base, chosen.trials, chosen.seed)
        self.trials: list[Trial] = []
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def left(self) -> float:
        return self.chosen.max_minutes * 60 - self.seconds

    def run(self) -> Found:
        numbers = list(range(len(self.candidates)))
        plan = rounds(len(numbers), self.base.max_steps)
        stopped = "done"
        for place, (kept, steps) in enumerate(plan):
            last = place == len(plan) - 1
            numbers = self._best_of(numbers, kept)
            if last and 0 not in numbers:
                numbers.append(0)
            if not self._round(place, numbers, steps, self.chosen.seeds if last else 1):
                stopped = "time"
                break
        return self._found(stopped)

    def _round(self, place: int, numbers: Sequence[int], steps: int, seeds: int) -> bool:
        """Train every candidate with every seed; False when time ran out before the last."""
        for seed, number in self._order(numbers, seeds):
            if self.trials and self.left <= self._expected(steps):
                return False
            self._trial(number, place, steps, seed)
        return True

    def _order(self, numbers: Sequence[int], seeds: int) -> Iterator[tuple[int, int]]:
        """Seed by seed, so that candidates stay comparable when time runs out."""
        for extra in range(seeds):
            for number in numbers:
                yield self.base.seed + extra, number

    def _trial(self, number: int, place: int, steps: int, seed: int) -> None:
        values = self.candidates[number]
        name = f"{number:02}-{steps}-{seed}"
        config = replace(
            self.base,
            **values,
            adapter_id=name,
            output=str(self.folder / "trials" / name),
            max_steps=steps,
            max_minutes=max(self.left, 1.0) / 60,
            save_steps=steps,
            seed=seed,
        )
        began, loss, words = time.monotonic(), None, ""
        try:
            report = self.train(config)
            loss = float(report["validation_loss_end"])
            if report["stopped"] == "nan" or not math.isfinite(loss):
                loss, words = None, "the loss became infinite"
            elif report["stopped"] == "time":
                loss, words = None, "time ran out"
        except TwinError as error:
            words = str(error)
        seconds = round(time.monotonic() - began, 1)
        trial = Trial(number, place, steps, seed, values, loss, seconds, words)
        self.trials.append(trial)
        self.tell(trial)

    def _expected(self, steps: int) -> float:
        """Seconds that a trial of so many steps will take, from those so far."""
        return steps * mean(trial.seconds / trial.steps for trial in self.trials)

    def _best_of(self, numbers: Sequence[int], kept: int) -> list[int]:
        if not self.trials:
            return list(numbers)
        losses = self._losses(self.trials[-1].round)
        return sorted((number for number in numbers if number in losses), key=losses.__getitem__)[
            :kept
        ]

    def _losses(self, place: int) -> dict[int, float]:
        """Mean loss of each candidate of a round, over the seeds that all of them were given."""
        ran = [trial for trial in self.trials if trial.round == place]
        seeds = [
            {trial.seed for trial in ran if trial.number == number}
            for number in {trial.number for trial in ran}
        ]
        shared = set.intersection(*seeds)
        losses: dict[int, list[float]] = {}
        for trial in ran:
            if trial.seed in shared:
                losses.setdefault(trial.number, []).append(
                    math.inf if trial.loss is None else trial.loss
                )
        return {number: mean(found) for number, found in losses.items() if mean(found) < math.inf}

    def _found(self, stopped: str) -> Found:
        for place in sorted({trial.round for trial in self.trials}, reverse=True):
            losses = self._losses(place)
            if losses and (0 in losses or place == 0):
                best = min(losses, key=losses.__getitem__)
                return Found(
                    search_id=self.folder.name,
                    dataset_version=self.base.dataset_version,
                    best=self.candidates[best],
                    best_loss=losses[best],
                    present=self.candidates[0],
                    present_loss=losses.get(0),
                    stopped=stopped,
                    seconds=round(self.seconds, 1),
                    trials=self.trials,
                )
        reasons = "; ".join(sorted({trial.words for trial in self.trials if trial.words}))
        raise TwinError(f"No trial of the search succeeded ({reasons}); correct that first.")


def _known(path: Path) -> Found | None:
    kept = read_json(path)
    if not kept:
        return None
    trials = [Trial(**trial) for trial in kept.pop("trials")]
    return Found(**kept, trials=trials)


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")


def toml_lines(found: Found) -> str:
    """The best values as lines for twin.toml."""
    import tomli_w

    return tomli_w.dumps({"training": {name: found.best[name] for name in TUNED}})
