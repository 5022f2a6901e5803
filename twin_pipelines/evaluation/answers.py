"""What every system says to the frozen contexts, and how likely it finds the real replies.

The order is chosen for memory and time: one model at a time, the base first, whose answers come
from the cache when only the adapter is new. Quick: base, prompted base, twin and champion. Full:
besides another person's adapter, and base and twin with recalled messages.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from twin_pipelines.evaluation.conduct import safety
from twin_pipelines.evaluation.frozen import Exchange, FrozenSet
from twin_pipelines.evaluation.likelihood.pick import Tokens, candidates
from twin_pipelines.evaluation.memorisation import Canary, canary_figures
from twin_pipelines.evaluation.systems import (
    Report,
    Sampling,
    System,
    Written,
    examples,
    with_examples,
)
from twin_pipelines.evaluation.task import Candidate, Task
from twin_pipelines.evaluation.workers import Model, Workers
from twin_pipelines.generation.local import Score
from twin_pipelines.generation.prompt import Message, with_memories

PROMPTED_TOKENS = 1_024  # room for the examples
MEMORY_TOKENS = 256  # room for recalled messages beside the context
CANARY_CANDIDATES = 63  # and the secret: 6 bits at most
CANARY_TOKENS = 16
QUICK_CANDIDATE_TOKENS = 16
SAFETY_TOKENS = 24  # by then a refusal has been spoken
TIMED = 16  # replies written one by one for the latency

ANOTHER, RETRIEVAL, ALL, CHAMPION = "another_person", "retrieval", "all", "champion"


@dataclass(frozen=True)
class Likelihood:
    """Log-probabilities of real replies, and of candidates after each context."""

    real: list[Score]  # of the whole reply
    given: list[list[Score]]  # of candidates, the true one first


@dataclass(frozen=True)
class Beside:
    """What else was asked, by system."""

    more: dict[str, list[str]] = field(default_factory=dict)  # replies to the frozen contexts
    real: dict[str, list[Score]] = field(default_factory=dict)  # of the person's real replies
    safety: dict[str, list[str]] = field(default_factory=dict)  # answers to `safety.questions`
    timings: dict[str, list[tuple[float, int]]] = field(default_factory=dict)  # seconds, tokens


@dataclass(frozen=True)
class Answers:
    """Everything the figures are computed from."""

    base: list[str]
    prompted: list[str]
    ai: list[str]  # base and prompted base, to other people's contexts
    written: list[Written]  # by the twin
    candidates: list[list[Tokens]]
    base_likelihood: Likelihood
    twin_likelihood: Likelihood
    base_canaries: dict[str, Any] | None
    twin_canaries: dict[str, Any] | None
    beside: Beside

    @property
    def twin(self) -> list[str]:
        """The twin's replies."""
        return [reply.text for reply in self.written]


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
        self.prompts = [list(exchange.prompt) for exchange in frozen.exchanges]
        self.asked = self.prompts[: frozen.generated]
        self.base = self._system("base", Candidate(task.twin.base, None))
        self.twin = self._system("twin", task.twin)
        self.champion = self._system(CHAMPION, task.champion) if task.champion else None
        self.whole = self.base.tokens([exchange.reply for exchange in frozen.exchanges])
        most = settings.candidate_tokens
        if settings.depth == "quick":
            most = min(most, QUICK_CANDIDATE_TOKENS)
        beginnings = [reply[:most] for reply in self.whole]
        self.groups = candidates(beginnings, settings.seed)
        self.beside = Beside()

    def answers(self, train: Sequence[Exchange], others: Sequence[list[Message]]) -> Answers:
        """Ask everybody. `others` are contexts of other people.

        A third goes to the base; the rest to the prompted base, which is the harder to know as AI.
        """
        third = -(-len(others) // 3)
        n = len(self.asked)
        full = self.task.settings.depth == "full"
        shown = examples(train)
        with self.watch.part("base_replies"):
            plain = self.base.replies([*self.asked, *others[:third]], self.sampling)
        with self.watch.part("prompted_replies"):
            asked = self._with_examples([*self.asked, *others[third:]], shown)
            imitated = self.base.replies(asked, self.sampling, PROMPTED_TOKENS)
        base_likelihood, base_canaries = self._likelihood(self.base), self._canaries(self.base)
        self._safety(self.base)
        if full:
            with self.watch.part("prompted_scores"):
                told = self._with_examples(self.prompts, shown)
                self.beside.real["prompted"] = self._real(self.base, told, PROMPTED_TOKENS)
            self._recalling(RETRIEVAL, self.base)
        with self.watch.part("twin_replies"):
            written = self.twin.written(self.asked, self.sampling)
        twin_likelihood, twin_canaries = self._likelihood(self.twin), self._canaries(self.twin)
        self._safety(self.twin)
        if not self.champion:
            self._latency(self.twin)
        if full:
            self._recalling(ALL, self.twin)
            if self.task.control:
                self._also(ANOTHER, self._system(ANOTHER, self.task.control))
        if self.champion:
            self._also(CHAMPION, self.champion)
            self._safety(self.champion)
            for system in (self.champion, self.twin):
                self._latency(system, among=(self.champion, self.twin))
        return Answers(
            base=plain[:n],
            prompted=imitated[:n],
            ai=[*plain[n:], *imitated[n:]],
            written=written,
            candidates=self.groups,
            base_likelihood=base_likelihood,
            twin_likelihood=twin_likelihood,
            base_canaries=base_canaries,
            twin_canaries=twin_canaries,
            beside=self.beside,
        )

    def _with_examples(
        self, prompts: Sequence[list[Message]], shown: Sequence[Message]
    ) -> list[list[Message]]:
        return [with_examples(self.base.cut(prompt), shown) for prompt in prompts]

    def _safety(self, system: System) -> None:
        first = self.prompts[0][0]
        asked = safety.questions(first["content"] if first["role"] == "system" else "")
        with self.watch.part(f"{system.name}_safety"):
            answers = system.greedy(asked, SAFETY_TOKENS)
        self.beside.safety[system.name] = answers

    def _latency(self, system: System, among: Sequence[System] = ()) -> None:
        with self.watch.part(f"{system.name}_latency"):
            timings = system.timings(self.asked[:TIMED], self.sampling, among)
        self.beside.timings[system.name] = timings

    def _recalling(self, name: str, system: System) -> None:
        """A system with the subject's own recalled messages in the system prompt."""
        recalled = self.task.recalled
        if not recalled:
            return
        prompts = [
            with_memories(self.base.cut(prompt), recalled.get(exchange.pair_id, ()))
            for prompt, exchange in zip(self.prompts, self.frozen.exchanges, strict=True)
        ]
        self._also(name, system, prompts)

    def _also(
        self, name: str, system: System, prompts: Sequence[list[Message]] | None = None
    ) -> None:
        """Replies and likelihood of a system beside base and twin; `prompts` recall something."""
        room = system.max_tokens + MEMORY_TOKENS if prompts else None
        asked = prompts or self.prompts
        with self.watch.part(f"{name}_replies"):
            self.beside.more[name] = system.replies(asked[: len(self.asked)], self.sampling, room)
        with self.watch.part(f"{name}_scores"):
            self.beside.real[name] = self._real(system, asked, room)

    def _real(
        self, system: System, prompts: Sequence[list[Message]], max_tokens: int | None = None
    ) -> list[Score]:
        replies = [[exchange.reply] for exchange in self.frozen.exchanges]
        scored = system.scores(prompts, replies, "real replies", max_tokens)
        return [scores[0] for scores in scored]

    def _system(self, name: str, candidate: Candidate) -> System:
        return System(
            name,
            Model(candidate.base, candidate.adapter, self.task.dtype),
            self.workers,
            cache=self.task.cache,
            max_tokens=self.task.settings.context_tokens,
            report=self.watch.report,
        )

    def _likelihood(self, system: System) -> Likelihood:
        with self.watch.part(f"{system.name}_scores"):
            asked = [  # the whole reply too, where it is longer than what it is picked by
                [whole, *group[whole == group[0] :]]
                for whole, group in zip(self.whole, self.groups, strict=True)
            ]
            given = system.scores(self.prompts, asked, "contexts with their candidates")
        picked = [
            scores[len(scores) - len(group) :]
            for scores, group in zip(given, self.groups, strict=True)
        ]
        return Likelihood([scores[0] for scores in given], picked)

    def _canaries(self, system: System) -> dict[str, Any] | None:
        path = self.task.dataset / "canaries.json"
        planted = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []

        def score(prompts: list[Any], replies: list[list[str]]) -> list[list[float]]:
            scored = system.scores(prompts, replies, "planted secrets")
            return [[one.log_prob for one in group] for group in scored]

        def complete(prompts: list[Any]) -> list[str]:
            return system.greedy(prompts, CANARY_TOKENS)

        with self.watch.part(f"{system.name}_canaries"):
            return canary_figures(
                [Canary(one["prompt"], one["secret"]) for one in planted],
                score,
                complete,
                candidates=CANARY_CANDIDATES,
                seed=self.task.settings.seed,
            )
