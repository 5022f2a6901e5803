"""A circuit breaker: who failed several times in a row is left alone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

FAILURES = 3  # in a row, that open the circuit
REST_SECONDS = 15.0  # until one request may try again; doubled by each probe that fails
LONGEST_REST = 240.0

State = Literal["closed", "open", "half-open"]


class Breaker:
    """Closed: everybody may. Open: nobody. Half-open: one probe may, and decides.

    Who was allowed says how it went: `succeeded`, `failed`, or `let_go` when nothing was learnt.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._rest = REST_SECONDS
        self._opened: float | None = None
        self._probing = False
        self.why = ""  # the last failure, in words

    @property
    def state(self) -> State:
        """How it stands now."""
        if self._opened is None:
            return "closed"
        return "open" if self._clock() < self._opened + self._rest else "half-open"

    def allows(self) -> bool:
        """Whether to try; a half-open circuit allows one probe at a time."""
        state = self.state
        if state == "closed":
            return True
        if state == "open" or self._probing:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """It answered."""
        self._failures, self._rest, self.why = 0, REST_SECONDS, ""
        self._opened, self._probing = None, False

    def failed(self, why: str) -> None:
        """It did not; what began before the circuit opened says nothing about a probe."""
        self._failures += 1
        self.why = why
        if self._probing:
            self._probing = False
            self._rest = min(2 * self._rest, LONGEST_REST)
            self._opened = self._clock()
        elif self._opened is None and self._failures >= FAILURES:
            self._opened = self._clock()

    def let_go(self) -> None:
        """It was not found out."""
        self._probing = False
