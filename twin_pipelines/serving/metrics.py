"""What the server counts while it runs, in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds


@dataclass(frozen=True)
class Present:
    """What is so at this moment: the queue, who answers, and whether anything is wrong."""

    waiting: int
    release: str  # empty for none
    problem: bool


class Metrics:
    """Counts requests, their seconds and tokens. Any thread may count."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._tokens: Counter[str] = Counter()
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
            counts = self._buckets.setdefault(path, [0] * (len(BUCKETS) + 1))
            counts[bisect_left(BUCKETS, seconds)] += 1
            self._seconds[path] += seconds

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
            blocks = [
                _block(
                    ("twin_requests_total", "counter", "Requests answered, by route and status."),
                    (
                        (_labels(path=path, method=method, status=str(status)), count)
                        for (path, method, status), count in sorted(self._requests.items())
                    ),
                ),
                self._histogram(),
                _block(
                    ("twin_tokens_total", "counter", "Tokens read and written by the model."),
                    ((_labels(kind=kind), self._tokens[kind]) for kind in ("prompt", "reply")),
                ),
                _single("twin_abandoned_total", "counter", "Clients who left.", self._abandoned),
                _single("twin_requests_running", "gauge", "Requests not left yet.", self._running),
            ]
        blocks += [
            _single("twin_queue_length", "gauge", "Requests that wait.", present.waiting),
            _single("twin_problem", "gauge", "1 while /health names one.", int(present.problem)),
            _block(
                ("twin_release_info", "gauge", "The release that answers, as a label."),
                [(_labels(release=present.release), 1)] if present.release else [],
            ),
        ]
        return "".join(blocks)

    def _histogram(self) -> str:
        name = "twin_request_seconds"
        lines = [f"# HELP {name} Seconds to the last byte.", f"# TYPE {name} histogram"]
        for path, counts in sorted(self._buckets.items()):
            so_far = 0
            for bound, count in zip((*BUCKETS, math.inf), counts, strict=True):
                so_far += count
                edge = "+Inf" if math.isinf(bound) else f"{bound:g}"
                lines.append(f"{name}_bucket{_labels(path=path, le=edge)} {so_far}")
            lines.append(f"{name}_sum{_labels(path=path)} {self._seconds[path]:.6f}")
            lines.append(f"{name}_count{_labels(path=path)} {so_far}")
        return "\n".join(lines) + "\n"


def _single(name: str, kind: str, words: str, value: int) -> str:
    return _block((name, kind, words), [("", value)])


def _block(head: tuple[str, str, str], values: Iterable[tuple[str, int]]) -> str:
    name, kind, words = head
    lines = [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{labels} {value}" for labels, value in values]
    return "\n".join(lines) + "\n"


def _labels(**values: str) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items()) + "}"


_ESCAPES: Mapping[int, str] = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def _escaped(value: str) -> str:
    return value.translate(_ESCAPES)
