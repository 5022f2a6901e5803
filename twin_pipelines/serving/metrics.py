"""What the server counts while it runs, in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds


QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)  # seconds of a recall

Why = Literal["deadline", "failed", "open", "broke_off"]
Cached = Literal["answers", "questions", "finds"]


@dataclass(frozen=True)
class Present:
    """What is so at this moment: the queue, who answers, and whether anything is wrong.

    `backends` tells by name whether one is asked (False: left alone after failures), `caches` the
    hits and misses of those that count themselves.
    """

    waiting: int
    release: str  # empty for none
    problem: bool
    backends: Mapping[str, bool] = field(default_factory=dict)
    caches: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class _Times:
    """A histogram of seconds by label."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts: dict[str, list[int]] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def add(self, value: str, seconds: float) -> None:
        counts = self._counts.setdefault(value, [0] * (len(self._bounds) + 1))
        counts[bisect_left(self._bounds, seconds)] += 1
        self._seconds[value] += seconds

    def text(self, name: str, words: str, label: str = "") -> str:
        lines = [f"# HELP {name} {words}", f"# TYPE {name} histogram"]
        for value, counts in sorted(self._counts.items()):
            about = {label: value} if label else {}
            so_far = 0
            for bound, count in zip((*self._bounds, math.inf), counts, strict=True):
                so_far += count
                edge = "+Inf" if math.isinf(bound) else f"{bound:g}"
                lines.append(f"{name}_bucket{_labels(**about, le=edge)} {so_far}")
            lines.append(f"{name}_sum{_labels(**about)} {self._seconds[value]:.6f}")
            lines.append(f"{name}_count{_labels(**about)} {so_far}")
        return "\n".join(lines) + "\n"


class Metrics:
    """Counts requests, answers, what was looked up, seconds and tokens. Any thread may count."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds = _Times(BUCKETS)  # by route
        self._first = _Times(BUCKETS)  # by backend
        self._recalls = _Times(QUICK)
        self._tokens: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._passed_over: Counter[tuple[str, str]] = Counter()
        self._cached: Counter[tuple[str, bool]] = Counter()
        self._abandoned = 0
        self._running = 0

    def begin(self) -> None:
        """A request came in."""
        with self._guard:
            self._running += 1

    def end(self, path: str, method: str, status: int, seconds: float) -> None:
        """A request left; `path` is the route it took, and `seconds` last until its last byte."""
        with self._guard:
            self._running -= 1
            self._requests[path, method, status] += 1
            self._seconds.add(path, seconds)

    def answered(self, backend: str, first_seconds: float) -> None:
        """A backend answered; its first words took so long, the wait in the queue included."""
        with self._guard:
            self._answers[backend] += 1
            self._first.add(backend, first_seconds)

    def fell_back(self, backend: str, why: Why) -> None:
        """A backend did not answer, or not to the end, and the next one was asked."""
        with self._guard:
            self._passed_over[backend, why] += 1

    def recalled(self, seconds: float) -> None:
        """Memories were looked up for an answer."""
        with self._guard:
            self._recalls.add("", seconds)

    def cache(self, name: Cached, hit: bool) -> None:
        """Something was looked for in a cache."""
        with self._guard:
            self._cached[name, hit] += 1

    def wrote(self, prompt_tokens: int, reply_tokens: int) -> None:
        """A reply was written."""
        with self._guard:
            self._tokens["prompt"] += prompt_tokens
            self._tokens["reply"] += reply_tokens

    def abandon(self) -> None:
        """A client left before its reply was whole."""
        with self._guard:
            self._abandoned += 1

    def text(self, present: Present) -> str:
        """Everything counted, and what is so now."""
        with self._guard:
            counted = [*self._of_requests(), *self._of_answers(), self._of_caches(present.caches)]
        return "".join([*counted, *_now(present)])

    def _of_requests(self) -> list[str]:
        requests = (
            (_labels(path=path, method=method, status=str(status)), count)
            for (path, method, status), count in sorted(self._requests.items())
        )
        return [
            _block(
                ("twin_requests_total", "counter", "Requests answered, by route and status."),
                requests,
            ),
            self._seconds.text("twin_request_seconds", "Seconds to the last byte.", "path"),
            _single("twin_abandoned_total", "counter", "Clients who left.", self._abandoned),
            _single("twin_requests_running", "gauge", "Requests not left yet.", self._running),
        ]

    def _of_answers(self) -> list[str]:
        answers = ((_labels(backend=name), n) for name, n in sorted(self._answers.items()))
        passed_over = (
            (_labels(backend=name, why=why), n)
            for (name, why), n in sorted(self._passed_over.items())
        )
        tokens = ((_labels(kind=kind), self._tokens[kind]) for kind in ("prompt", "reply"))
        first = "Seconds to the first words, with the wait."
        return [
            _block(("twin_answers_total", "counter", "Answers, by what gave them."), answers),
            self._first.text("twin_first_words_seconds", first, "backend"),
            _block(
                ("twin_passed_over_total", "counter", "What did not answer, and why."), passed_over
            ),
            _block(
                ("twin_tokens_total", "counter", "Tokens read and written by the model."), tokens
            ),
            self._recalls.text("twin_recall_seconds", "Seconds of looking memories up."),
        ]

    def _of_caches(self, others: Mapping[str, tuple[int, int]]) -> str:
        """Hits and misses of every cache that was asked."""
        counts = Counter({(name, hit): count for (name, hit), count in self._cached.items()})
        for name, (hits, misses) in others.items():
            counts[name, True] += hits
            counts[name, False] += misses
        return _block(
            ("twin_cache_total", "counter", "What was looked for in a cache, found or not."),
            (
                (_labels(cache=name, outcome=outcome), counts[name, hit])
                for name in sorted({name for name, _ in counts})
                for outcome, hit in (("hit", True), ("miss", False))
            ),
        )


def _now(present: Present) -> list[str]:
    asked = [(_labels(backend=name), int(is_so)) for name, is_so in present.backends.items()]
    release = [(_labels(release=present.release), 1)] if present.release else []
    return [
        _single("twin_queue_length", "gauge", "Requests that wait.", present.waiting),
        _single("twin_problem", "gauge", "1 while /health names one.", int(present.problem)),
        _block(
            ("twin_backend_asked", "gauge", "1 while a backend is asked, 0 while left alone."),
            asked,
        ),
        _block(("twin_release_info", "gauge", "The release that answers, as a label."), release),
    ]


def _single(name: str, kind: str, words: str, value: int) -> str:
    return _block((name, kind, words), [("", value)])


def _block(head: tuple[str, str, str], values: Iterable[tuple[str, int]]) -> str:
    name, kind, words = head
    lines = [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{labels} {value}" for labels, value in values]
    return "\n".join(lines) + "\n"


def _labels(**values: str) -> str:
    if not values:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items()) + "}"


_ESCAPES: Mapping[int, str] = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def _escaped(value: str) -> str:
    return value.translate(_ESCAPES)
