"""What every system says to the frozen contexts, and how likely it finds the real replies.

The order is chosen for memory and time: one model at a time, the base first, whose answers come
from the cache when only the adapter is new.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from twin_pipelines.evaluation.frozen import Exchange, FrozenSet
from twin_pipelines.evaluation.memorisation import Canary, canary_figures
from twin_pipelines.evaluation.pick import Tokens, candidates, without_context
from twin_pipelines.evaluation.systems import Report, Sampling, System, examples, with_examples
from twin_pipelines.evaluation.task import Candidate, Task
from twin_pipelines.evaluation.workers import Model, Workers
from twin_pipelines.generation.local import Score
from twin_pipelines.generation.prompt import Message

PROMPTED_TOKENS = 1_024  # room for the examples
ALONE_BATCH = 20
CANARY_CANDIDATES = 127
CANARY_TOKENS = 16


@dataclass(frozen=True)
class Likelihood:
    """Log-probabilities of real replies, and of candidates after each context and after none."""

    real: list[Score]  # of the whole reply
    given: list[list[Score]]  # of candidates, the true one first
    alone: dict[Tokens, Score]


@dataclass(frozen=True)
class Answers:
    """Everything the figures are computed from."""

    base: list[str]
    prompted: list[str]
    ai: list[str]  # base and prompted base, to other people's contexts
    twin: list[str]
    candidates: list[list[Tokens]]
    base_likelihood: Likelihood
    twin_likelihood: Likelihood
    champion: list[Score] | None
    base_canaries: dict[str, Any] | None
    twin_canaries: dict[str, Any] | None


class Stopwatch:
    """Seconds by part, told as they pass."""

    def __init__(self, report: Report) -> None:
        self.seconds: dict[str, float] = {}
        self.report = report

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a part of the work."""
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)
        self.report(f"{name.replace('_', ' ')}: {self.seconds[name]:.0f} s")


class Interview:
    """Asks the systems of one evaluation."""

    def __init__(self, task: Task, frozen: FrozenSet, watch: Stopwatch, workers: Workers) -> None:
        self.task = task
        self.frozen = frozen
        self.watch = watch
        self.workers = workers
        settings = task.settings
        self.sampling = Sampling(
            settings.max_new_tokens, settings.temperature, settings.top_p, settings.seed
        )
        self.asked = [list(exchange.prompt) for exchange in frozen.to_generate]
        self.base = self._system("base", Candidate(task.twin.base, None))
        self.twin = self._system("twin", task.twin)
        self.whole = self.base.tokens([exchange.reply for exchange in frozen.exchanges])
        beginnings = [reply[: settings.candidate_tokens] for reply in self.whole]
        self.groups = candidates(beginnings, settings.seed)

    def answers(self, train: Sequence[Exchange], others: Sequence[list[Message]]) -> Answers:
        """Ask everybody. `others` are contexts of other people.

        A third goes to the base; the rest to the prompted base, which is the harder to know as AI.
        """
        third = -(-len(others) // 3)
        n = len(self.asked)
        shown = examples(train)
        with self.watch.part("base_replies"):
            written = self.base.replies([*self.asked, *others[:third]], self.sampling)
        with self.watch.part("prompted_replies"):
            whole = [*self.asked, *others[third:]]
            asked = [with_examples(self.base.cut(prompt), shown) for prompt in whole]
            imitated = self.base.replies(asked, self.sampling, PROMPTED_TOKENS)
        base_likelihood, base_canaries = self._likelihood(self.base)
        with self.watch.part("twin_replies"):
            own = self.twin.replies(self.asked, self.sampling)
        twin_likelihood, twin_canaries = self._likelihood(self.twin)
        return Answers(
            base=written[:n],
            prompted=imitated[:n],
            ai=[*written[n:], *imitated[n:]],
            twin=own,
            candidates=self.groups,
            base_likelihood=base_likelihood,
            twin_likelihood=twin_likelihood,
            champion=self._champion(),
            base_canaries=base_canaries,
            twin_canaries=twin_canaries,
        )

    def _system(self, name: str, candidate: Candidate) -> System:
        return System(
            name,
            Model(candidate.base, candidate.adapter, self.task.dtype),
            self.workers,
            cache=self.task.cache,
            max_tokens=self.task.settings.context_tokens,
            report=self.watch.report,
        )

    def _likelihood(self, system: System) -> tuple[Likelihood, dict[str, Any] | None]:
        prompts = [list(exchange.prompt) for exchange in self.frozen.exchanges]
        pool = list(dict.fromkeys(reply for group in self.groups for reply in group))
        parts = [pool[start : start + ALONE_BATCH] for start in range(0, len(pool), ALONE_BATCH)]
        nothing = without_context(prompts[0])
        with self.watch.part(f"{system.name}_scores"):
            asked = [  # the whole reply too, where it is longer than what it is picked by
                [whole, *group[whole == group[0] :]]
                for whole, group in zip(self.whole, self.groups, strict=True)
            ]
            given = system.scores(prompts, asked, "contexts with their candidates")
            scored = system.scores([nothing] * len(parts), parts, "groups without context")
        with self.watch.part(f"{system.name}_canaries"):
            canaries = self._canaries(system)
        alone = dict(zip(pool, (score for part in scored for score in part), strict=True))
        picked = [
            scores[len(scores) - len(group) :]
            for scores, group in zip(given, self.groups, strict=True)
        ]
        return Likelihood([scores[0] for scores in given], picked, alone), canaries

    def _champion(self) -> list[Score] | None:
        if self.task.champion is None:
            return None
        system = self._system("champion", self.task.champion)
        prompts = [list(exchange.prompt) for exchange in self.frozen.exchanges]
        replies = [[exchange.reply] for exchange in self.frozen.exchanges]
        with self.watch.part("champion_scores"):
            scored = system.scores(prompts, replies, "real replies")
        return [scores[0] for scores in scored]

    def _canaries(self, system: System) -> dict[str, Any] | None:
        path = self.task.dataset / "canaries.json"
        planted = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []

        def score(prompts: list[Any], replies: list[list[str]]) -> list[list[float]]:
            scored = system.scores(prompts, replies, "planted secrets")
            return [[one.log_prob for one in group] for group in scored]

        def complete(prompts: list[Any]) -> list[str]:
            return system.greedy(prompts, CANARY_TOKENS)

        return canary_figures(
            [Canary(one["prompt"], one["secret"]) for one in planted],
            score,
            complete,
            candidates=CANARY_CANDIDATES,
            seed=self.task.settings.seed,
        )
